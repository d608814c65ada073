// The chart of a ticker: minute bars of the last sessions or daily bars of a year, with the bar that is being made.
//
//   history: minute and daily bars --> candles --+--> what is drawn, and the same in words
//   the scanner's values of now -----> live bar --+
//
// History is asked again every 15 s (unchanged: 304, a few bytes); between that the last minute is made of the prices seen.

import { CandlestickSeries, HistogramSeries, LineSeries, LineStyle } from "lightweight-charts";
import { button, element } from "../element.mjs";
import { columnOf, format, tone } from "../format.mjs";
import { t } from "../words/words.mjs";
import { ChartFrame, faint } from "./chart_frame.mjs";
import { LiveMinutes, dailyCandles, dayOf, earlyCloses, extendedHours, extremes, minuteCandles, vwapLine } from "./chart_data.mjs";
import { Shading } from "./shading.mjs";
import { tickerKind } from "./ticker.mjs";

const AGAIN_MS = 15_000;
const MINUTE_DAYS = 7; // of the calendar: five sessions
const MOST_DAYS = 1000;
const FIRST_SHOWN = 240; // minutes
/** Lines across the chart: column, what it is in words, colour. @type {[string, string, "muted" | "accent" | "warn" | "up" | "down"][]} */
const LEVELS = [["prev_close", "chart.level.prev_close", "muted"], ["pm_high", "chart.level.pm_high", "accent"], ["pm_low", "chart.level.pm_low", "accent"], ["high", "chart.level.high", "up"], ["low", "chart.level.low", "down"]];

/** @typedef {import("./ticker.mjs").Place} Place */
/** @typedef {import("./chart_data.mjs").Candle} Candle */
/** @typedef {"minute" | "daily"} Form */

export const chart = tickerKind(
  "chart",
  async (place) => {
    const drawn = new Drawing(place);
    await drawn.load();
    if (place.lifetime.aborted) return;
    place.every(AGAIN_MS, () => drawn.load());
    place.follow((known) => drawn.see(known));
  },
  (panel) => {
    const forms = element("span", "forms");
    const buttons = /** @type {Form[]} */ (["minute", "daily"]).map((form) =>
      button(t(`chart.${form}`), () => {
        panel.options.form = form;
        mark();
        panel.show(panel.symbol);
      }),
    );
    const mark = () => buttons.forEach((each, at) => (each.ariaPressed = String((panel.options.form ?? "minute") === ["minute", "daily"][at])));
    mark();
    forms.append(...buttons);
    return [forms];
  },
);

/** What the running session's minutes do not say. @param {{running?: {partial: boolean} | null, bars: {session: string}[]}} told @param {string} session */
function lackingOf({ running, bars }, session) {
  if (running?.partial) return t("chart.partial");
  return running || bars.some((bar) => bar.session === session) ? "" : t("chart.no_today");
}

/** Without prices: a gap. @param {Candle} candle */
const pricesOf = ({ time, open, high, low, close }) => (close === undefined ? { time } : { time, open, high, low, close });

