// A list of one's own as a draft, and as the text of its file: TOML, as docs and STATE/lists/ have it. No page here.

/**
 * @typedef {{where?: string | null, order?: [string, string][] | null, members_of_last?: string | null}} Variant
 * @typedef {{name: string, title: string, where: string, order: [string, string][], columns: string[], issue_class: string,
 *   floors: boolean, limit: number, phases: Record<string, Variant>}} Draft  as the server's ListDefinition
 */

export const MOST_ROWS = 100;

/** @returns {Draft} */
export function blank() {
  return {
    name: "my_list",
    title: "My list",
    where: "price BETWEEN 1 AND 20 AND change_pct >= 5 AND rvol >= 2",
    order: [["rvol", "desc"]],
    columns: ["price", "change_pct", "volume", "rvol", "dollar_volume"],
    issue_class: "stocks",
    floors: true,
    limit: MOST_ROWS,
    phases: {},
  };
}

/** Named symbols, whatever they do: a watch list is a list like others. @param {string} symbol @returns {Draft} */
export function watchList(symbol) {
  const columns = ["price", "change_pct", "gap_pct", "volume", "rvol", "headline"];
  const asked = { where: `symbol IN ('${symbol.replaceAll("'", "''")}')`, issue_class: "all", floors: false };
  return { ...blank(), name: "watch_list", title: "Watch list", order: [["change_pct", "desc"]], columns, ...asked };
}

/** @param {Draft} draft */
export function tomlOf({ name, title, where, order, columns, issue_class, floors, limit, phases }) {
  const lines = [`[lists.${keyOf(name)}]`, `title = ${text(title)}`, `where = ${text(where)}`, `order = ${orderOf(order)}`, `columns = [${columns.map(text).join(", ")}]`];
  if (issue_class !== "stocks") lines.push(`class = ${text(issue_class)}`);
  if (!floors) lines.push("floors = false");
  if (limit !== MOST_ROWS) lines.push(`limit = ${Number.isFinite(limit) ? limit : text("")}`);
  for (const [phase, variant] of Object.entries(phases)) lines.push(`phases.${keyOf(phase)} = { ${variantOf(variant)} }`);
  return `${lines.join("\n")}\n`;
}

/** @param {Variant} variant */
function variantOf({ where, order, members_of_last }) {
  const parts = [];
  if (where) parts.push(`where = ${text(where)}`);
  if (order) parts.push(`order = ${orderOf(order)}`);
  if (members_of_last) parts.push(`members_of_last = ${text(members_of_last)}`);
  return parts.join(", ");
}

/** @param {[string, string][]} order */
const orderOf = (order) => `[${order.map(([expression, direction]) => `[${text(expression)}, ${text(direction)}]`).join(", ")}]`;

/** A JSON string is a TOML string, but for one sign. @param {string} value */
const text = (value) => JSON.stringify(value).replaceAll("\u007f", "\\u007f");

/** A name that is none is quoted: the server says what is wrong with it. @param {string} name */
const keyOf = (name) => (/^[A-Za-z0-9_-]+$/.test(name) ? name : text(name));
