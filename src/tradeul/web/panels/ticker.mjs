// What all panels of one ticker share: its head (colour group, symbol, copy, link out, age), and the states of its body.
// A kind says only how to fill the body for a symbol; whatever it starts ends with `place.lifetime`.

import { button, element } from "../element.mjs";
import { timeOfDay } from "../format.mjs";
import { Signal } from "../signal.mjs";
import { followTicker } from "../feed/ticker.mjs";
import { t } from "../words/words.mjs";
import { GROUPS } from "../workspace/links.mjs";
import { groupField } from "./group_field.mjs";
import { addressOf, chooseTemplate } from "./link_out.mjs";
import { plain } from "./plain.mjs";

const AGAIN_MS = 15_000; // after a failure

/**
 * @typedef {import("../workspace/panels.mjs").Desk} Desk
 * @typedef {import("../workspace/panels.mjs").Panel} Panel
 * @typedef {{group?: string, symbol?: string, [option: string]: unknown}} Params  `group` "": linked to nobody
 * @typedef {(place: Place) => Promise<void> | void} Fill
 */

/** One symbol shown in a panel, until another one is, or another session begins. */
export class Place {
  /** @param {TickerPanel} panel @param {string} symbol */
  constructor(panel, symbol) {
    this.panel = panel;
    this.desk = panel.desk;
    this.symbol = symbol;
    this.body = panel.body;
    this.shown = panel.shown;
    this.ending = new AbortController();
  }

  get lifetime() {
    return this.ending.signal;
  }

  /** Instead of rows: why there are none. @param {string} text */
  say(text) {
    this.panel.say(text);
  }

  /** @param {number | null} marketAt  of what is shown now */
  asOf(marketAt) {
    this.panel.age.textContent = marketAt === null ? "" : t("ticker.as_of", { time: timeOfDay(marketAt) });
    delete this.panel.age.dataset.stale;
    this.panel.age.title = "";
  }

  /** What is shown stays, and is not current. @param {Error} error */
  late(error) {
    this.panel.age.dataset.stale = "true";
    this.panel.age.title = error.message;
    if (!this.panel.age.textContent) this.panel.age.textContent = t("ticker.late");
  }

  /** What is known of the ticker now, again and again while it is seen. @param {(known: import("../feed/ticker.mjs").Known) => void} show */
  follow(show) {
    /** @type {(() => void) | undefined} */
    let stop;
    const turn = (/** @type {boolean} */ isShown) => {
      stop?.();
      stop = isShown ? followTicker(this.desk, this.symbol, ({ known, error }) => {
        if (this.lifetime.aborted) return;
        if (known) {
          this.asOf(known.asOf);
          show(known);
        } else if (error) this.late(error);
      }) : undefined;
    };
    this.untilEnd(this.shown.follow(turn));
    this.untilEnd(() => stop?.());
  }

  /** Do it every so often while it is seen; an error is told by the age. @param {number} everyMs @param {() => Promise<void> | void} work */
  every(everyMs, work) {
    let isWorking = false;
    const timer = setInterval(async () => {
      if (isWorking || !this.shown.value || document.hidden) return;
      isWorking = true;
      try {
        await work();
      } catch (error) {
        if (!this.lifetime.aborted) this.late(/** @type {Error} */ (error));
      }
      isWorking = false;
    }, everyMs);
    this.untilEnd(() => clearInterval(timer));
  }

  /** @param {() => void} stop */
  untilEnd(stop) {
    if (this.lifetime.aborted) stop();
    else this.lifetime.addEventListener("abort", stop, { once: true });
  }
}

/** @implements {Panel} */
export class TickerPanel {
  /** @param {Desk} desk @param {Params} params @param {string} kind @param {Fill} fill @param {(panel: TickerPanel) => HTMLElement[]} [tools] */
  constructor(desk, params, kind, fill, tools = () => []) {
    /** @type {Place | undefined} */
    this.place = undefined;
    this.desk = desk;
    this.kind = kind;
    this.fill = fill;
    this.options = { ...params };
    /** @type {((name: string) => void) | undefined} what a kind's own tool does */
    this.chooseList = undefined;
    this.group = params.group ?? GROUPS[0];
    this.shown = new Signal(false);
    this.body = element("div", "ticker-body");
    Object.assign(this.body, { tabIndex: 0, role: "region", ariaLabel: t(`panel.${kind}`) }); // arrow keys scroll it
    this.note = element("p", "note");
    this.note.setAttribute("role", "status");
    this.age = element("span", "as-of");
    this.element = element("section", `panel ticker ${kind}`);
    this.field = /** @type {HTMLInputElement} */ (element("input", "symbol-field"));
    this.copy = button(t("ticker.copy"), () => void this.copied(), "quiet");
    this.out = button(t("ticker.out"), () => this.openOut(), "quiet");
    this.element.append(this.head(tools(this)), this.body, this.note);
    if (this.group && params.symbol && !this.link?.symbol) this.link?.choose(params.symbol);
    this.stopDay = desk.newDay(() => this.show(this.symbol));
    this.turn(this.group, params.symbol);
  }

