// What is known of a ticker beside its price: the issue, its size and float, how far it moves, and how it stands today.
// The scanner's values of this second, and what history says of the issue, each count with its day.

import { element } from "../element.mjs";
import { columnOf, format, sessionDate, tone, DASH } from "../format.mjs";
import { t } from "../words/words.mjs";
import { plain } from "./plain.mjs";
import { tickerKind } from "./ticker.mjs";

/** By question; names that history answers have their own words, the others are columns. */
const GROUPS = {
  issue: ["name", "class", "leverage", "exchange", "sector", "industry", "list_date", "cik"],
  size: ["market_cap", "shares", "free_float", "float_rotation", "short_interest", "short_pct_float"],
  move: ["atr", "atr_pct", "range_atr", "avg_volume_20d", "avg_dollar_volume_20d", "hi_52w_dist_pct", "lo_52w_dist_pct", "sma20_dist_pct", "sma50_dist_pct", "sma200_dist_pct"],
  today: ["price", "change_pct", "gap_pct", "gap_state", "from_open_pct", "volume", "dollar_volume", "rvol", "baseline", "spread_pct"],
  state: ["halted", "ssr", "corp_action", "partial", "headline", "news_at", "filing_form", "filing_at"],
};
/** Of history: its kind, and the field that dates it. @type {Record<string, [import("../format.mjs").Kind | "date", string?]>} */
const HISTORY = { list_date: ["date"], cik: ["text"], shares: ["shares", "details_on"], short_interest: ["shares", "short_on"], free_float: ["shares", "float_on"] };

const AGAIN_MS = 15_000; // until history has it

export const facts = tickerKind("facts", async (place) => {
  /** @type {any} */
  let past = {};
  const load = async () => {
    try {
      past = await place.desk.api.get(`api/metadata/${encodeURIComponent(place.symbol)}`);
    } catch (error) {
      if (/** @type {{status?: number}} */ (error).status !== 404) throw error; // without history the scanner's values still stand
    }
  };
  await load();
  if (place.lifetime.aborted) return;
  place.every(AGAIN_MS, () => (past.symbol ? undefined : load()));
  const cells = table(place.body, past);
  place.follow(({ columns }) => {
    if (!columns && !past.symbol) return place.say(t("ticker.unknown", { symbol: place.symbol }));
    place.say("");
    for (const [name, cell] of cells) fill(cell, name, (columns ?? past)[name] ?? past[name] ?? (name === "class" ? past.kind : null), past);
  });
});

/** @param {HTMLElement} body @param {any} past */
function table(body, past) {
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map();
  for (const [group, names] of Object.entries(GROUPS)) {
    const part = element("section", "facts-group");
    const rows = element("dl");
    part.append(element("h2", "", t(`facts.${group}`)), rows);
    for (const name of names) {
      const { label, help } = HISTORY[name] && name !== "free_float" ? { label: t(`facts.${name}`), help: "" } : columnOf(name);
      const [term, cell] = [element("dt", "", label), element("dd", "", DASH)];
      term.title = help;
      rows.append(term, cell);
      cells.set(name, cell);
      fill(cell, name, past[name], past);
    }
    body.append(part);
  }
  return cells;
}

/** @param {HTMLElement} cell @param {string} name @param {unknown} value @param {any} past */
function fill(cell, name, value, past) {
  const [kind, dated] = HISTORY[name] ?? [columnOf(name).kind];
  const text = value === null || value === undefined ? DASH : kind === "date" ? sessionDate(String(value)) : plain(format(kind, value));
  const day = dated && past[dated];
  const told = day && text !== DASH ? t("facts.dated", { value: text, day: sessionDate(day) }) : text;
  if (cell.textContent !== told) cell.textContent = told;
  cell.className = kind === "date" ? "" : tone(kind, value);
  if (kind === "text") cell.title = told;
}
