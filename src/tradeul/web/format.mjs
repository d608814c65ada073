// How each column is named and shown. Unknown is a dash, never a zero; a sign stands beside every colour.

export const DASH = "–";
const NEW_YORK = "America/New_York";

/**
 * @typedef {"price" | "change" | "pct" | "ratio" | "shares" | "dollars" | "count" | "time" | "text" | "flag"} Kind
 *   "change" is a percentage with a direction: signed and coloured
 * @typedef {{label: string, kind: Kind, help: string}} Column
 */

/** @type {Record<string, [string, Kind, string]>} */
const COLUMNS = {
  price: ["Price", "price", "Close of the newest bar"],
  prev_close: ["Prev", "price", "Last session's official close, adjusted for splits"],
  open: ["Open", "price", "Official open"],
  close: ["Close", "price", "Official close"],
  high: ["High", "price", "Since 04:00, extended hours included"],
  low: ["Low", "price", "Since 04:00, extended hours included"],
  vwap: ["VWAP", "price", "Volume-weighted average price since 04:00"],
  pm_high: ["PM high", "price", "Pre-market high, 04:00 to 09:30"],
  pm_low: ["PM low", "price", "Pre-market low, 04:00 to 09:30"],
  atr: ["ATR", "price", "Wilder's average true range, 14 sessions"],
  change_pct: ["Chg %", "change", "Against the last session's close"],
  gap_pct: ["Gap %", "change", "The open (before it the price) against the last close"],
  from_open_pct: ["Open %", "change", "Against the open"],
  post_change_pct: ["Post %", "change", "Against today's close"],
  chg_1m: ["1m %", "change", "Change over the last minute"],
  chg_5m: ["5m %", "change", "Change over the last 5 minutes"],
  chg_15m: ["15m %", "change", "Change over the last 15 minutes"],
  chg_30m: ["30m %", "change", "Change over the last 30 minutes"],
  vwap_dist_pct: ["VWAP %", "change", "Distance from VWAP"],
  hi_52w_dist_pct: ["52w high %", "change", "Distance from the 52-week high"],
  lo_52w_dist_pct: ["52w low %", "change", "Distance from the 52-week low"],
  sma20_dist_pct: ["SMA 20 %", "change", "Distance from the 20-session average"],
  sma50_dist_pct: ["SMA 50 %", "change", "Distance from the 50-session average"],
  sma200_dist_pct: ["SMA 200 %", "change", "Distance from the 200-session average"],
  atr_pct: ["ATR %", "pct", "ATR as a percentage of the price"],
  vol_pct_adv: ["% ADV", "pct", "Volume as a percentage of the 20-session average"],
  range_pos: ["Range %", "pct", "Place of the price in today's range: 0 low, 100 high"],
  spread_pct: ["Spread %", "pct", "Ask less bid, of the middle"],
  short_pct_float: ["Short %", "pct", "Short interest of the free float"],
  rvol: ["RVOL", "ratio", "Volume against what is usual by this time of day"],
  rvol_5m: ["RVOL 5m", "ratio", "The last 5 minutes' volume against what is usual for them"],
  slot_lz: ["Slot z", "ratio", "How unusual the last 5 minutes' volume is, in standard deviations of its logarithm"],
  range_atr: ["Rng/ATR", "ratio", "Today's range in ATRs"],
  float_rotation: ["Rotation", "ratio", "Volume against the free float"],
  volume: ["Volume", "shares", "Shares since 04:00"],
  expected_volume: ["Exp vol", "shares", "Usual volume by this time of day"],
  avg_volume_20d: ["Avg vol", "shares", "Average volume of 20 sessions"],
  post_volume: ["Post vol", "shares", "Shares since the close"],
  pm_volume: ["PM vol", "shares", "Shares from 04:00 to 09:30"],
  vol_1m: ["Vol 1m", "shares", "Shares in the last minute"],
  vol_5m: ["Vol 5m", "shares", "Shares in the last 5 minutes"],
  vol_15m: ["Vol 15m", "shares", "Shares in the last 15 minutes"],
  vol_30m: ["Vol 30m", "shares", "Shares in the last 30 minutes"],
  free_float: ["Float", "shares", "Free float"],
  dollar_volume: ["$ Volume", "dollars", "Dollars traded since 04:00"],
  dvol_5m: ["$ Vol 5m", "dollars", "Dollars traded in the last 5 minutes"],
  avg_dollar_volume_20d: ["Avg $ vol", "dollars", "Average dollars a session, 20 sessions"],
  market_cap: ["Mkt cap", "dollars", "Shares times price"],
  trades: ["Trades", "count", "Trades since 04:00"],
  trades_5m: ["Trades 5m", "count", "Trades in the last 5 minutes"],
  high_count: ["Highs", "count", "New highs in the last 30 minutes"],
  low_count: ["Lows", "count", "New lows in the last 30 minutes"],
  leverage: ["Leverage", "count", "Of a leveraged fund"],
  updated_at: ["Updated", "time", "End of the newest bar"],
  first_seen_at: ["Since", "time", "On the list since"],
  high_at: ["High at", "time", "When the high was last exceeded"],
  low_at: ["Low at", "time", "When the low was last exceeded"],
  vwap_cross_at: ["Crossed", "time", "When the price last crossed VWAP"],
  news_at: ["News at", "time", "Newest headline"],
  filing_at: ["Filing at", "time", "Newest filing"],
  name: ["Name", "text", "Issuer and issue"],
  class: ["Class", "text", "Kind of issue"],
  exchange: ["Exch", "text", "Listing exchange"],
  sector: ["Sector", "text", "Sector"],
  industry: ["Industry", "text", "Industry"],
  baseline: ["Baseline", "text", "How much history RVOL stands on: ready, thin, none"],
  gap_state: ["Gap", "text", "holding, fading or filled"],
  headline: ["Headline", "text", "Newest headline since the last close"],
  filing_form: ["Form", "text", "Newest filing since the last close"],
  corp_action: ["Action", "text", "Corporate action effective today"],
  halted: ["Halted", "flag", "Trading is halted"],
  ssr: ["SSR", "flag", "Short-sale restriction"],
  partial: ["Partial", "flag", "Today's earlier minutes are still being loaded"],
};

