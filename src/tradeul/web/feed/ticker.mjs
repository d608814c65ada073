// Everything that is known of one ticker now, whether or not it is on a list: asked of the scanner every two seconds while
// somebody looks, once for all who do. The same values as the lists', of the same cycle.

const EVERY_MS = 2000;

/**
 * @typedef {import("../workspace/panels.mjs").Desk} Desk
 * @typedef {Record<string, any>} Columns  every column there is; unknown is null
 * @typedef {{session: string, phase: string, asOf: number, columns: Columns | null}} Known  `columns` null: the scanner has no such ticker
 * @typedef {{known?: Known, error?: Error}} Told  `error`: why it cannot be told now
 */

/** @type {WeakMap<Desk, Map<string, Ticker>>} */
const asked = new WeakMap();

class Ticker {
  /** @param {Desk} desk @param {string} symbol */
  constructor(desk, symbol) {
    this.desk = desk;
    this.symbol = symbol;
    /** @type {Set<(told: Told) => void>} */
    this.listeners = new Set();
    /** @type {Told | undefined} */
    this.told = undefined;
    this.isAsking = false;
  }

  async ask() {
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.listeners.size) {
      if (!document.hidden) this.tell(await this.answer());
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    this.isAsking = false;
  }

  /** @returns {Promise<Told>} */
  async answer() {
    try {
      const list = this.desk.feed.lists.value[0]?.name ?? "winners"; // any list's answer has all columns
      const { session, phase, as_of, columns } = await this.desk.api.get(`api/explain/${list}/${encodeURIComponent(this.symbol)}`);
      return { known: { session, phase, asOf: Date.parse(as_of), columns: Object.keys(columns).length ? columns : null } };
    } catch (error) {
      return { error: /** @type {Error} */ (error) };
    }
  }

  /** @param {Told} told */
  tell(told) {
    this.told = told;
    for (const listener of [...this.listeners]) listener(told);
  }
}

/** @param {Desk} desk @param {string} symbol @param {(told: Told) => void} listener @returns {() => void} stop */
export function followTicker(desk, symbol, listener) {
  const tickers = asked.get(desk) ?? new Map();
  asked.set(desk, tickers);
  const ticker = tickers.get(symbol) ?? new Ticker(desk, symbol);
  tickers.set(symbol, ticker);
  ticker.listeners.add(listener);
  if (ticker.isAsking && ticker.told) listener(ticker.told);
  void ticker.ask();
  return () => {
    ticker.listeners.delete(listener);
    if (!ticker.listeners.size) tickers.delete(symbol);
  };
}
