// What a list would show now: how many, the first rows, and who stays undecided for want of what.

import { element } from "../element.mjs";
import { columnOf, format, timeOfDay, tone } from "../format.mjs";
import { t } from "../words/words.mjs";

/**
 * @typedef {{column: string, tickers: number, example: string, why: string}} Unknown
 * @typedef {{reason: string | null, field: string | null, definition: import("./list_text.mjs").Draft | null, as_of: string | null, candidates: number | null,
 *   matches: number | null, rows: Record<string, any>[], undecided: number | null, unknown: Unknown[]}} Preview
 */

const number = new Intl.NumberFormat("en-US");

/** @param {Preview} preview @returns {HTMLElement[]} */
export function shown({ definition, as_of, candidates, matches, rows, undecided, unknown }) {
  if (!definition) return [];
  if (matches === null || candidates === null) return [element("p", "found", t("editor.no_frame"))];
  const found = element("p", "found");
  found.append(element("b", "", t("editor.matches", { count: number.format(matches) })));
  found.append(` ${t("editor.asked", { count: number.format(candidates), time: timeOfDay(as_of ?? "") })}`);
  const parts = [found];
  if (undecided) parts.push(undecidedOf(undecided, unknown));
  if (rows.length) parts.push(tableOf(definition.columns, rows, matches));
  return parts;
}

/** @param {number} undecided @param {Unknown[]} unknown */
function undecidedOf(undecided, unknown) {
  const said = element("details", "undecided");
  said.append(element("summary", "", t("editor.undecided", { count: number.format(undecided), column: nameOf(unknown[0]?.column ?? "") })));
  for (const each of unknown) {
    said.append(element("p", "", t("editor.unknown", { count: number.format(each.tickers), column: nameOf(each.column), symbol: each.example, why: each.why })));
  }
  return said;
}

/** @param {string} column */
const nameOf = (column) => (column === "where" ? t("editor.where") : columnOf(column).label);

/** @param {string[]} columns @param {Record<string, any>[]} rows @param {number} matches */
function tableOf(columns, rows, matches) {
  const table = element("table", "rows");
  const caption = element("caption", "", t("editor.first_rows", { count: rows.length, all: number.format(matches) }));
  const head = element("tr", "");
  head.append(cell("th", t("list.symbol")), ...columns.map((name) => cell("th", columnOf(name).label, isText(name) ? "" : "number")));
  const body = rows.map((row) => {
    const line = element("tr", "");
    line.append(cell("td", row.symbol, "symbol"));
    for (const name of columns) {
      const { kind } = columnOf(name);
      line.append(cell("td", format(kind, row[name]), isText(name) ? "text" : `number ${tone(kind, row[name])}`));
    }
    return line;
  });
  table.append(caption, head, ...body);
  const scroll = element("div", "scroll");
  scroll.tabIndex = 0; // it scrolls by the keyboard too
  scroll.role = "region";
  scroll.ariaLabel = caption.textContent;
  scroll.append(table);
  return scroll;
}

/** @param {string} name */
const isText = (name) => ["text", "flag"].includes(columnOf(name).kind);

/** @param {string} tag @param {string} text @param {string} [className] */
function cell(tag, text, className = "") {
  const made = element(tag, className, text);
  if (tag === "th") /** @type {HTMLTableCellElement} */ (made).scope = "col";
  return made;
}
