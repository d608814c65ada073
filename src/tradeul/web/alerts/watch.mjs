// Follows the lists that are logged or have a rule, in one window of the browser: writes the journal, then tells.
//
//   feed -> Stays -> enters and leaves -> Alerts -> journal (IndexedDB) -> sound, voice, notice
//
// One window leads, by the browser's own lock; when it closes, the next one goes on from what the journal keeps. What is
// told is noted first: a window that ends between the two has told nothing, and nobody tells it twice.

import { Alerts } from "./rules.mjs";
import { Stays } from "./stays.mjs";
import { tell } from "./tell.mjs";

const TICK_MS = 1000;
const KEEP_EVERY_MS = 5000;
const MOST_WAITING = 1000; // lines, while the browser is slow to write; then the oldest are lost

/**
 * @typedef {import("./journal.mjs").Line} Line
 * @typedef {{lists: string[], rules: import("./rules.mjs").Rule[]}} Wanted  what is logged, and what is told
 */

export class Watch {
  /**
   * @param {import("../feed/feed.mjs").Feed} feed
   * @param {import("../signal.mjs").Signal<Wanted>} wanted
   * @param {import("./journal.mjs").Journal} journal
   */
  constructor(feed, wanted, journal) {
    this.feed = feed;
    this.wanted = wanted;
    this.journal = journal;
    /** Whether other windows are known of: without the browser's lock each window tells for itself. */
    this.isShared = "locks" in navigator;
    /** @type {Map<string, () => void>} */
    this.unwatch = new Map();
    /** @type {Line[]} */
    this.lines = [];
    /** @type {import("./rules.mjs").Alert[]} */
    this.alerts = [];
    this.keptAt = 0;
    this.isWriting = false;
    if (this.isShared) void navigator.locks.request("tradeul-alerts", () => this.lead().then(() => new Promise(() => {})));
    else void this.lead();
  }

  async lead() {
    const kept = await this.journal.kept();
    this.stays = new Stays(kept?.stays);
    this.rules = new Alerts(kept?.alerts);
    this.wanted.follow(() => this.follow());
    this.feed.lists.listen(() => this.follow());
    this.feed.day.listen(() => this.rules?.forgetStays());
    setInterval(() => this.tick(), TICK_MS);
  }

  /** Watch what is wanted and there is, and nothing else. */
  follow() {
    const { lists, rules } = this.wanted.value;
    this.rules?.use(rules);
    const asked = new Set([...lists, ...rules.filter(({ on }) => on).map(({ list }) => list)]);
    for (const [list, stop] of this.unwatch) {
      if (asked.has(list)) continue;
      stop();
      this.unwatch.delete(list);
    }
    for (const list of asked) if (!this.unwatch.has(list)) this.unwatch.set(list, this.feed.watch(list, (state) => this.hear(list, state)));
    this.stays?.only(asked);
    this.keptAt = 0; // what is held of them is kept at the next tick
  }

  /** @param {string} list @param {import("../feed/deltas.mjs").ListState | undefined} state */
  hear(list, state) {
    const head = this.feed.lists.value.find(({ name }) => name === list);
    if (!state || !head || !this.stays || !this.rules || this.feed.status.value.connection !== "open") return;
    const events = this.stays.hear(list, state, JSON.stringify([head.where, head.order, head.class]), Date.now());
    this.note(events.map((event) => this.line(event, event.event)), this.rules.hear(events));
    this.askForDue();
  }

  tick() {
    if (this.feed.status.value.connection !== "open" || !this.stays) return;
    for (const list of this.unwatch.keys()) this.stays.alive(list, Date.now());
    this.askForDue();
    if (Date.now() - this.keptAt > KEEP_EVERY_MS) void this.write();
  }

  askForDue() {
    const { stays, rules } = this;
    if (stays && rules) this.note([], rules.due(Date.now(), (list, symbol) => stays.row(list, symbol)));
  }

  /** @param {Line[]} lines @param {import("./rules.mjs").Alert[]} alerts */
  note(lines, alerts) {
    if (!lines.length && !alerts.length) return;
    const told = alerts.map(({ rule, symbol, at, row }) => this.line({ list: rule.list, session: this.feed.day.value ?? "", symbol, at, late: false, row }, "alert"));
    this.lines = [...this.lines, ...lines, ...told].slice(-MOST_WAITING);
    this.alerts.push(...alerts);
    void this.write();
  }

  /** One writing at a time; what comes meanwhile is written together after it. */
  async write() {
    if (this.isWriting || !this.stays || !this.rules) return;
    this.isWriting = true;
    try {
      do {
        const [lines, alerts] = [this.lines.splice(0), this.alerts.splice(0)];
        this.keptAt = Date.now();
        await this.journal.write(lines, { stays: this.stays.keep(), alerts: this.rules.keep() });
        if (alerts.length) tell(alerts, (list) => this.titleOf(list));
      } while (this.lines.length);
    } finally {
      this.isWriting = false;
    }
  }

  /** @param {string} list */
  titleOf(list) {
    return this.feed.lists.value.find(({ name }) => name === list)?.title ?? list;
  }

  /**
   * @param {{list: string, session: string, symbol: string, at: number, late: boolean, row: import("../feed/deltas.mjs").Row | undefined}} seen
   * @param {Line["event"]} event
   * @returns {Line}
   */
  line({ list, session, symbol, at, late, row }, event) {
    const number = (/** @type {unknown} */ value) => (typeof value === "number" ? value : null);
    const [rank, price, changePct] = [number(row?.rank), number(row?.price), number(row?.change_pct)];
    return { at, marketAt: this.feed.clock.now(), session, list, symbol, event, late, rank, price, changePct };
  }
}
