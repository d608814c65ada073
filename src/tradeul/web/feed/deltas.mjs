// What a client of docs/protocol.md holds: messages in, changes out, no page and no socket. The same as client/follower.py.

const ASK_AGAIN_MS = 5000; // the gateway may have refused the first request for its limits

/** @typedef {import("./messages.d.ts").Row} Row */
/** @typedef {import("./messages.d.ts").Snapshot} Snapshot */
/** @typedef {import("./messages.d.ts").Delta} Delta */

/**
 * @typedef {{session: string, epoch: number, sequence: number, rows: ReadonlyMap<string, Row>, lacking: string[]}} ListState
 * @typedef {{add: Row[], update: Row[], remove: Row[]}} Changes  what a table must do to follow
 * @typedef {{list?: string, changes?: Changes, ask?: string, cleared?: boolean}} Heard
 *   `list` has another state now; a table follows by `changes`, without them it is shown anew. `ask`: say resync of it.
 *   `cleared`: another session began, before that nothing counts
 */

export class Follower {
  constructor() {
    /** @type {string | undefined} */
    this.session = undefined;
    /** @type {Set<string>} */
    this.known = new Set(); // the lists there are
    /** @type {Map<string, ListState>} */
    this.held = new Map();
    /** @type {Map<string, number>} */
    this.askedAt = new Map();
    this.refused = 0; // messages of an older session
  }

  /** A new socket, which remembers nothing; what is held stays. */
  begin() {
    this.askedAt.clear();
  }

  /** @param {import("./messages.d.ts").ServerMessage} message @param {number} nowMs @returns {Heard} */
  hear(message, nowMs) {
    switch (message.type) {
      case "connected": {
        this.known = new Set(message.lists.map(({ name }) => name));
        for (const list of this.held.keys()) if (!this.known.has(list.split("~")[0])) this.forget(list);
        return { cleared: this.enter(message.session) }; // on a new socket perhaps an earlier one: a market that was begun again
      }
      case "new_day":
        return { cleared: this.reach(message.session) };
      case "unsubscribed":
        this.forget(message.list);
        return { list: message.list };
      case "snapshot":
      case "delta":
        if (!this.known.has(message.list.split("~")[0])) return {};
        // Yesterday never leaks into today; an ISO date orders as text.
        if (this.session !== undefined && message.session < this.session) {
          this.refused += 1;
          return {};
        }
        return { cleared: this.reach(message.session), ...this.follow(message, nowMs) };
    }
    return {};
  }

  /** @param {string} list */
  forget(list) {
    this.held.delete(list);
    this.askedAt.delete(list);
  }

  /** @param {string} session */
  reach(session) {
    return (this.session === undefined || session > this.session) && this.enter(session);
  }

  /** @param {string} session */
  enter(session) {
    if (session === this.session) return false;
    this.session = session;
    this.held.clear();
    this.askedAt.clear();
    return true;
  }

  /** @param {Snapshot | Delta} message @param {number} nowMs @returns {Heard} */
  follow(message, nowMs) {
    const { list } = message;
    const held = this.held.get(list);
    if (message.type === "snapshot") {
      const state = fromSnapshot(message);
      if (!state) return this.ask(list, nowMs);
      this.held.set(list, state);
      this.askedAt.delete(list);
      return { list };
    }
    const { epoch, sequence } = message;
    if (held && (epoch < held.epoch || (epoch === held.epoch && sequence <= held.sequence))) return {}; // contained
    const next = applyDelta(held, message);
    if (!next) return this.ask(list, nowMs);
    this.held.set(list, next.state);
    return { list, changes: next.changes };
  }

  /** @param {string} list @param {number} nowMs @returns {Heard} */
  ask(list, nowMs) {
    const askedAt = this.askedAt.get(list);
    if (askedAt !== undefined && nowMs - askedAt < ASK_AGAIN_MS) return {};
    this.askedAt.set(list, nowMs);
    return { ask: list };
  }
}

/** Null when its rows are not ranked from 0 on. @param {Snapshot} snapshot @returns {ListState | null} */
export function fromSnapshot({ session, epoch, sequence, rows, lacking = [] }) {
  const bySymbol = new Map(rows.map((row) => [row.symbol, row]));
  return bySymbol.size === rows.length && areRanked(bySymbol) ? { session, epoch, sequence, lacking, rows: bySymbol } : null;
}

/**
 * The state after `delta`, with what changed; null when the delta does not follow `state`: then ask for a resync.
 * Rows are replaced, never changed in place, so that a table sees the difference.
 *
 * @param {ListState | undefined} state
 * @param {Delta} delta
 * @returns {{state: ListState, changes: Changes} | null}
 */
export function applyDelta(state, delta) {
  if (!state || delta.epoch !== state.epoch || delta.base !== state.sequence || delta.session !== state.session) return null;
  const rows = new Map(state.rows);
  const touched = new Set();
  for (const step of delta.deltas) {
    const { action, symbol } = step;
    if (action === "add") rows.set(symbol, { ...step.data, symbol, rank: step.rank });
    else if (!rows.has(symbol)) return null;
    else if (action === "remove") rows.delete(symbol);
    else if (action === "rerank") rows.set(symbol, { .../** @type {Row} */ (rows.get(symbol)), rank: step.rank });
    else if (action === "update") rows.set(symbol, { .../** @type {Row} */ (rows.get(symbol)), ...step.data });
    else return null;
    touched.add(symbol);
  }
  if (!areRanked(rows)) return null;
  return { state: { ...state, sequence: delta.sequence, rows, lacking: delta.lacking ?? [] }, changes: changesOf(state.rows, rows, touched) };
}

/** Whether the ranks are 0 to n-1, each once. @param {ReadonlyMap<string, Row>} rows */
function areRanked(rows) {
  const ranks = new Set([...rows.values()].map(({ rank }) => rank));
  for (let rank = 0; rank < rows.size; rank += 1) if (!ranks.has(rank)) return false;
  return true;
}

/**
 * @param {ReadonlyMap<string, Row>} before
 * @param {ReadonlyMap<string, Row>} after
 * @param {Iterable<string>} symbols
 * @returns {Changes}
 */
function changesOf(before, after, symbols) {
  /** @type {Changes} */
  const changes = { add: [], update: [], remove: [] };
  for (const symbol of symbols) {
    const [old, now] = [before.get(symbol), after.get(symbol)];
    if (now && old) changes.update.push(now);
    else if (now) changes.add.push(now);
    else if (old) changes.remove.push(old);
  }
  return changes;
}
