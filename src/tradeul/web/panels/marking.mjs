// Marks on the rows of a list: P pins the row that has the focus, H hides it today, X for good; the context menu offers the same.

import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "../workspace/dialog.mjs";

/** @typedef {import("../workspace/marks.mjs").Marks} Marks */
/** @typedef {import("../workspace/panels.mjs").Desk} Desk */
/** @typedef {import("../feed/deltas.mjs").Row} Row */
/** @typedef {import("ag-grid-community").GridApi<Row>} Grid */

/** What the grid leaves out, and how a pinned row looks. @param {Marks} marks @returns {import("ag-grid-community").GridOptions<Row>} */
export function marking(marks) {
  return {
    isExternalFilterPresent: () => marks.hidesAny,
    doesExternalFilterPass: ({ data }) => !data || !marks.hides(data.symbol),
    rowClassRules: { kept: ({ data }) => data !== undefined && marks.isPinned(data.symbol) },
  };
}

/** Pinned rows on top, among them the order as it is. @param {Marks} marks @param {import("ag-grid-community").IRowNode<Row>[]} nodes  sorted in place */
export function pinnedFirst(marks, nodes) {
  const last = (/** @type {import("ag-grid-community").IRowNode<Row>} */ node) => Number(!marks.isPinned(node.id ?? ""));
  if (marks.kept.value.pinned.length) nodes.sort((one, other) => last(one) - last(other));
}

/** @param {HTMLElement} body  the grid's element @param {() => Grid | undefined} grid @param {Desk} desk @returns {() => void} stop */
export function markRows(body, grid, desk) {
  /** @type {Record<string, (symbol: string) => void>} */
  const keys = { p: (symbol) => desk.marks.pin(symbol), h: (symbol) => hide(desk, symbol), x: (symbol) => exclude(desk, symbol) };
  body.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    const symbol = symbolAt(event.target);
    if (!act || !symbol || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(symbol);
  });
  body.addEventListener("contextmenu", (event) => {
    const symbol = symbolAt(event.target);
    if (!symbol) return;
    event.preventDefault();
    offer(desk, symbol, body.ownerDocument);
  });
  return desk.marks.listen(() => {
    grid()?.onFilterChanged();
    grid()?.refreshClientSideRowModel("sort");
    grid()?.redrawRows();
  });
}

/** Of the row that an event is in. @param {EventTarget | null} target */
const symbolAt = (target) => /** @type {Element | null} */ (target)?.closest(".ag-row")?.getAttribute("row-id");

/** @param {Desk} desk @param {string} symbol */
function hide(desk, symbol) {
  desk.marks.hideToday(symbol);
  desk.say(t("marks.said_hidden", { symbol }));
}

/** @param {Desk} desk @param {string} symbol */
function exclude(desk, symbol) {
  desk.marks.exclude(symbol);
  desk.say(t("marks.said_excluded", { symbol }));
}

/** @param {Desk} desk @param {string} symbol @param {Document} page */
function offer(desk, symbol, page) {
  openDialog(
    symbol,
    (body, close) => {
      const choice = (/** @type {string} */ text, /** @type {() => void} */ act) => button(text, () => (close(), act()), "choice");
      body.append(
        choice(t(desk.marks.isPinned(symbol) ? "marks.unpin" : "marks.pin"), () => desk.marks.pin(symbol)),
        choice(t("marks.hide"), () => hide(desk, symbol)),
        choice(t("marks.exclude"), () => exclude(desk, symbol)),
        choice(t("marks.all"), () => showMarks(desk, page)),
      );
    },
    page,
  );
}

/** Every mark, each with the way back. @param {Desk} desk @param {Document} [page] */
export function showMarks(desk, page) {
  const { marks } = desk;
  const fill = (/** @type {HTMLElement} */ body) => {
    const { pinned, excluded } = marks.kept.value;
    const parts = [
      part(t("marks.pinned"), pinned, t("marks.unpin"), (symbol) => marks.pin(symbol)),
      part(t("marks.hidden"), marks.hiddenToday, t("marks.show"), (symbol) => marks.show(symbol)),
      part(t("marks.excluded"), excluded, t("marks.show"), (symbol) => marks.show(symbol)),
    ].filter((each) => each !== null);
    body.replaceChildren(...(parts.length ? parts : [element("p", "", t("marks.none"))]));
  };
  const dialog = openDialog(t("marks.title"), fill, page);
  const stop = marks.listen(() => fill(/** @type {HTMLElement} */ (dialog.querySelector(".dialog-body"))));
  dialog.addEventListener("close", stop);
}

/** @param {string} title @param {string[]} symbols @param {string} back @param {(symbol: string) => void} act */
function part(title, symbols, back, act) {
  if (!symbols.length) return null;
  const made = element("section", "");
  const list = element("ul", "choices");
  for (const symbol of symbols) {
    const line = element("li", "", symbol);
    const way = button(back, () => act(symbol), "small");
    way.ariaLabel = `${symbol}: ${back}`;
    line.append(way);
    list.append(line);
  }
  made.append(element("h3", "", title), list);
  return made;
}
