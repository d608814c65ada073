// One list on the page: its title, what it asks, and an AG Grid that follows snapshots and deltas in place.

import { AllCommunityModule, ModuleRegistry, createGrid, themeQuartz } from "ag-grid-community";
import { columnOf, format, tone } from "./format.mjs";

ModuleRegistry.registerModules([AllCommunityModule]);

/**
 * @typedef {{name: string, title: string, where: string, order: [string, string][], columns: string[], class: string}} Head
 * @typedef {import("./deltas.mjs").Row} Row
 * @typedef {import("./format.mjs").Kind} Kind
 */

/** @type {Record<Kind, number>} */
const WIDTHS = { price: 70, change: 72, pct: 68, ratio: 72, shares: 68, dollars: 74, count: 70, time: 76, text: 88, flag: 62 };
const WIDE_TEXT = { name: 170, headline: 240, industry: 140, sector: 120 }; // at least; they take what is left
/** @type {Record<string, string>} */
const ISSUES = { "": "ticker", stocks: "stock", etf: "fund without leverage", leveraged: "leveraged fund", all: "issue" };
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

// Colours come from app.css, which knows light and dark.
const THEME = themeQuartz.withParams({
  accentColor: "var(--accent)",
  backgroundColor: "var(--panel)",
  foregroundColor: "var(--ink)",
  borderColor: "var(--line)",
  headerBackgroundColor: "var(--head)",
  headerTextColor: "var(--muted)",
  oddRowBackgroundColor: "var(--panel)",
  rowHoverColor: "var(--hover)",
  valueChangeValueHighlightBackgroundColor: "var(--flash)",
  browserColorScheme: "inherit",
  fontFamily: "inherit",
  fontSize: 12.5,
  headerFontSize: 11.5,
  headerFontWeight: 500,
  rowHeight: 25,
  headerHeight: 27,
  cellHorizontalPadding: 7,
  iconSize: 12,
  spacing: 4,
  wrapperBorder: false,
  wrapperBorderRadius: 0,
  columnBorder: false,
  headerColumnBorder: false,
  headerColumnResizeHandleColor: "transparent",
});

export class ListPanel {
  /** @param {Head} head @param {string} issueClass  "": the list's own */
  constructor(head, issueClass) {
    this.head = head;
    this.issueClass = issueClass;
    /** @type {import("./deltas.mjs").ListState | undefined} */
    this.state = undefined;
    this.element = element("section", "panel");
    this.title = element("h2", "", head.title);
    this.count = element("span", "count");
    this.where = head.where.replace(/\s+/g, " ").trim();
    const asks = element("p", "asks", this.where);
    asks.title = `${this.where}\nordered by ${head.order.map(([expression, direction]) => `${expression} ${direction}`).join(", ")}`;
    this.top = element("header", "");
    this.top.append(this.title, this.count, asks);
    this.body = element("div", "grid");
    this.body.dataset.list = head.name;
    this.note = element("p", "note", "Waiting for the first rows…");
    this.element.append(this.top, this.body, this.note, element("div", "watermark", "SIMULATED"));
    this.grid = createGrid(this.body, gridOptions(head));
    this.grid.setGridAriaProperty("label", head.title);
  }

  /** The name under which the gateway sends it. */
  get feed() {
    const { name, class: own } = this.head;
    return this.issueClass && this.issueClass !== own ? `${name}~${this.issueClass}` : name;
  }

  close() {
    this.grid.destroy();
    this.element.remove();
  }

  /** @param {import("./deltas.mjs").ListState | undefined} state */
  show(state) {
    this.state = state;
    this.grid.flushAsyncTransactions();
    this.grid.setGridOption("rowData", state ? [...state.rows.values()] : []);
    this.describe();
  }

  /** @param {import("./deltas.mjs").ListState} state @param {import("./deltas.mjs").Changes} changes */
  follow(state, changes) {
    this.state = state;
    this.grid.applyTransactionAsync(changes, ({ add }) => {
      if (add.length && !CALM.matches) this.grid.flashCells({ rowNodes: add, columns: ["symbol"] });
    });
    this.describe();
  }

  /** Why there is no row. */
  emptiness() {
    if (!this.state) return "Waiting for the first rows…";
    const { lacking } = this.state;
    if (!lacking.length) return `No ${ISSUES[this.issueClass]} fulfils ${this.where} now.`;
    if (document.body.dataset.mode === "END_OF_DAY") return "Needs intraday data: a past close does not tell.";
    return `Not known of any ticker now: ${lacking.map((name) => columnOf(name).label).join(", ")}.`;
  }

