// How each column is named and shown. Unknown is a dash, never a zero; a sign stands beside every colour.

import { columnWords, language, t } from "./words/words.mjs";

export const DASH = "–";
const NEW_YORK = "America/New_York";

/**
 * @typedef {"price" | "change" | "pct" | "ratio" | "shares" | "dollars" | "count" | "time" | "text" | "flag"} Kind
 *   "change" is a percentage with a direction: signed and coloured
 * @typedef {{label: string, kind: Kind, help: string}} Column
 */

/** @type {Record<Kind, string>} */
const COLUMNS = {
  price: "price prev_close open close high low vwap pm_high pm_low atr",
  change: "change_pct gap_pct from_open_pct post_change_pct chg_1m chg_5m chg_15m chg_30m vwap_dist_pct hi_52w_dist_pct lo_52w_dist_pct sma20_dist_pct sma50_dist_pct sma200_dist_pct",
  pct: "atr_pct vol_pct_adv range_pos spread_pct short_pct_float",
  ratio: "rvol rvol_5m slot_lz range_atr float_rotation",
  shares: "volume expected_volume avg_volume_20d post_volume pm_volume vol_1m vol_5m vol_15m vol_30m free_float",
  dollars: "dollar_volume dvol_5m avg_dollar_volume_20d market_cap",
  count: "trades trades_5m high_count low_count leverage",
  time: "updated_at first_seen_at high_at low_at vwap_cross_at news_at filing_at",
  text: "name class exchange sector industry baseline gap_state headline filing_form corp_action",
  flag: "halted ssr partial ipo",
};
/** @type {Map<string, Kind>} */
const KINDS = new Map(Object.entries(COLUMNS).flatMap(([kind, names]) => names.split(" ").map((name) => /** @type {[string, Kind]} */ ([name, /** @type {Kind} */ (kind)]))));

/** @param {string} name @returns {Column} */
export function columnOf(name) {
  const [label, help] = columnWords(name) ?? [name.replaceAll("_", " "), ""];
  return { label, kind: KINDS.get(name) ?? guess(name), help };
}

/** @param {string} name @returns {Kind} */
function guess(name) {
  if (name.endsWith("_pct")) return "pct";
  return name.endsWith("_at") ? "time" : "text";
}

/** @param {Kind} kind @param {unknown} value @returns {string} */
export function format(kind, value) {
  if (value === null || value === undefined || value === "") return DASH;
  if (kind === "flag") return t(value ? "yes" : "no");
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
      return grouped(value);
    default:
      return fixed(value, 2);
  }
}

/** The direction of a value, for colour; the sign says the same. @param {Kind} kind @param {unknown} value */
export function tone(kind, value) {
  if (kind !== "change" || typeof value !== "number" || Math.abs(value) < 0.005) return "";
  return value > 0 ? "up" : "down";
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 12,345 @param {number} value */
export const grouped = (value) => whole.format(value);

const decimals = new Map([2, 4].map((digits) => [digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })]));

/** @param {number} value @param {number} digits */
function fixed(value, digits) {
  if (Math.abs(value) >= 10_000) return whole.format(value).replace("-", "−");
  const text = /** @type {Intl.NumberFormat} */ (decimals.get(digits)).format(Math.abs(value));
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** @param {number} value */
function signed(value) {
  const text = fixed(value, 2);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** Three significant digits: 999, 1.23K, 45.6M, 789B. @param {number} value @returns {string} */
function compact(value) {
  if (value < 0) return `−${compact(-value)}`;
  if (value < 999.5) return whole.format(value);
  for (const [unit, letter] of /** @type {[number, string][]} */ ([[1e3, "K"], [1e6, "M"], [1e9, "B"]])) {
    const scaled = value / unit;
    if (scaled < 9.995) return scaled.toFixed(2) + letter;
    if (scaled < 99.95) return scaled.toFixed(1) + letter;
    if (scaled < 999.5 || letter === "B") return whole.format(scaled) + letter;
  }
  return DASH;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeZone: NEW_YORK, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dateFormat = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { timeZone: "UTC", weekday: "short", day: "numeric", month: "short", year: "numeric" });

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
