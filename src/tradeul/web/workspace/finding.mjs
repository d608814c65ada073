// What somebody means by a few letters: entries ranked against a query. Pure; 12,400 tickers are looked through at every key.

/**
 * @typedef {"symbol" | "list" | "panel" | "layout" | "command"} EntryKind
 * @typedef {{kind: EntryKind, title: string, more?: string, keys?: string, run: () => void, folded?: [string, string]}} Entry
 *   `more`: what else it is known by, a company's name. `folded`: both as they are compared, made at the first look
 */

const NOT_MEANT = 9;

/** @param {Entry[]} entries @param {string} query @param {number} most @returns {Entry[]} */
export function find(entries, query, most) {
  const wanted = fold(query);
  if (!wanted) return entries.filter(({ kind }) => kind !== "symbol").slice(0, most);
  const words = wanted.split(" ");
  /** @type {[number, Entry][]} */
  const found = [];
  for (const entry of entries) {
    const distance = distanceOf(entry, wanted, words);
    if (distance < NOT_MEANT) found.push([distance, entry]);
  }
  // Where two are as near, what the page itself offers comes before tickers, then the shorter one; the sort keeps the rest in order.
  found.sort(([near, left], [far, right]) => near - far || Number(left.kind === "symbol") - Number(right.kind === "symbol") || left.title.length - right.title.length);
  return found.slice(0, most).map(([, entry]) => entry);
}

/** 0: is exactly that symbol; more: less likely meant. @param {Entry} entry @param {string} wanted @param {string[]} words */
function distanceOf(entry, wanted, words) {
  const [title, more] = (entry.folded ??= [fold(entry.title), fold(entry.more ?? "")]);
  if (title === wanted) return entry.kind === "symbol" ? 0 : 1;
  if (title.startsWith(wanted)) return 2;
  if (title.includes(` ${wanted}`)) return 3;
  if (more.startsWith(wanted)) return 4;
  if (more.includes(` ${wanted}`)) return 5;
  if (words.every((word) => title.includes(word))) return 6;
  return words.every((word) => title.includes(word) || more.includes(word)) ? 7 : NOT_MEANT;
}

/** Without capitals, accents and double spaces. @param {string} text */
function fold(text) {
  return text.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase().replace(/\s+/g, " ").trim();
}
