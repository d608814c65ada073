// A list as AG Grid shows it: its columns, how each cell looks, and how rows are ordered. It knows no feed.

import { AllCommunityModule, ModuleRegistry, themeQuartz } from "ag-grid-community";
import { element } from "../element.mjs";
import { columnOf, format, tone } from "../format.mjs";
import { t } from "../words/words.mjs";
import { badgesOf } from "./badges.mjs";

ModuleRegistry.registerModules([AllCommunityModule]);

/** @typedef {import("../feed/feed.mjs").Head} Head */
/** @typedef {import("../feed/deltas.mjs").Row} Row */
/** @typedef {import("../format.mjs").Kind} Kind */

/** @type {Record<Kind, number>} */
const WIDTHS = { price: 70, change: 72, pct: 68, ratio: 72, shares: 68, dollars: 74, count: 70, time: 76, text: 88, flag: 62 };
const WIDE_TEXT = { name: 170, headline: 240, industry: 140, sector: 120 }; // at least; they take what is left
export const CALM = matchMedia("(prefers-reduced-motion: reduce)");

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
const SHOWN = 12; // the others wait in the chooser
const TICK_MS = 500;

/** @param {Head} head */
const columnsOf = (head) => head.columns.filter((name) => name !== "symbol" && name !== "rank");

/** @param {Head} head @returns {import("ag-grid-community").GridOptions<Row>} */
export function gridOptions(head) {
  return {
    theme: THEME,
    rowData: [],
    columnDefs: [rankColumn(), symbolColumn(), ...columnsOf(head).map(dataColumn)],
    defaultColDef: { resizable: true, suppressHeaderMenuButton: true, sortingOrder: ["desc", "asc", null], comparator: unknownLast },
    getRowId: ({ data }) => data.symbol,
    asyncTransactionWaitMillis: 60,
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
    width: 108,
    cellRenderer: SymbolCell,
    filter: "agTextColumnFilter",
    tooltipValueGetter: ({ data }) => [data?.name, ...badgesOf(data ?? {}).map(({ words }) => words)].filter(Boolean).join(" · "),
    equals: () => false, // its badges depend on other fields of the row
  };
}

/** The symbol and its badges, drawn anew only when they change: every row of every list is told each second. */
class SymbolCell {
  /** @param {{data?: Row}} params */
  init(params) {
    this.element = element("span", "symbol");
    /** @type {string | undefined} */
    this.drawn = undefined;
    this.refresh(params);
  }

  getGui() {
    return /** @type {HTMLElement} */ (this.element);
  }

  /** @param {{data?: Row}} params */
  refresh({ data }) {
    const badges = badgesOf(data ?? {});
    const drawn = [data?.symbol, ...badges.map(({ letter, words }) => letter + words)].join("\n");
    if (drawn === this.drawn) return true;
    this.drawn = drawn;
    this.element?.replaceChildren(data?.symbol ?? "", ...badges.map(badgeOf));
    return true;
  }
}

/** @param {import("./badges.mjs").Badge} badge */
function badgeOf({ letter, words, look }) {
  const badge = element("abbr", `tag ${look}`, letter);
  badge.title = words;
  return badge;
}

/** @param {string} name @param {number} place @returns {import("ag-grid-community").ColDef<Row>} */
function dataColumn(name, place) {
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
    initialHide: place >= SHOWN,
    filter: kind === "text" ? "agTextColumnFilter" : kind === "flag" || kind === "time" ? undefined : "agNumberColumnFilter",
    // Everything moves while the market is open; one ticking column is a signal, ten are noise.
    ...(name === "price" ? { cellRenderer: PriceCell } : {}),
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

/** A price that says for a moment which way it went. */
class PriceCell {
  /** @param {import("ag-grid-community").ICellRendererParams} params */
  init(params) {
    this.element = element("span", "price", params.valueFormatted ?? "");
    this.value = params.value;
  }

  getGui() {
    return this.element;
  }

  /** @param {import("ag-grid-community").ICellRendererParams} params */
  refresh({ value, valueFormatted }) {
    if (!this.element) return false;
    this.element.textContent = valueFormatted ?? "";
    const went = typeof value === "number" && typeof this.value === "number" ? Math.sign(value - this.value) : 0;
    this.value = value;
    if (went && !CALM.matches) tick(this.element, went);
    return true;
  }
}

/** @type {HTMLElement[] | undefined} those coloured now, whose colours end together */
let ticking;

/** A colour that fades would have the page painted at every frame; one that comes and goes, twice. @param {HTMLElement} cell @param {number} went */
function tick(cell, went) {
  cell.dataset.tick = went > 0 ? "up" : "down";
  if (!ticking) {
    const batch = (ticking = /** @type {HTMLElement[]} */ ([]));
    setTimeout(() => {
      ticking = undefined;
      for (const each of batch) delete each.dataset.tick;
    }, TICK_MS);
  }
  ticking.push(cell);
}
