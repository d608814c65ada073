// One list: what it asks, and an AG Grid that follows snapshots and deltas in place.

import { createGrid } from "ag-grid-community";
import { button, element } from "../element.mjs";
import { columnOf } from "../format.mjs";
import { en } from "../words/en.mjs";
import { has, t } from "../words/words.mjs";
import { GROUPS } from "../workspace/links.mjs";
import { chooseColumns } from "./chooser.mjs";
import { gridOptions } from "./grid.mjs";
import { markRows, marking, pinnedFirst } from "./marking.mjs";
import { groupField } from "./group_field.mjs";
import { Rows } from "./rows.mjs";
import { openTicker } from "./ticker.mjs";

/** @typedef {import("../feed/feed.mjs").Head} Head */
/** @typedef {import("../workspace/panels.mjs").Desk} Desk */
/** @typedef {import("ag-grid-community").GridState} GridState */

const FORMULA = /^[=+\-@\t\r]/;
const LOOK_MS = 1000;
const POINTER_RESTS_MS = 1500;
const KEPT = /** @type {const} */ (["columnOrder", "columnSizing", "columnVisibility", "sort", "filter"]); // of the grid's state, in the layout

class ListPanel {
  /** @param {Desk} desk @param {{list: string, view?: GridState, group?: string}} params */
  constructor(desk, { list, view, group = GROUPS[0] }) {
    this.desk = desk;
    this.name = list;
    this.view = view;
    this.group = group;
    /** @type {import("../feed/deltas.mjs").ListState | undefined} */
    this.state = undefined;
    this.element = element("section", "panel");
    this.count = element("span", "count");
    this.asks = element("p", "asks");
    const top = element("header");
    top.append(this.count, this.asks, groupField(group, (chosen) => this.turn(chosen)), button(t("columns.title"), () => this.choose(), "plain small"));
    this.body = element("div", "grid");
    this.body.dataset.list = list;
    this.rows = new Rows(this.body);
    this.note = element("p", "note");
    this.element.append(top, this.body, this.note, element("div", "watermark", t("mode.SIMULATED.mark")));
    this.isShown = false;
    this.isPointed = false;
    /** @type {string | undefined} */
    this.watched = undefined;
    this.stops = [desk.feed.lists.listen(() => this.define()), desk.issueClass.listen(() => this.follow()), desk.frozen.listen(() => this.hold())];
    this.stops.push(markRows(this.body, () => this.grid, desk));
    this.body.addEventListener("pointermove", (event) => this.point(event));
    this.body.addEventListener("pointerleave", () => this.unpoint());
    this.define();
  }

  params() {
    return { list: this.name, ...(this.view ? { view: this.view } : {}), ...(this.group === GROUPS[0] ? {} : { group: this.group }) };
  }

  /** Whose panels follow the row that is chosen here. @param {string} group */
  turn(group) {
    this.group = group;
    this.desk.changed(this);
  }

  /** What the list asks and shows, which may change while it stands. */
  define() {
    const head = this.desk.feed.lists.value.find(({ name }) => name === this.name);
    if (JSON.stringify(head) === JSON.stringify(this.head)) return;
    this.head = head;
    this.title = head ? titleOf(head) : this.name;
    this.where = head?.where.replace(/\s+/g, " ").trim() ?? "";
    this.asks.textContent = this.where;
    const order = head?.order.map(([expression, direction]) => `${expression} ${direction}`).join(", ") ?? "";
    this.asks.title = head ? `${this.where}\n${t("list.ordered_by", { order })}` : "";
    this.grid?.destroy();
    this.grid = undefined;
    this.desk.changed(this);
    this.follow();
  }

  /** @param {boolean} isShown */
  visible(isShown) {
    if (isShown === this.isShown) return;
    this.isShown = isShown;
    clearInterval(this.timer);
    if (isShown) this.timer = setInterval(() => this.look(), LOOK_MS);
    this.follow();
  }

  /** Watch what is shown: a list out of sight is not subscribed to. */
  follow() {
    const wanted = this.isShown && this.head ? feedOf(this.head, this.desk.issueClass.value) : undefined;
    if (wanted !== undefined && !this.grid && this.head) {
      this.grid = createGrid(this.body, { ...gridOptions(this.head), ...this.own() });
      this.grid.setGridAriaProperty("label", this.title ?? this.name);
    } else if (wanted === this.watched) return this.describe();
    this.unwatch?.();
    this.watched = wanted;
    this.unwatch = wanted === undefined ? undefined : this.desk.feed.watch(wanted, (state, changes) => this.show(state, changes));
    this.describe();
  }

  /** What the grid has of this panel. @returns {import("ag-grid-community").GridOptions<import("../feed/deltas.mjs").Row>} */
  own() {
    return {
      ...marking(this.desk.marks),
      ...choosing(this.desk, () => this.group),
      initialState: this.view,
      getDocument: () => this.element.ownerDocument, // that of a window of its own, perhaps
      postSortRows: ({ nodes }) => {
        this.rows.sort(nodes);
        pinnedFirst(this.desk.marks, nodes);
      },
      onFilterChanged: () => this.describe(),
      onStateUpdated: ({ state, sources }) => {
        if (sources.includes("gridInitializing") || !KEPT.some((name) => sources.includes(name))) return;
        this.view = Object.fromEntries(KEPT.filter((name) => state[name]).map((name) => [name, state[name]]));
        this.desk.changed(this);
      },
    };
  }

