// When somebody is told: rules over enters and leaves. Pure: the time is handed in, and an alert is a value.
//
//   enter --> waiting --(stayed long enough, and the row fulfils the conditions)--> alert
//                     --(left)--> nothing
//   leave --(had stayed long enough, and the last row fulfils the conditions)-----> alert
//
// One alert a stay at most: who waited and was told waits no more, and a symbol that comes again within the cool-down of
// its last alert is not told again for that stay. A rule that is changed is another rule (`id`): it begins with who comes next.

/**
 * @typedef {import("./stays.mjs").Event} Event
 * @typedef {import("./stays.mjs").Row} Row
 * @typedef {{column: string, comparison: ">=" | "<=" | "=", value: number | string}} Condition
 * @typedef {{id: string, list: string, event: "enter" | "leave", conditions: Condition[], staySeconds: number, coolDownSeconds: number,
 *   sound: boolean, spoken: boolean, notice: boolean, on: boolean}} Rule
 * @typedef {{rule: Rule, symbol: string, at: number, row: Row | undefined}} Alert
 * @typedef {{waiting: [string, number][], told: [string, number][]}} Kept  JSON
 */

/** Unknown fulfils nothing. @param {Condition} condition @param {Row | undefined} row */
export function fulfils({ column, comparison, value }, row) {
  const known = row?.[column];
  if (known === null || known === undefined) return false;
  if (comparison === "=") return String(known).toLowerCase() === String(value).toLowerCase();
  if (typeof known !== "number") return false;
  return comparison === ">=" ? known >= Number(value) : known <= Number(value);
}

/** @param {Rule} rule @param {string} symbol */
const keyOf = (rule, symbol) => `${rule.id} ${symbol}`;

export class Alerts {
  /** @param {Kept} [kept]  what another window, or this one before a reload, held */
  constructor(kept = { waiting: [], told: [] }) {
    /** @type {Rule[]} */
    this.rules = [];
    /** @type {Map<string, number>} rule and symbol -> since when it is on the list */
    this.waiting = new Map(kept.waiting);
    /** @type {Map<string, number>} rule and symbol -> when it was told last */
    this.told = new Map(kept.told);
  }

  /** @returns {Kept} */
  keep() {
    return { waiting: [...this.waiting], told: [...this.told] };
  }

  /** @param {Rule[]} rules */
  use(rules) {
    this.rules = rules.filter(({ on }) => on);
    const ids = new Set(this.rules.map(({ id }) => id));
    for (const held of [this.waiting, this.told]) for (const key of held.keys()) if (!ids.has(key.split(" ")[0])) held.delete(key);
  }

  /** Another session: who waited is on no list. */
  forgetStays() {
    this.waiting.clear();
  }

  /** @param {Event[]} events @returns {Alert[]} of leaves; enters wait for `due` */
  hear(events) {
    /** @type {Alert[]} */
    const alerts = [];
    for (const event of events) {
      for (const rule of this.rules) {
        if (rule.list !== event.list) continue;
        const key = keyOf(rule, event.symbol);
        if (event.event === "leave") this.waiting.delete(key);
        if (event.event !== rule.event || event.late) continue;
        if (rule.event === "enter") this.waiting.set(key, event.since);
        else if (event.at - event.since >= rule.staySeconds * 1000 && holds(rule, event.row)) this.tell(rule, event.symbol, event.row, event.at, alerts);
      }
    }
    return alerts;
  }

  /** @param {number} now @param {(list: string, symbol: string) => Row | undefined} rowOf @returns {Alert[]} */
  due(now, rowOf) {
    /** @type {Alert[]} */
    const alerts = [];
    for (const [key, since] of [...this.waiting]) {
      const [id, symbol] = key.split(" ");
      const rule = this.rules.find((each) => each.id === id);
      const row = rule && rowOf(rule.list, symbol);
      if (!rule || !row || now - since < rule.staySeconds * 1000 || !holds(rule, row)) continue;
      this.waiting.delete(key);
      this.tell(rule, symbol, row, now, alerts);
    }
    return alerts;
  }

  /** @param {Rule} rule @param {string} symbol @param {Row | undefined} row @param {number} at @param {Alert[]} alerts */
  tell(rule, symbol, row, at, alerts) {
    const key = keyOf(rule, symbol);
    const last = this.told.get(key);
    if (last !== undefined && at - last < rule.coolDownSeconds * 1000) return;
    this.told.delete(key); // the newest stand last, the oldest are dropped
    this.told.set(key, at);
    if (this.told.size > MOST_TOLD) this.told.delete(/** @type {string} */ (this.told.keys().next().value));
    alerts.push({ rule, symbol, at, row });
  }
}

const MOST_TOLD = 10_000;

/** @param {Rule} rule @param {Row | undefined} row */
const holds = (rule, row) => rule.conditions.every((condition) => fulfils(condition, row));
