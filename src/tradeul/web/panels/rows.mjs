// What a row tells beside its cells: it has just entered, it has left, nothing of it has changed for long. And the order, where it is held still.

/** @typedef {import("../feed/deltas.mjs").Row} Row */
/** @typedef {import("../feed/deltas.mjs").Changes} Changes */

const ENTERED_MS = 6000;
const LEAVING_MS = 2500; // a row that left stands so long, struck through
const OLD_MS = 10_000;
const TRADES = ["price", "volume", "dollar_volume"]; // the others change with time alone

export class Rows {
  /** @param {HTMLElement} body  the grid's element */
  constructor(body) {
    this.body = body;
    /** @type {Map<string, Row>} */
    this.shown = new Map();
    /** @type {Map<string, number>} */
    this.enteredAt = new Map();
    /** @type {Map<string, number>} */
    this.leftAt = new Map();
    /** @type {Map<string, number>} */
    this.tradedAt = new Map();
    /** @type {Map<string, number> | undefined} each symbol's place, while the order is held */
    this.order = undefined;
  }

  /** Shown anew; what stands there already keeps its age. @param {ReadonlyMap<string, Row>} rows @param {number} nowMs */
  begin(rows, nowMs) {
    const tradedAt = new Map([...rows].map(([symbol, row]) => [symbol, this.traded(row, nowMs)]));
    this.tradedAt = tradedAt;
    this.shown = new Map(rows);
    this.enteredAt.clear();
    this.leftAt.clear();
  }

  /**
   * What the grid must do to follow: who leaves stays a moment longer, and as long as the order is held.
   * @param {Changes} changes @param {number} nowMs @returns {Changes}
   */
  follow({ add, update, remove }, nowMs) {
    /** @type {Changes} */
    const steps = { add: [], update: [...update], remove: [] };
    for (const row of add) {
      this.enteredAt.set(row.symbol, nowMs);
      (this.leftAt.delete(row.symbol) ? steps.update : steps.add).push(row);
    }
    for (const row of [...add, ...update]) {
      this.tradedAt.set(row.symbol, this.traded(row, nowMs));
      this.shown.set(row.symbol, row);
    }
    for (const { symbol } of remove) this.leftAt.set(symbol, nowMs);
    steps.remove = this.gone(nowMs);
    return steps;
  }

  /** When it traded last, as far as was seen here. @param {Row} row @param {number} nowMs */
  traded(row, nowMs) {
    const before = this.shown.get(row.symbol);
    const moved = !before || TRADES.some((name) => row[name] !== before[name]);
    return moved ? nowMs : (this.tradedAt.get(row.symbol) ?? nowMs);
  }

  /** Who left long enough ago to be taken away. @param {number} nowMs @returns {Row[]} */
  gone(nowMs) {
    const found = [];
    for (const [symbol, leftAt] of this.order ? [] : this.leftAt) {
      const row = this.shown.get(symbol);
      if (nowMs - leftAt < LEAVING_MS || !row) continue;
      for (const each of [this.leftAt, this.shown, this.enteredAt, this.tradedAt]) each.delete(symbol);
      found.push(row);
    }
    return found;
  }

  /** Mark the rows that are drawn. @param {number} nowMs */
  paint(nowMs) {
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (this.body.querySelectorAll(".ag-row"))) {
      const symbol = row.getAttribute("row-id") ?? "";
      row.classList.toggle("entered", nowMs - (this.enteredAt.get(symbol) ?? -Infinity) < ENTERED_MS);
      row.classList.toggle("left", this.leftAt.has(symbol));
      row.classList.toggle("old", nowMs - (this.tradedAt.get(symbol) ?? nowMs) >= OLD_MS);
    }
  }

  /** Held: as it was, and who is new below. @param {import("ag-grid-community").IRowNode[]} nodes  sorted in place */
  sort(nodes) {
    const { order } = this;
    if (!order) return;
    const places = new Map(nodes.map((node, place) => [node, order.get(node.id ?? "") ?? order.size + place]));
    nodes.sort((one, other) => /** @type {number} */ (places.get(one)) - /** @type {number} */ (places.get(other)));
  }
}