  /** @param {import("../feed/deltas.mjs").ListState | undefined} state @param {import("../feed/deltas.mjs").Changes} [changes] */
  show(state, changes) {
    const follows = this.state !== undefined && state !== undefined && changes !== undefined;
    this.state = state;
    if (follows) this.apply(this.rows.follow(changes, performance.now()));
    else {
      this.rows.begin(state?.rows ?? new Map(), performance.now());
      this.grid?.flushAsyncTransactions();
      this.grid?.setGridOption("rowData", state ? [...state.rows.values()] : []);
    }
    this.describe();
  }

  /** @param {import("../feed/deltas.mjs").Changes} changes */
  apply(changes) {
    this.grid?.applyTransactionAsync(changes, () => this.rows.paint(performance.now()));
  }

  /** What time alone changes. */
  look() {
    const now = performance.now();
    const gone = this.rows.gone(now);
    if (gone.length) this.apply({ add: [], update: [], remove: gone });
    else this.rows.paint(now);
  }

  /** Hold the order still while the freeze key says so or a pointer moves over the rows, and let it go. */
  hold() {
    const isHeld = this.desk.frozen.value || this.isPointed;
    if (isHeld === (this.rows.order !== undefined)) return;
    this.rows.order = isHeld ? new Map() : undefined;
    if (isHeld) this.grid?.forEachNodeAfterFilterAndSort((node, place) => this.rows.order?.set(node.id ?? "", place));
    else this.grid?.refreshClientSideRowModel("sort");
    this.describe();
  }

  /** Nothing jumps away under a pointer that is about to click. @param {PointerEvent} event */
  point({ pointerType, target }) {
    if (pointerType !== "mouse" || !(/** @type {Element} */ (target).closest(".ag-row"))) return;
    clearTimeout(this.pointing);
    this.pointing = setTimeout(() => this.unpoint(), POINTER_RESTS_MS);
    this.isPointed = true;
    this.hold();
  }

  unpoint() {
    clearTimeout(this.pointing);
    this.isPointed = false;
    this.hold();
  }

  choose() {
    if (this.grid) chooseColumns(this.title ?? this.name, this.grid, () => this.reset(), this.element.ownerDocument);
  }

  /** The list's own columns, order and widths; nothing filtered. */
  reset() {
    this.view = undefined;
    this.grid?.resetColumnState();
    this.grid?.setFilterModel(null);
    this.view = undefined;
    this.desk.changed(this);
  }

  /** Why there is no row. */
  emptiness() {
    if (!this.head) return t("list.gone", { list: this.name });
    if (!this.state) return t("list.waiting");
    const { lacking } = this.state;
    if (!lacking.length) return t(`list.nobody.${this.desk.issueClass.value || "own"}`, { where: this.where ?? "" });
    if (this.desk.feed.status.value.mode === "END_OF_DAY") return t("list.needs_intraday");
    return t("list.lacking", { columns: lacking.map((name) => columnOf(name).label).join(", ") });
  }

  describe() {
    const size = this.state?.rows.size;
    const filtered = size && this.grid?.isAnyFilterPresent() ? this.grid.getDisplayedRowCount() : undefined;
    const rows = size === undefined ? "" : t(size === 1 ? "list.row" : "list.rows", { count: size });
    const said = filtered === undefined ? rows : t("list.of", { count: filtered, rows });
    this.count.textContent = this.rows.order ? `${said} · ${t("freeze.held")}` : said;
    this.note.hidden = Boolean(size);
    this.note.textContent = this.emptiness();
  }

  /** Columns, filter and order as they are seen; what a spreadsheet would compute stays text, as in the server's CSV. */
  csv() {
    return this.grid?.getDataAsCsv({ processCellCallback: ({ value }) => (typeof value === "string" && FORMULA.test(value) ? `'${value}` : (value ?? "")) });
  }

  close() {
    clearInterval(this.timer);
    clearTimeout(this.pointing);
    for (const stop of this.stops) stop();
    this.unwatch?.();
    this.grid?.destroy();
  }
}

/**
 * A row is chosen by a click or the space bar: the panels of the colour group show its symbol. A double click or Enter opens them.
 * A list of no group opens the first one's.
 * @param {Desk} desk @param {() => string} groupNow
 * @returns {import("ag-grid-community").GridOptions<import("../feed/deltas.mjs").Row>}
 */
function choosing(desk, groupNow) {
  const choose = (/** @type {string} */ symbol) => groupNow() && desk.links.of(groupNow()).choose(symbol);
  return {
    onRowClicked: ({ data }) => data && choose(data.symbol),
    onRowDoubleClicked: ({ data }) => data && openTicker(desk, data.symbol, groupNow() || undefined),
    onCellKeyDown: ({ data, event }) => {
      const { key } = /** @type {KeyboardEvent} */ (event);
      if (data && key === " ") choose(data.symbol);
      if (data && key === "Enter") openTicker(desk, data.symbol, groupNow() || undefined);
    },
  };
}

/** The name under which the gateway sends `head` in another class. @param {Head} head @param {string} issueClass */
function feedOf({ name, class: own }, issueClass) {
  return issueClass && issueClass !== own ? `${name}~${issueClass}` : name;
}

/** Built-in lists speak the reader's language; a person's own list is called what they called it. @param {Head} head */
export function titleOf({ name, title }) {
  const key = `list.title.${name}`;
  return has(key) && title === en[/** @type {keyof typeof en} */ (key)] ? t(key) : title;
}

/** @type {import("../workspace/panels.mjs").PanelKind} */
export const list = { kind: "list", titleKey: "panel.list", make: (desk, params) => new ListPanel(desk, params) };