class Drawing {
  /** @param {Place} place */
  constructor(place) {
    this.place = place;
    /** @type {Form} */
    this.form = place.panel.options.form === "daily" ? "daily" : "minute";
    this.live = new LiveMinutes();
    this.early = earlyCloses([]);
    /** @type {Candle[]} what stands there now */
    this.drawn = [];
    /** @type {Map<number, Candle>} */
    this.byTime = new Map();
    /** @type {Candle[]} */
    this.minutes = [];
    /** @type {Candle[]} */
    this.daily = [];
    /** @type {import("../feed/ticker.mjs").Known | null} */
    this.known = null;
    /** @type {Map<string, {line: any, price: number}>} */
    this.levels = new Map();
    this.legend = element("p", "legend");
    this.note = element("p", "lacking");
    this.note.hidden = true;
    place.body.append(this.legend, this.note);
    this.frame = new ChartFrame(place.body, place.lifetime, (colours) => this.paint(colours));
    const { chart: made } = this.frame;
    this.candles = made.addSeries(CandlestickSeries, { borderVisible: false, priceLineVisible: true });
    this.volumes = made.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "custom", formatter: (/** @type {number} */ shares) => format("shares", shares) }, lastValueVisible: false, priceLineVisible: false });
    this.vwap = made.addSeries(LineSeries, { lineWidth: 1, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false });
    made.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    made.priceScale("right").applyOptions({ scaleMargins: { top: 0.06, bottom: 0.22 } });
    this.shading = new Shading();
    this.candles.attachPrimitive(this.shading);
    made.applyOptions({ timeScale: { timeVisible: this.form === "minute" } });
    made.subscribeCrosshairMove(({ time }) => this.point(time));
    this.frame.colour();
  }

  /** Bars of history; each of the two may be missing for a reason. */
  async load() {
    const { symbol, desk } = this.place;
    const session = desk.feed.day.value ?? new Date().toISOString().slice(0, 10);
    const since = new Date(Date.parse(session) - MINUTE_DAYS * 86_400_000).toISOString().slice(0, 10);
    const path = encodeURIComponent(symbol);
    const [minute, daily] = await Promise.allSettled([
      desk.api.get(`api/bars/minute/${path}?start=${since}`),
      desk.api.get(`api/bars/daily/${path}?limit=${MOST_DAYS}`),
    ]);
    await this.frame.sized;
    if (this.place.lifetime.aborted) return;
    if (minute.status === "fulfilled") {
      this.minutes = minuteCandles(minute.value.bars);
      this.early = earlyCloses(minute.value.early_closes);
    }
    if (daily.status === "fulfilled") this.daily = dailyCandles(daily.value.bars, daily.value.lacking);
    const asked = this.form === "minute" ? minute : daily;
    if (asked.status === "rejected") this.note.textContent = t(`chart.no_${this.form}`, { reason: asked.reason.message });
    else this.note.textContent = this.form === "minute" ? lackingOf(asked.value, session) : "";
    this.note.hidden = !this.note.textContent;
    this.place.say("");
    this.draw();
  }

  /** @param {import("../feed/ticker.mjs").Known} known */
  see(known) {
    this.known = known;
    const changed = known.columns && this.live.see(known.session, /** @type {any} */ (known.columns));
    if (changed) this.add();
    this.line();
    this.say(null);
  }

  /** The last bar as it is now; everything anew when more than that has changed. */
  add() {
    const candles = this.shown();
    const before = this.drawn.length;
    const last = candles.at(-1);
    if (!last || !before || candles.length < before || candles.length > before + 1) return this.draw();
    this.drawn = candles;
    this.byTime.set(last.time, last);
    this.candles.update(/** @type {any} */ (pricesOf(last)));
  }

  /** The candles of the form that is shown. */
  shown() {
    const minutes = this.live.after(this.minutes);
    return this.form === "minute" ? minutes : this.withToday(minutes);
  }

  /** The daily bars and the running session's, which history does not hold yet. */
  withToday(minutes = this.live.after(this.minutes)) {
    const session = this.known?.session;
    const today = session && this.daily.at(-1)?.session !== session ? dayOf(minutes, session, this.early) : null;
    return today ? [...this.daily, today] : this.daily;
  }

  draw() {
    const { colours } = this;
    const candles = this.shown();
    if (!colours) return;
    const isFirst = !this.drawn.length;
    this.drawn = candles;
    this.byTime = new Map(candles.map((candle) => [candle.time, candle]));
    this.candles.setData(/** @type {any} */ (candles.map(pricesOf)));
    const bar = (/** @type {Candle} */ { time, volume, open, close }) =>
      volume === undefined ? { time } : { time, value: volume, color: faint((close ?? 0) >= (open ?? 0) ? colours.up : colours.down, 0.45) };
    this.volumes.setData(/** @type {any} */ (candles.map(bar)));
    const newest = candles.at(-1)?.session;
    this.vwap.setData(/** @type {any} */ (this.form === "minute" ? vwapLine(candles.filter(({ session }) => session === newest)) : []));
    this.shading.show(this.form === "minute" ? extendedHours(candles, this.early) : [], faint(colours.muted, 0.09));
    if (isFirst && candles.length) this.begin(candles.length);
    this.say(null);
  }

  /** @param {number} count */
  begin(count) {
    const scale = this.frame.chart.timeScale();
    if (this.form === "daily" || count <= FIRST_SHOWN) scale.fitContent();
    else scale.setVisibleLogicalRange({ from: count - FIRST_SHOWN, to: count + 3 });
  }

  /** Lines across: where the price has been. */
  line() {
    const { colours, known } = this;
    if (!colours || !known?.columns) return;
    const year = extremes(this.withToday());
    /** @type {[string, string, number | null, string][]} */
    const wanted = LEVELS.map(([column, key, colour]) => [column, t(key), known.columns?.[column] ?? null, colours[colour]]);
    if (this.form === "daily") wanted.splice(1); // a day's own lines are its bar
    wanted.push(["year_high", t("chart.level.year_high"), year.high, colours.warn], ["year_low", t("chart.level.year_low"), year.low, colours.warn]);
    for (const [name, title, price, color] of wanted) {
      const there = this.levels.get(name);
      if (price === null || !Number.isFinite(price)) {
        if (there) this.candles.removePriceLine(there.line);
        this.levels.delete(name);
      } else if (!there) {
        this.levels.set(name, { price, line: this.candles.createPriceLine({ price, title, color, lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: true }) });
      } else there.line.applyOptions({ price, color });
    }
  }

  /** The bar under the pointer. @param {unknown} time */
  point(time) {
    this.say(time === undefined ? null : (this.byTime.get(/** @type {number} */ (time)) ?? null));
  }

  /** What the picture says: of the bar pointed at, else of now. @param {Candle | null} candle */
  say(candle) {
    const price = (/** @type {unknown} */ value) => format("price", value);
    /** @type {[string, string, string?][]} */
    let words = [];
    const columns = this.known?.columns;
    if (candle) {
      const at = this.form === "minute" ? new Date(candle.time * 1000).toISOString().slice(0, 16).replace("T", " ") : candle.session;
      words = [["", at], [t("chart.open"), price(candle.open)], [t("chart.high"), price(candle.high)], [t("chart.low"), price(candle.low)], [t("chart.close"), price(candle.close)], [t("chart.volume"), format("shares", candle.volume)]];
    } else if (columns) {
      words = [["", price(columns.price), tone("change", columns.change_pct)], [columnOf("change_pct").label, format("change", columns.change_pct), tone("change", columns.change_pct)]];
      for (const name of ["low", "high", "vwap", "prev_close"]) words.push([columnOf(name).label, price(columns[name])]);
      words.push([columnOf("volume").label, format("shares", columns.volume)]);
    } else {
      const last = [...this.drawn].reverse().find(({ close }) => close !== undefined);
      if (last) words = [[t("chart.last", { session: last.session }), price(last.close)]];
    }
    this.legend.replaceChildren(...words.flatMap(([label, value, sign]) => [element("span", "muted", label), element("b", sign ?? "", value), " "]));
    if (!candle) this.frame.describe(`${this.place.symbol}, ${t(`chart.${this.form}`)}: ${words.map(([label, value]) => `${label} ${value}`.trim()).join(", ")}`);
  }

  /** @param {import("./chart_frame.mjs").Colours} colours */
  paint(colours) {
    this.colours = colours;
    this.candles.applyOptions({ upColor: colours.up, downColor: colours.down, wickUpColor: colours.up, wickDownColor: colours.down });
    this.vwap.applyOptions({ color: colours.accent });
    if (this.drawn.length) this.draw();
    this.line();
  }
}
