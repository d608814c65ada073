// One list's rows, from its snapshot and the deltas since: values in, values out, no page and no socket.

/**
 * @typedef {{symbol: string, rank: number, [column: string]: unknown}} Row
 * @typedef {{session: string, epoch: number, sequence: number, rows: ReadonlyMap<string, Row>, lacking: string[]}} ListState
 * @typedef {{add: Row[], update: Row[], remove: Row[]}} Changes  what a table must do to follow
 */

/** @param {any} snapshot @returns {ListState} */
export function fromSnapshot({ session, epoch, sequence, rows, lacking = [] }) {
  return { session, epoch, sequence, lacking, rows: new Map(rows.map((/** @type {Row} */ row) => [row.symbol, row])) };
}

/**
 * The state after `delta`, with what changed; null when the delta does not follow `state`: then ask for a resync.
 * Rows are replaced, never changed in place, so that a table sees the difference.
 *
 * @param {ListState | undefined} state
 * @param {any} delta
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
  return { state: { ...state, sequence: delta.sequence, rows, lacking: delta.lacking ?? [] }, changes: changesOf(state.rows, rows, touched) };
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
