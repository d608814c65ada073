// Relative volume by slot: what was traded in each five minutes beside what is usual for them, or both since 04:00. Usual is
// the mean of the complete sessions before, as the lists have it. Of a running session the shares are its minute bars';
// where there are none, of the newest session that history holds.

import { HistogramSeries, LineSeries } from "lightweight-charts";
import { button, element } from "../element.mjs";
import { format, sessionDate } from "../format.mjs";
import { t } from "../words/words.mjs";
import { ChartFrame, faint } from "./chart_frame.mjs";
import { wallSecond } from "./chart_data.mjs";
import { tickerKind } from "./ticker.mjs";

const AGAIN_MS = 20_000;
const SLOT = 300;
const FIRST = 4 * 3600; // slot 0 begins at 04:00

/** @typedef {{slot: number, shares: number | null, usual: number | null}} Slot  `shares` null: not yet, or not known */

/** Of one session: its own and the usual shares of each slot, from those since 04:00. @param {any[]} told @param {Map<number, number> | null} own  of a running session @returns {Slot[]} */
export function slotsOf(told, own) {
  const last = own && Math.max(...own.keys());
  let [before, usualBefore] = [0, 0];
  return told.map(({ slot, volume, expected }) => {
    const shares = own ? (slot <= /** @type {number} */ (last) ? (own.get(slot) ?? 0) : null) : volume === null ? null : volume - before;
    const usual = expected === null ? null : Math.max(expected - usualBefore, 0);
    if (volume !== null) before = volume;
    if (expected !== null) usualBefore = expected;
    return { slot, shares, usual };
  });
}

/** @param {Slot[]} slots @returns {Slot[]} */
export function summed(slots) {
  let [shares, usual] = [0, 0];
  return slots.map((each) => ({
    slot: each.slot,
    shares: each.shares === null ? null : (shares += each.shares),
    usual: each.usual === null ? null : (usual += each.usual),
  }));
}

/** Shares by slot of minute bars; null without one. @param {any[]} bars @param {string} session */
export function bySlot(bars, session) {
  /** @type {Map<number, number>} */
  const slots = new Map();
  for (const bar of bars) {
    if (bar.session !== session) continue;
    const slot = Math.floor(((wallSecond(session, Date.parse(bar.start_at)) % 86_400) - FIRST) / SLOT);
    slots.set(slot, (slots.get(slot) ?? 0) + bar.volume);
  }
  return slots.size ? slots : null;
}

export const rvol = tickerKind(
  "rvol",
  async (place) => {
    const legend = element("p", "legend");
    const frameless = element("p", "lacking");
    place.body.append(legend, frameless);
    /** @type {{session: string, sessions: number, slots: Slot[]} | undefined} */
    let held;
    let isFitted = false;
    let colours = /** @type {import("./chart_frame.mjs").Colours | undefined} */ (undefined);
    const frame = new ChartFrame(place.body, place.lifetime, (found) => {
      colours = found;
      draw();
    });
    const own = frame.chart.addSeries(HistogramSeries, { priceLineVisible: false, lastValueVisible: false });
    const usual = frame.chart.addSeries(LineSeries, { lineWidth: 1, priceLineVisible: false, lastValueVisible: false, lineType: 1 });
    frame.chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.06, bottom: 0 } });
    frame.chart.applyOptions({ localization: { priceFormatter: (/** @type {number} */ shares) => format("shares", shares) } });

    function draw() {
      if (!held || !colours) return;
      const slots = place.panel.options.sum ? summed(held.slots) : held.slots;
      const begins = Date.parse(held.session) / 1000 + FIRST;
      const points = (/** @type {"shares" | "usual"} */ name, colour = "") =>
        slots.map((each) => ({ time: begins + each.slot * SLOT, ...(each[name] === null ? {} : { value: each[name] }), ...(colour ? { color: colour } : {}) }));
      own.setData(/** @type {any} */ (points("shares", faint(colours.accent, 0.55))));
      usual.setData(/** @type {any} */ (points("usual")));
      usual.applyOptions({ color: colours.warn });
      if (!isFitted) frame.chart.timeScale().fitContent();
      isFitted = true;
    }

    const load = async () => {
      const found = await newest(place);
      await frame.sized;
      if (place.lifetime.aborted) return;
      held = found;
      const isNew = found.session === place.desk.feed.day.value;
      frameless.textContent = isNew ? "" : t("rvol.past", { session: sessionDate(found.session) });
      frameless.hidden = isNew;
      place.say(found.slots.some(({ usual: mean }) => mean !== null) ? "" : t("rvol.none", { symbol: place.symbol }));
      draw();
    };
    await load();
    frame.colour();
    place.every(AGAIN_MS, load);
    place.follow(({ columns }) => {
      if (!columns || !held) return;
      const words = t("rvol.now", {
        rvol: format("ratio", columns.rvol), volume: format("shares", columns.volume), expected: format("shares", columns.expected_volume), sessions: held.sessions,
      });
      if (legend.textContent !== words) legend.textContent = words;
      frame.describe(`${place.symbol}, ${t("panel.rvol")}: ${words}`);
    });
  },
  (panel) => {
    const forms = element("span", "forms");
    const buttons = [false, true].map((sum) =>
      button(t(sum ? "rvol.summed" : "rvol.by_slot"), () => {
        panel.options.sum = sum;
        mark();
        panel.show(panel.symbol);
      }),
    );
    const mark = () => buttons.forEach((each, at) => (each.ariaPressed = String(Boolean(panel.options.sum) === Boolean(at))));
    mark();
    forms.append(...buttons);
    return [forms];
  },
);

/** The running session, else the newest that history holds. @param {import("./ticker.mjs").Place} place */
async function newest({ desk, symbol }) {
  const path = encodeURIComponent(symbol);
  const session = desk.feed.day.value;
  const [usual, minutes] = await Promise.allSettled([
    desk.api.get(`api/rvol/${path}${session ? `?session=${session}` : ""}`),
    desk.api.get(`api/bars/minute/${path}?start=${session}&end=${session}`),
  ]);
  const own = session && minutes.status === "fulfilled" ? bySlot(minutes.value.bars, session) : null;
  const answer = usual.status === "fulfilled" && (own || usual.value.slots.some((/** @type {any} */ each) => each.volume)) ? usual.value : await desk.api.get(`api/rvol/${path}`);
  return { session: answer.session, sessions: answer.sessions, slots: slotsOf(answer.slots, answer.session === session ? own : null) };
}
