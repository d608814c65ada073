// Who is on each list since when, from the states that are heard: enters and leaves out. Pure: the time is handed in.
//
//   state of a list + who was on it -> who came, who went
//
// A state that follows another within `AWAY_MS` is held against it whichever way it came: by a delta, by a snapshot after
// a lost connection or a resync, in another window, after a reload. Who came while nobody looked for longer is told as
// `late`: true, but no news. The first state of a session, or of a list whose question was changed, is nobody's coming.

export const AWAY_MS = 60_000;

/**
 * @typedef {import("../feed/deltas.mjs").Row} Row
 * @typedef {{list: string, session: string, symbol: string, event: "enter" | "leave", at: number, since: number, late: boolean,
 *   row: Row | undefined}} Event  `at`, `since`: when it was seen, and when it had come. `row`: as it stands, of a leave as it was
 *   last held; not known of one who left before a new window looked
 * @typedef {{at: number, row: Row | undefined}} Stay
 * @typedef {{session: string, question: string, aliveAt: number, stays: Map<string, Stay>}} Held
 * @typedef {{list: string, session: string, question: string, aliveAt: number, stays: [string, number][]}[]} Kept  JSON, without rows
 */

export class Stays {
  /** @param {Kept} [kept]  what another window, or this one before a reload, held */
  constructor(kept = []) {
    /** @type {Map<string, Held>} */
    this.lists = new Map(kept.map(({ list, stays, ...held }) => [list, { ...held, stays: new Map(stays.map(([symbol, at]) => [symbol, { at, row: undefined }])) }]));
  }

  /** @returns {Kept} */
  keep() {
    return [...this.lists].map(([list, { stays, ...held }]) => ({ list, ...held, stays: [...stays].map(([symbol, { at }]) => [symbol, at]) }));
  }

  /** Forget the lists that nobody asks for any more. @param {ReadonlySet<string>} wanted */
  only(wanted) {
    for (const list of this.lists.keys()) if (!wanted.has(list)) this.lists.delete(list);
  }

  /** `list` is current though it says nothing. @param {string} list @param {number} now */
  alive(list, now) {
    const held = this.lists.get(list);
    if (held && now - held.aliveAt <= AWAY_MS) held.aliveAt = now;
  }

  /** @param {string} list @param {string} symbol */
  row(list, symbol) {
    return this.lists.get(list)?.stays.get(symbol)?.row;
  }

  /**
   * @param {string} list
   * @param {{session: string, rows: ReadonlyMap<string, Row>}} state
   * @param {string} question  what the list asks; another one makes another list of it
   * @param {number} now  epoch milliseconds
   * @returns {Event[]}  leaves first
   */
  hear(list, { session, rows }, question, now) {
    const before = this.lists.get(list);
    const follows = before?.session === session && before.question === question;
    /** @type {Map<string, Stay>} */
    const stays = new Map();
    for (const [symbol, row] of rows) stays.set(symbol, { at: (follows && before.stays.get(symbol)?.at) || now, row });
    this.lists.set(list, { session, question, aliveAt: now, stays });
    if (!follows) return [];
    const late = now - before.aliveAt > AWAY_MS;
    /** @param {"enter" | "leave"} event @param {string} symbol @param {Stay} stay @returns {Event} */
    const told = (event, symbol, { at, row }) => ({ list, session, symbol, event, at: now, since: at, late, row });
    const left = [...before.stays].filter(([symbol]) => !stays.has(symbol));
    const came = [...stays].filter(([symbol]) => !before.stays.has(symbol));
    return [...left.map(([symbol, stay]) => told("leave", symbol, stay)), ...came.map(([symbol, stay]) => told("enter", symbol, stay))];
  }
}
