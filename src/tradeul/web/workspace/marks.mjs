// What one person thinks of symbols, kept by this browser: pinned ones stand on top of every list, hidden ones are left out for today or for good.
// The market's lists are not changed by it: nobody moves up from below the last place for a row that is hidden.

import { Signal } from "../signal.mjs";

/** @typedef {{pinned: string[], excluded: string[], hidden: string[], session: string | null}} Kept  `hidden` counts in `session` only */

const MOST = 500; // of each; the oldest are forgotten
const KEPT = "marks";

export class Marks {
  /** @param {import("./settings.mjs").Settings} settings @param {Signal<string | null>} day */
  constructor(settings, day) {
    this.settings = settings;
    this.day = day;
    /** @type {Signal<Kept>} */
    this.kept = new Signal(/** @type {Kept} */ ({ pinned: [], excluded: [], hidden: [], session: null }));
    this.read();
    // Another window of the same browser marks too.
    addEventListener("storage", ({ key }) => key?.endsWith(KEPT) && this.read());
    day.listen(() => this.kept.tell());
  }

  read() {
    const kept = this.settings.get(KEPT, /** @type {any} */ ({}));
    const [pinned, excluded, hidden] = [kept.pinned, kept.excluded, kept.hidden].map(symbolsOf);
    this.kept.set({ pinned, excluded, hidden, session: typeof kept.session === "string" ? kept.session : null });
  }

  /** Those that are hidden in this session. */
  get hiddenToday() {
    const { hidden, session } = this.kept.value;
    return session === this.day.value ? hidden : [];
  }

  /** @param {string} symbol */
  isPinned(symbol) {
    return this.kept.value.pinned.includes(symbol);
  }

  /** @param {string} symbol */
  hides(symbol) {
    return this.kept.value.excluded.includes(symbol) || this.hiddenToday.includes(symbol);
  }

  /** Whether anything is hidden at all. */
  get hidesAny() {
    return this.kept.value.excluded.length + this.hiddenToday.length > 0;
  }

  /** On top of every list, or no more. @param {string} symbol */
  pin(symbol) {
    const { pinned } = this.kept.value;
    this.keep({ pinned: pinned.includes(symbol) ? without(pinned, symbol) : [...pinned, symbol] });
  }

  /** Until the next session. @param {string} symbol */
  hideToday(symbol) {
    if (this.day.value !== null) this.keep({ hidden: [...without(this.hiddenToday, symbol), symbol], session: this.day.value });
  }

  /** For good. @param {string} symbol */
  exclude(symbol) {
    this.keep({ excluded: [...without(this.kept.value.excluded, symbol), symbol] });
  }

  /** Neither hidden nor excluded any more. @param {string} symbol */
  show(symbol) {
    this.keep({ hidden: without(this.hiddenToday, symbol), session: this.day.value, excluded: without(this.kept.value.excluded, symbol) });
  }

  /** @param {Partial<Kept>} changes */
  keep(changes) {
    const kept = { ...this.kept.value, ...changes };
    for (const name of /** @type {const} */ (["pinned", "excluded", "hidden"])) kept[name] = kept[name].slice(-MOST);
    this.settings.set(KEPT, kept);
    this.kept.set(kept);
  }

  /** @param {() => void} listener @returns {() => void} stop */
  listen(listener) {
    return this.kept.listen(listener);
  }
}

/** @param {string[]} symbols @param {string} symbol */
const without = (symbols, symbol) => symbols.filter((each) => each !== symbol);

/** What was kept may be another version's, or a person's. @param {unknown} kept @returns {string[]} */
const symbolsOf = (kept) => (Array.isArray(kept) ? kept.filter((each) => typeof each === "string") : []);
