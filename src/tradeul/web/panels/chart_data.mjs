// What the chart draws, from bars: times on New York's wall, gaps that stay gaps, phases, VWAP, the bar that is being made.
// Pure: no page, no clock.
//
// Charts count seconds and know no zones. So an instant is given as the second that its wall time in New York would be in
// UTC. The offset is one for a whole session: clocks are changed on Sundays.

const NEW_YORK = "America/New_York";
const MINUTE = 60;
const YEAR_SESSIONS = 250; // the fewest that a year has
const OPEN = 9.5 * 3600;
const CLOSE = 16 * 3600; // unless history says that a session closes early

/**
 * @typedef {{time: number, open?: number, high?: number, low?: number, close?: number, volume?: number, vwap?: number | null, session: string}} Candle
 *   without prices: nothing was traded then
 * @typedef {{session: string, start_at?: string, open: number, high: number, low: number, close: number, volume: number, vwap: number | null}} Bar
 */

const offsets = new Map();
const parts = new Intl.DateTimeFormat("en-US", { timeZone: NEW_YORK, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });

/** Seconds between UTC and New York's wall in a session. @param {string} session */
function offsetOf(session) {
  if (!offsets.has(session)) {
    const noon = new Date(`${session}T12:00:00Z`);
    const wall = Object.fromEntries(parts.formatToParts(noon).map(({ type, value }) => [type, Number(value)]));
    offsets.set(session, (Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute) - noon.getTime()) / 1000);
  }
  return offsets.get(session);
}

/** @param {string} session @param {number} atMs */
export const wallSecond = (session, atMs) => atMs / 1000 + offsetOf(session);

/** Minute bars as candles, with an empty one for each minute of a session in which nothing was traded. @param {Bar[]} bars @returns {Candle[]} */
export function minuteCandles(bars) {
  /** @type {Candle[]} */
  const candles = [];
  for (const { session, start_at, ...bar } of bars) {
    const time = wallSecond(session, Date.parse(start_at ?? ""));
    fillTo(candles, session, time);
    candles.push({ ...bar, time, session });
  }
  return candles;
}

/** @param {Candle[]} candles @param {string} session @param {number} time */
function fillTo(candles, session, time) {
  const last = candles.at(-1);
  if (last?.session !== session) return;
  for (let empty = last.time + MINUTE; empty < time; empty += MINUTE) candles.push({ time: empty, session });
}

/** Daily bars, with an empty one for each session that history lacks. @param {Bar[]} bars @param {string[]} lacking @returns {Candle[]} */
export function dailyCandles(bars, lacking) {
  const days = bars.map(({ session, ...bar }) => ({ ...bar, session, time: Date.parse(session) / 1000 }));
  const empty = lacking.map((session) => ({ session, time: Date.parse(session) / 1000 }));
  return [...days, ...empty].sort((one, other) => one.time - other.time);
}

/** @typedef {Map<string, number>} Closes  the second of the day at which a session closes early */

/** @param {{session: string, close_at: string}[]} told @returns {Closes} */
export function earlyCloses(told) {
  return new Map(told.map(({ session, close_at }) => [session, wallSecond(session, Date.parse(close_at)) % 86_400]));
}

/** @param {Candle} candle @param {Closes} early @returns {"pre" | "open" | "post"} */
export function phaseOf({ time, session }, early) {
  const second = time % 86_400;
  return second < OPEN ? "pre" : second < (early.get(session) ?? CLOSE) ? "open" : "post";
}

/** Runs of candles outside regular hours, each from its first to its last time. @param {Candle[]} candles @param {Closes} early */
export function extendedHours(candles, early) {
  /** @type {{from: number, to: number, phase: string, session: string}[]} */
  const runs = [];
  for (const candle of candles) {
    const { time, session } = candle;
    const phase = phaseOf(candle, early);
    const last = runs.at(-1);
    if (last && last.phase === phase && last.session === session) last.to = time;
    else runs.push({ from: time, to: time, phase, session });
  }
  return runs.filter(({ phase }) => phase !== "open");
}

/** sum(bar vwap, else close, x volume) / volume since the session's first bar; empty minutes carry it on. @param {Candle[]} candles */
export function vwapLine(candles) {
  let [dollars, shares] = [0, 0];
  /** @type {{time: number, value: number}[]} */
  const line = [];
  for (const { time, vwap, close, volume } of candles) {
    if (close !== undefined && volume) {
      dollars += (vwap ?? close) * volume;
      shares += volume;
    }
    if (shares) line.push({ time, value: dollars / shares });
  }
  return line;
}

/** A session's day of its minutes in regular hours; null before the open. @param {Candle[]} candles @param {string} session @param {Closes} early @returns {Candle | null} */
export function dayOf(candles, session, early) {
  const traded = candles.filter((candle) => candle.session === session && candle.close !== undefined);
  const regular = traded.filter((candle) => phaseOf(candle, early) === "open");
  if (!regular.length) return null;
  const all = (/** @type {"high" | "low" | "volume"} */ name, from = regular) => from.map((candle) => /** @type {number} */ (candle[name]));
  const volume = all("volume", traded).reduce((sum, each) => sum + (each ?? 0), 0);
  return { session, time: Date.parse(session) / 1000, open: regular[0].open, high: Math.max(...all("high")), low: Math.min(...all("low")), close: regular.at(-1)?.close, volume };
}

/**
 * The minutes that history does not tell yet, from prices as they are seen. Its highs and lows are those that were seen; the
 * true bar replaces it.
 */
export class LiveMinutes {
  constructor() {
    /** @type {Map<number, Candle>} */
    this.made = new Map();
  }

  /** @param {string} session @param {{price: number | null, updated_at: string | null}} now @returns {Candle | null} the minute it changed */
  see(session, { price, updated_at }) {
    if (price === null || updated_at === null) return null;
    const ended = wallSecond(session, Date.parse(updated_at)) - 0.001; // a bar that ends with the minute belongs to it
    const time = Math.floor(ended / MINUTE) * MINUTE;
    const made = this.made.get(time) ?? { time, session, open: price, high: price, low: price };
    const next = { ...made, high: Math.max(made.high ?? price, price), low: Math.min(made.low ?? price, price), close: price };
    this.made.set(time, next);
    return next;
  }

  /** What history told, and after it what was seen; the last minute told may still go on. @param {Candle[]} told @returns {Candle[]} */
  after(told) {
    const last = told.at(-1);
    for (const time of [...this.made.keys()]) if (last && time < last.time) this.made.delete(time);
    const all = [...told];
    for (const candle of [...this.made.values()].sort((one, other) => one.time - other.time)) {
      if (candle.time === last?.time && last.close !== undefined) {
        const [high, low] = [Math.max(last.high ?? -Infinity, candle.high ?? -Infinity), Math.min(last.low ?? Infinity, candle.low ?? Infinity)];
        all[told.length - 1] = { ...last, high, low, close: candle.close };
      } else {
        fillTo(all, candle.session, candle.time);
        all.push(candle);
      }
    }
    return all;
  }
}

/** The highest and the lowest of 52 weeks; unknown where history is shorter. @param {Candle[]} daily */
export function extremes(daily) {
  const traded = daily.filter(({ close }) => close !== undefined).slice(-YEAR_SESSIONS);
  if (traded.length < YEAR_SESSIONS) return { high: null, low: null };
  return { high: Math.max(...traded.map(({ high }) => high ?? -Infinity)), low: Math.min(...traded.map(({ low }) => low ?? Infinity)) };
}