/** @param {string} name @returns {Column} */
export function columnOf(name) {
  const [label, kind, help] = COLUMNS[name] ?? [name.replaceAll("_", " "), guess(name), ""];
  return { label, kind, help };
}

/** @param {string} name @returns {Kind} */
function guess(name) {
  if (name.endsWith("_pct")) return "pct";
  return name.endsWith("_at") ? "time" : "text";
}

/** @param {Kind} kind @param {unknown} value @returns {string} */
export function format(kind, value) {
  if (value === null || value === undefined || value === "") return DASH;
  if (kind === "flag") return value ? "yes" : "no";
  if (kind === "time") return timeOfDay(/** @type {string | number} */ (value));
  if (kind === "text" || typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return DASH;
  switch (kind) {
    case "price":
      return fixed(value, Math.abs(value) >= 1 ? 2 : 4);
    case "change":
      return signed(value);
    case "shares":
      return compact(value);
    case "dollars":
      return value < 0 ? `−$${compact(-value)}` : `$${compact(value)}`;
    case "count":
      return grouped.format(value);
    default:
      return fixed(value, 2);
  }
}

/** The direction of a value, for colour; the sign says the same. @param {Kind} kind @param {unknown} value */
export function tone(kind, value) {
  if (kind !== "change" || typeof value !== "number" || Math.abs(value) < 0.005) return "";
  return value > 0 ? "up" : "down";
}

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const decimals = new Map([2, 4].map((digits) => [digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })]));

/** @param {number} value @param {number} digits */
function fixed(value, digits) {
  if (Math.abs(value) >= 10_000) return grouped.format(value).replace("-", "−");
  const text = /** @type {Intl.NumberFormat} */ (decimals.get(digits)).format(Math.abs(value));
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** @param {number} value */
function signed(value) {
  const text = fixed(value, 2);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** Three significant digits: 999, 1.23K, 45.6M, 789B. @param {number} value */
function compact(value) {
  if (value < 0) return `−${compact(-value)}`;
  if (value < 999.5) return grouped.format(value);
  for (const [unit, letter] of /** @type {[number, string][]} */ ([[1e3, "K"], [1e6, "M"], [1e9, "B"]])) {
    const scaled = value / unit;
    if (scaled < 9.995) return scaled.toFixed(2) + letter;
    if (scaled < 99.95) return scaled.toFixed(1) + letter;
    if (scaled < 999.5 || letter === "B") return grouped.format(scaled) + letter;
  }
  return DASH;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeZone: NEW_YORK, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dateFormat = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", weekday: "short", day: "numeric", month: "short", year: "numeric" });

/** An instant as New York's time of day. @param {string | number} instant */
export function timeOfDay(instant) {
  const at = new Date(instant);
  return Number.isNaN(at.getTime()) ? DASH : clockFormat.format(at);
}

/** @param {string} session  as 2026-03-09 */
export function sessionDate(session) {
  return dateFormat.format(new Date(`${session}T00:00:00Z`)).replace(",", "");
}

/** @param {number | null} ms */
export function age(ms) {
  if (ms === null) return DASH;
  if (ms < 60_000) return `${(Math.max(ms, 0) / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return `${Math.floor(ms / 3_600_000)} h`;
}
