// What comes over the socket, shared by all panels: each list is subscribed to once while somebody looks at it.

import { Signal } from "../signal.mjs";
import { Connection } from "./connection.mjs";
import { Follower } from "./deltas.mjs";
import { ProductClock } from "./product_clock.mjs";

/**
 * @typedef {import("./deltas.mjs").ListState} ListState
 * @typedef {import("./deltas.mjs").Changes} Changes
 * @typedef {import("./messages.d.ts").ListHead} Head  a list there is
 * @typedef {import("./messages.d.ts").Filing | import("./messages.d.ts").Article} Told
 * @typedef {"connecting" | "open" | "lost" | "refused"} ConnectionState  refused: no token, or a wrong one
 * @typedef {{connection: ConnectionState, session: string | null, phase: string | null, mode: string | null,
 *   stale: boolean, ageMs: number | null, lagMs: number | null, refused: number}} Status  `refused`: messages of an older session
 * @typedef {(state: ListState | undefined, changes?: Changes) => void} Watcher
 *   undefined: nothing is held (yet, or any more); without changes the state is shown anew
 */

/** @type {Status} */
const UNKNOWN = { connection: "connecting", session: null, phase: null, mode: null, stale: false, ageMs: null, lagMs: null, refused: 0 };

export class Feed {
  /** @param {(config: import("./connection.mjs").Config) => void} onConfig */
  constructor(onConfig) {
    /** @type {Signal<Status>} */
    this.status = new Signal(UNKNOWN);
    /** @type {Signal<Head[]>} */
    this.lists = new Signal(/** @type {Head[]} */ ([]));
    /** @type {Signal<string | null>} the session whose rows count; at another everything shown is dropped */
    this.day = new Signal(/** @type {string | null} */ (null));
    this.clock = new ProductClock();
    this.follower = new Follower();
    /** @type {Map<string, Set<Watcher>>} */
    this.watchers = new Map();
    /** @type {Set<(message: Told) => void>} */
    this.toldListeners = new Set();
    this.connection = new Connection({
      onState: (connection) => {
        if (connection !== "open") this.follower.begin();
        this.say(connection === "open" ? { connection } : { connection, ageMs: null });
      },
      onConfig: (config) => {
        this.say({ mode: config.mode });
        onConfig(config);
      },
      onMessage: (message) => this.hear(message),
    });
  }

  /**
   * Be told the state of `list` (or its variant, as winners~etf) at once and whenever it changes.
   * @param {string} list @param {Watcher} watcher @returns {() => void} unwatch
   */
  watch(list, watcher) {
    const watchers = this.watchers.get(list) ?? new Set();
    this.watchers.set(list, watchers.add(watcher));
    if (watchers.size === 1) this.connection.watch(list);
    watcher(this.follower.held.get(list));
    return () => {
      if (!watchers.delete(watcher) || watchers.size) return;
      this.watchers.delete(list);
      this.connection.unwatch(list);
    };
  }

  /** Filings and news as they appear. @param {(message: Told) => void} listener @returns {() => void} stop */
  told(listener) {
    this.toldListeners.add(listener);
    this.connection.wantTold(true);
    return () => {
      this.toldListeners.delete(listener);
      if (!this.toldListeners.size) this.connection.wantTold(false);
    };
  }

  /** @param {import("./messages.d.ts").ServerMessage} message */
  hear(message) {
    const heard = this.follower.hear(message, performance.now());
    const refused = (message.type === "snapshot" && heard.list === undefined) || (message.type === "new_day" && !heard.cleared);
    if (!refused) this.note(message); // the date of what is not shown is nobody's
    if (this.follower.refused !== this.status.value.refused) this.say({ refused: this.follower.refused });
    if (heard.cleared) {
      for (const watchers of this.watchers.values()) for (const watcher of [...watchers]) watcher(undefined);
      const session = this.follower.session ?? null;
      if (this.day.value === null) this.day.value = session; // the first is no new one
      else this.day.set(session);
    }
    if (heard.list !== undefined) {
      const state = this.follower.held.get(heard.list);
      for (const watcher of [...(this.watchers.get(heard.list) ?? [])]) watcher(state, heard.changes);
    }
    if (heard.ask !== undefined && this.watchers.has(heard.ask)) this.connection.resync(heard.ask);
    if (message.type === "connected" && JSON.stringify(message.lists) !== JSON.stringify(this.lists.value)) this.lists.set(message.lists);
    if (message.type === "filing" || message.type === "news") for (const listener of [...this.toldListeners]) listener(message);
  }

  /** @param {import("./messages.d.ts").ServerMessage} message */
  note(message) {
    switch (message.type) {
      case "connected":
        this.clock.set(Date.parse(message.server_time));
        this.say({ phase: message.phase, mode: message.mode });
        // Before an end-of-day product has its first close, the gateway's session is only how far back it would go.
        if (message.mode !== "END_OF_DAY") this.say({ session: message.session });
        break;
      case "snapshot":
        if (message.count) this.say({ session: message.session });
        break;
      case "new_day":
        this.say({ session: message.session });
        break;
      case "pong":
        this.clock.set(message.timestamp);
        break;
      case "status":
        this.say({ phase: message.phase, mode: message.mode, stale: message.stale, ageMs: message.feed_age_ms, lagMs: message.feed_lag_p99_ms });
    }
  }

  /** @param {Partial<Status>} news */
  say(news) {
    const { value } = this.status;
    if (Object.entries(news).some(([name, each]) => value[/** @type {keyof Status} */ (name)] !== each)) this.status.set({ ...value, ...news });
  }
}