  get link() {
    return this.group ? this.desk.links.of(this.group) : undefined;
  }

  params() {
    return { ...this.options, group: this.group, ...(this.symbol ? { symbol: this.symbol } : {}) };
  }

  get title() {
    const kind = t(`panel.${this.kind}`);
    return this.symbol ? `${this.symbol} · ${kind}` : kind;
  }

  /** @param {boolean} shown */
  visible(shown) {
    this.shown.set(shown);
    this.beginSoon();
  }

  /** As soon as somebody looks, and not at a tab that was in front for an instant. */
  beginSoon() {
    setTimeout(() => {
      if (this.shown.value && this.symbol && !this.place) void this.begin(new Place(this, this.symbol));
    });
  }

  close() {
    this.shown.set(false);
    this.stopLink?.();
    this.stopDay();
    this.place?.ending.abort();
    this.element.remove();
  }

  /** Follow another colour, or nobody. @param {string} group @param {string} [symbol] */
  turn(group, symbol = this.symbol) {
    this.stopLink?.();
    this.group = group;
    const { link } = this;
    this.stopLink = link?.listen((chosen) => this.show(chosen ?? undefined));
    this.show(link?.symbol ?? symbol);
  }

  /** @param {string | undefined} symbol */
  show(symbol) {
    this.place?.ending.abort();
    this.place = undefined;
    this.symbol = symbol;
    this.field.value = symbol ?? "";
    for (const each of [this.copy, this.out]) each.hidden = !symbol;
    this.body.replaceChildren();
    this.age.textContent = "";
    this.say(t(symbol ? "ticker.loading" : "ticker.none"));
    this.desk.changed(this);
    this.beginSoon();
  }

  /** @param {Place} place */
  async begin(place) {
    this.place = place;
    try {
      await this.fill(place);
    } catch (error) {
      if (place.lifetime.aborted) return;
      this.body.replaceChildren(); // what was begun to be drawn
      this.say(/** @type {Error} */ (error).message);
      this.note.append(button(t("again"), () => this.show(this.symbol)));
      const timer = setTimeout(() => this.beginAgain(place), AGAIN_MS);
      place.untilEnd(() => clearTimeout(timer));
    }
  }

  /** What was not there yet, perhaps is now; until then its sentence stays. @param {Place} place */
  beginAgain(place) {
    place.ending.abort();
    this.place = undefined;
    this.body.replaceChildren();
    this.beginSoon();
  }

  /** @param {string} text */
  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** @param {HTMLElement[]} tools */
  head(tools) {
    const head = element("header", "ticker-head");
    Object.assign(this.field, { type: "text", size: 7, maxLength: 20, spellcheck: false, autocomplete: "off", ariaLabel: t("ticker.symbol") });
    this.field.addEventListener("change", () => this.choose(this.field.value.trim()));
    const template = button("…", () => chooseTemplate(this.desk, this.element.ownerDocument), "quiet");
    template.ariaLabel = template.title = t("ticker.out.choose");
    head.append(groupField(this.group, (group) => this.turn(group)), this.field, ...tools, this.age, this.copy, this.out, template);
    return head;
  }

  /** @param {string} written  people write aapl; BACpM is one as it is */
  choose(written) {
    const symbol = /[A-Z]/.test(written) ? plain(written) : plain(written.toUpperCase());
    if (!symbol) this.field.value = this.symbol ?? "";
    else if (this.link) this.link.choose(symbol);
    else this.show(symbol);
  }

  async copied() {
    try {
      await navigator.clipboard.writeText(this.symbol ?? "");
      this.copy.textContent = t("ticker.copied");
      setTimeout(() => (this.copy.textContent = t("ticker.copy")), 1500);
    } catch {
      this.field.select(); // a page that is not secure may not write there: the person's own keys can
    }
  }

  openOut() {
    const address = addressOf(this.desk, this.symbol ?? "");
    if (address) open(address, "_blank", "noopener,noreferrer");
    else chooseTemplate(this.desk, this.element.ownerDocument);
  }
}

/** Its linked panels, the chart in front. @param {Desk} desk @param {string} symbol @param {string} [group] */
export function openTicker(desk, symbol, group = GROUPS[0]) {
  desk.links.of(group).choose(symbol);
  for (const kind of ["chart", "facts", "rvol", "why", "news", "chart"]) desk.open(kind, { group });
}

/** @param {string} kind @param {Fill} fill @param {(panel: TickerPanel) => HTMLElement[]} [tools] @returns {import("../workspace/panels.mjs").PanelKind} */
export function tickerKind(kind, fill, tools) {
  return { kind, titleKey: `panel.${kind}`, make: (desk, params) => new TickerPanel(desk, params ?? {}, kind, fill, tools) };
}