  describe() {
    const size = this.state?.rows.size;
    this.count.textContent = size === undefined ? "" : size === 1 ? "1 row" : `${size} rows`;
    this.note.hidden = Boolean(size);
    this.note.textContent = this.emptiness();
  }
}

/** @param {Head} head @returns {import("ag-grid-community").GridOptions<Row>} */
function gridOptions(head) {
  const columns = head.columns.filter((name) => name !== "symbol" && name !== "rank");
  return {
    theme: THEME,
    rowData: [],
    columnDefs: [rankColumn(), symbolColumn(), ...columns.map(dataColumn)],
    defaultColDef: { resizable: true, suppressHeaderMenuButton: true, sortingOrder: ["desc", "asc", null], comparator: unknownLast },
    getRowId: ({ data }) => data.symbol,
    asyncTransactionWaitMillis: 60,
    cellFlashDuration: 250,
    cellFadeDuration: 600,
    suppressOverlays: ["noRows", "loading"],
    suppressDragLeaveHidesColumns: true,
    enableBrowserTooltips: true,
    animateRows: false,
    // A list is an order: whoever clears their own sorting gets the list's back.
    onSortChanged: ({ api }) => {
      if (!api.getColumnState().some(({ sort }) => sort)) api.applyColumnState({ state: [{ colId: "rank", sort: "asc" }] });
    },
  };
}

/** @returns {import("ag-grid-community").ColDef<Row>} */
function rankColumn() {
  return {
    colId: "rank",
    headerName: "#",
    headerTooltip: "Place on the list; click to have the list's own order back",
    field: "rank",
    valueFormatter: ({ value }) => String(value + 1),
    sort: "asc",
    sortingOrder: ["asc"],
    pinned: "left",
    width: 36,
    headerClass: "ag-right-aligned-header",
    cellClass: ["number", "rank"],
    enableCellChangeFlash: false,
  };
}

/** @returns {import("ag-grid-community").ColDef<Row>} */
function symbolColumn() {
  return {
    field: "symbol",
    headerName: "Symbol",
    pinned: "left",
    width: 84,
    cellRenderer: symbolCell,
    tooltipValueGetter: ({ data }) => [data?.name, data?.halted ? "trading halted" : "", data?.corp_action].filter(Boolean).join(" · "),
    equals: () => false, // its tags depend on other fields of the row
  };
}

/** @param {{data?: Row}} row */
function symbolCell({ data }) {
  const cell = element("span", "symbol", data?.symbol ?? "");
  if (data?.halted) cell.append(element("abbr", "tag halt", "H"));
  if (data?.partial) cell.append(element("abbr", "tag", "…"));
  return cell;
}

/** @param {string} name @returns {import("ag-grid-community").ColDef<Row>} */
function dataColumn(name) {
  const { label, kind, help } = columnOf(name);
  const isText = kind === "text" || kind === "flag";
  const wide = /** @type {Record<string, number>} */ (WIDE_TEXT)[name];
  return {
    field: name,
    headerName: label,
    headerTooltip: help ? `${help} (${name})` : name,
    ...(wide ? { flex: 1, minWidth: wide } : { width: WIDTHS[kind] }),
    headerClass: isText ? "" : "ag-right-aligned-header",
    valueFormatter: ({ value }) => format(kind, value),
    cellClass: ({ value }) => (isText ? "" : ["number", tone(kind, value)]),
    tooltipField: kind === "text" ? name : undefined,
    // Everything moves while the market is open; one flashing column is a signal, ten are noise.
    enableCellChangeFlash: name === "price" && !CALM.matches,
  };
}

/**
 * Unknown stays below, whichever way a column is sorted.
 * @param {any} left @param {any} right @param {unknown} _l @param {unknown} _r @param {boolean} isDescending
 */
function unknownLast(left, right, _l, _r, isDescending) {
  const [noLeft, noRight] = [left === null || left === undefined, right === null || right === undefined];
  if (noLeft || noRight) return (Number(noLeft) - Number(noRight)) * (isDescending ? -1 : 1);
  return left < right ? -1 : Number(left > right);
}

/** @param {string} tag @param {string} className @param {string} [text] */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
