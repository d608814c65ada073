// A chart of Lightweight Charts as this page wants one: its colours by light and dark, its numbers as the lists', New York's
// times, and everything by the keyboard too. What is drawn is the caller's.

import { CrosshairMode, createChart } from "lightweight-charts";
import { element } from "../element.mjs";
import { format } from "../format.mjs";
import { t } from "../words/words.mjs";

const PAN_BARS = 10;
const ZOOM = 1.25;
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** @typedef {{ink: string, muted: string, line: string, panel: string, up: string, down: string, accent: string, warn: string, ground: string}} Colours */

/** As they are now: a canvas knows neither variables nor light-dark(), and a panel out of sight has no style. @returns {Colours} */
function coloursOf() {
  const probe = element("span");
  document.body.append(probe);
  const names = ["ink", "muted", "line", "panel", "up", "down", "accent", "warn", "ground"];
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return /** @type {any} */ (Object.fromEntries(found));
}

/** @param {string} colour  as rgb(r, g, b) @param {number} opacity */
export const faint = (colour, opacity) => colour.replace("rgb(", "rgba(").replace(")", `, ${opacity})`);

export class ChartFrame {
  /** @param {HTMLElement} place @param {AbortSignal} lifetime @param {(colours: Colours) => void} onColours */
  constructor(place, lifetime, onColours) {
    this.element = element("div", "chart-frame");
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "group");
    place.append(this.element);
    this.chart = createChart(this.element, {
      autoSize: true,
      layout: { attributionLogo: false, fontSize: 11 }, // the licence's notice and link stand below
      localization: { locale: "en-GB", priceFormatter: (/** @type {number} */ value) => format("price", value) },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 3, borderVisible: false },
      rightPriceScale: { borderVisible: false },
      crosshair: { mode: CrosshairMode.Normal },
      kineticScroll: { mouse: false, touch: true },
    });
    this.onColours = onColours;
    /** Once it has a size: what is fitted before that fits nothing. @type {Promise<void>} */
    this.sized = new Promise((resolve) => {
      const sizes = new ResizeObserver(([{ contentRect }]) => {
        if (!contentRect.width) return;
        sizes.disconnect();
        requestAnimationFrame(() => resolve());
      });
      sizes.observe(this.element);
    });
    this.element.addEventListener("keydown", (event) => this.press(event));
    const turn = () => this.colour();
    DARK.addEventListener("change", turn);
    const themes = new MutationObserver(turn);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class", "style"] });
    lifetime.addEventListener("abort", () => {
      DARK.removeEventListener("change", turn);
      themes.disconnect();
      this.chart.remove();
    });
    place.append(notice());
  }

  colour() {
    const colours = coloursOf();
    this.chart.applyOptions({
      layout: { background: { color: colours.panel }, textColor: colours.muted, fontFamily: getComputedStyle(document.body).fontFamily },
      grid: { vertLines: { color: colours.line }, horzLines: { color: colours.line } },
      crosshair: { vertLine: { color: colours.muted, labelBackgroundColor: colours.muted }, horzLine: { color: colours.muted, labelBackgroundColor: colours.muted } },
    });
    this.onColours(colours);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const scale = this.chart.timeScale();
    const spacing = scale.options().barSpacing;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => scale.scrollToPosition(scale.scrollPosition() - PAN_BARS, false),
      ArrowRight: () => scale.scrollToPosition(scale.scrollPosition() + PAN_BARS, false),
      "+": () => scale.applyOptions({ barSpacing: spacing * ZOOM }),
      "=": () => scale.applyOptions({ barSpacing: spacing * ZOOM }),
      "-": () => scale.applyOptions({ barSpacing: spacing / ZOOM }),
      Home: () => scale.fitContent(),
      End: () => scale.scrollToRealTime(),
    };
    const run = keys[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  }

  /** What the picture says, in words. @param {string} words */
  describe(words) {
    const label = t("chart.label", { words });
    if (this.element.ariaLabel !== label) this.element.ariaLabel = label;
  }
}

/** The licence of Lightweight Charts asks for it. */
function notice() {
  const link = /** @type {HTMLAnchorElement} */ (element("a", "", "TradingView"));
  Object.assign(link, { href: "https://www.tradingview.com/", target: "_blank", rel: "noopener noreferrer" });
  const words = element("p", "chart-notice", "Lightweight Charts™ © 2026 ");
  words.append(link, ", Inc.");
  return words;
}
