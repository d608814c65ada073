// The messages of docs/protocol/*.schema.json as types. Made by scripts/make_schemas.py: change the records, and run it.

export interface Connected {
  type: "connected";
  connection_id: string;
  session: string;
  phase: "PRE_MARKET" | "MARKET_OPEN" | "POST_MARKET" | "CLOSED";
  mode: "LIVE" | "DELAYED" | "END_OF_DAY" | "SIMULATED";
  server_time: string;
  lists: Array<ListHead>;
}

/** What a page needs to show one list. `class`: the list's own; the switch asks another. */
export interface ListHead {
  name: string;
  title: string;
  where: string;
  order: Array<[string, string]>;
  columns: Array<string>;
  class?: "stocks" | "etf" | "leveraged" | "all";
}

/** `lacking`: inputs of the list's question that nobody delivers now, so that it may be empty for want of data. */
export interface Snapshot {
  type: "snapshot";
  list: string;
  session: string;
  mode: "LIVE" | "DELAYED" | "END_OF_DAY" | "SIMULATED";
  epoch: number;
  sequence: number;
  count: number;
  rows: Array<{ symbol: string; rank: number; [column: string]: number | string | boolean | null }>;
  timestamp: number;
  lacking?: Array<string>;
}

/** From sequence `base` to `sequence` of the same epoch; a client that holds another one asks for `resync`. */
export interface Delta {
  type: "delta";
  list: string;
  session: string;
  mode: "LIVE" | "DELAYED" | "END_OF_DAY" | "SIMULATED";
  epoch: number;
  sequence: number;
  base: number;
  deltas: Array<Remove | Add | Rerank | Update>;
  timestamp: number;
  lacking?: Array<string>;
}

export interface Remove {
  action: "remove";
  symbol: string;
}

/** `rank` is final and 0-based; `data` is the whole row. */
export interface Add {
  action: "add";
  symbol: string;
  rank: number;
  data: { symbol: string; rank: number; [column: string]: number | string | boolean | null };
}

export interface Rerank {
  action: "rerank";
  symbol: string;
  rank: number;
}

/** `data` holds the changed fields only; null is a value. */
export interface Update {
  action: "update";
  symbol: string;
  data: { [column: string]: number | string | boolean | null };
}

/** Drop everything shown. */
export interface NewDay {
  type: "new_day";
  session: string;
}

/** The feed's health, every 5 s. `stale`: what is shown may be old. */
export interface Status {
  type: "status";
  feed_age_ms: number | null;
  feed_lag_p99_ms: number | null;
  stale: boolean;
  phase: "PRE_MARKET" | "MARKET_OPEN" | "POST_MARKET" | "CLOSED";
  mode: "LIVE" | "DELAYED" | "END_OF_DAY" | "SIMULATED";
}

export interface Subscribed {
  type: "subscribed";
  list: string;
}

export interface Unsubscribed {
  type: "unsubscribed";
  list: string;
}

/** A filing once we saw it. `tickers`: of the companies that it is of, not of who only reports. */
export interface Filing {
  type: "filing";
  accession: string;
  form: string;
  words: string | null;
  amends: boolean;
  dilutes: boolean;
  filed: string;
  accepted_at: string;
  seen_at: string;
  tickers: Array<string>;
  filers: Array<Filer>;
  items: Array<Item>;
  url: string | null;
}

/** Someone whom a filing names. `role`: Filer, Issuer, Reporting, Subject, Filed by ... */
export interface Filer {
  cik: string;
  name: string;
  role: string;
}

export interface Item {
  code: string;
  words?: string | null;
}

/** A piece of news as the vendor tells of it; `seen_at` is ours, None before. */
export interface Article {
  type: "news";
  id: string;
  published_at: string;
  headline: string;
  tickers: Array<string>;
  publisher?: string | null;
  url?: string | null;
  seen_at?: string | null;
}

/** `timestamp`: the product's clock, which the page shows; simulated time runs at another speed than the browser's. */
export interface Pong {
  type: "pong";
  timestamp: number;
}

export interface ErrorMessage {
  type: "error";
  code: "bad_json" | "unknown_action" | "unknown_list" | "too_large" | "too_many" | "unauthorized";
  message: string;
}

export type ServerMessage = Connected | Snapshot | Delta | NewDay | Status | Subscribed | Unsubscribed | Filing | Article | Pong | ErrorMessage;

export interface Subscribe {
  action: "subscribe";
  list: string;
  class?: "stocks" | "etf" | "leveraged" | "all" | null;
}

export interface Unsubscribe {
  action: "unsubscribe";
  list: string;
  class?: "stocks" | "etf" | "leveraged" | "all" | null;
}

/** Ask for a snapshot of what is subscribed to. */
export interface Resync {
  action: "resync";
  list: string;
  class?: "stocks" | "etf" | "leveraged" | "all" | null;
}

export interface Ping {
  action: "ping";
}

export interface SubscribeFilings {
  action: "subscribe_filings";
}

export interface UnsubscribeFilings {
  action: "unsubscribe_filings";
}

export interface SubscribeNews {
  action: "subscribe_news";
}

export interface UnsubscribeNews {
  action: "unsubscribe_news";
}

export type ClientMessage = Subscribe | Unsubscribe | Resync | Ping | SubscribeFilings | UnsubscribeFilings | SubscribeNews | UnsubscribeNews;

/** A row: its list's columns beside symbol and rank. */
export type Row = Snapshot["rows"][number];
/** One step of a delta. */
export type Step = Delta["deltas"][number];
