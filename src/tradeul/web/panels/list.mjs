// One list: what it asks, and an AG Grid that follows snapshots and deltas in place.

import { AllCommunityModule, ModuleRegistry, createGrid, themeQuartz } from "ag-grid-community";
import { element } from "../element.mjs";
import { columnOf, format, tone } from "../format.mjs";
import { en } from "../words/en.mjs";
import { has, t } from "../words/words.mjs";

ModuleRegistry.registerModules([AllCommunityModule]);

/** @typedef {import("../feed/feed.mjs").Head} Head */
/** @typedef {import("../feed/deltas.mjs").Row} Row */
/** @typedef {import("../format.mjs").Kind} Kind */
/** @typedef {import("../workspace/panels.mjs").Desk} Desk */

/** @type {Record<Kind, number>} */
const WIDTHS = { price: 70, change: 72, pct: 68, ratio: 72, shares: 68, dollars: 74, count: 70, time: 76, text: 88, flag: 62 };
const WIDE_TEXT = { name: 170, headline: 240, industry: 140, sector: 120 }; // at least; they take what is left
const FORMULA = /^[=+\-@\t\r]/;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

// Colours come from styles/app.css, which knows light and dark.
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

class ListPanel {
  /** @param {Desk} desk @param {{list: string}} params */
  constructor(desk, { list }) {
    this.desk = desk;
    this.name = list;
    /** @type {import("../feed/deltas.mjs").ListState | undefined} */
    this.state = undefined;
    this.element = element("section", "panel");
    this.count = element("span", "count");
    this.asks = element("p", "asks");
    const top = element("header", "");
    top.append(this.count, this.asks);
    this.body = element("div", "grid");
    this.body.dataset.list = list;
    this.note = element("p", "note");
    this.element.append(top, this.body, this.note, element("div", "watermark", t("simulated.mark")));
    this.isShown = false;
    /** @type {string | undefined} */
    this.watched = undefined;
    this.stops = [desk.feed.lists.listen(() => this.define()), desk.issueClass.listen(() => this.follow())];
    this.define();
  }

  params() {
    return { list: this.name };
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
    this.follow();
  }

  /** Watch what is shown: a list out of sight is not subscribed to. */
  follow() {
    const wanted = this.isShown && this.head ? feedOf(this.head, this.desk.issueClass.value) : undefined;
    if (wanted !== undefined && !this.grid && this.head) {
      this.grid = createGrid(this.body, gridOptions(this.head));
      this.grid.setGridAriaProperty("label", this.title ?? this.name);
    } else if (wanted === this.watched) return this.describe();
    this.unwatch?.();
    this.watched = wanted;
    this.unwatch = wanted === undefined ? undefined : this.desk.feed.watch(wanted, (state, changes) => this.show(state, changes));
    this.describe();
  }

  /** @param {import("../feed/deltas.mjs").ListState | undefined} state @param {import("../feed/deltas.mjs").Changes} [changes] */
  show(state, changes) {
    const follows = this.state !== undefined && state !== undefined && changes !== undefined;
    this.state = state;
    if (follows) {
      this.grid?.applyTransactionAsync(changes, ({ add }) => {
        if (add.length && !CALM.matches) this.grid?.flashCells({ rowNodes: add, columns: ["symbol"] });
      });
    } else {
      this.grid?.flushAsyncTransactions();
      this.grid?.setGridOption("rowData", state ? [...state.rows.values()] : []);
    }
    this.describe();
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
    this.count.textContent = size === undefined ? "" : t(size === 1 ? "list.row" : "list.rows", { count: size });
    this.note.hidden = Boolean(size);
    this.note.textContent = this.emptiness();
  }

  /** Columns, filter and order as they are seen; what a spreadsheet would compute stays text, as in the server's CSV. */
  csv() {
    return this.grid?.getDataAsCsv({ processCellCallback: ({ value }) => (typeof value === "string" && FORMULA.test(value) ? `'${value}` : (value ?? "")) });
  }

  close() {
    for (const stop of this.stops) stop();
    this.unwatch?.();
    this.grid?.destroy();
  }
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
    headerTooltip: t("list.rank_help"),
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
    headerName: t("list.symbol"),
    pinned: "left",
    width: 84,
    cellRenderer: symbolCell,
    tooltipValueGetter: ({ data }) => [data?.name, data?.halted ? t("list.halted") : "", data?.corp_action].filter(Boolean).join(" · "),
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

/** @type {import("../workspace/panels.mjs").PanelKind} */
export const list = { kind: "list", titleKey: "panel.list", make: (desk, params) => new ListPanel(desk, params) };
