// Every visible word, in the language of the reader: t("key", {values}). A language is a table of the same keys.

import { COLUMNS } from "./columns.mjs";
import { en } from "./en.mjs";
import { es } from "./es.mjs";

/** @typedef {"en" | "es"} Language */
const TABLES = { en, es };
export const LANGUAGES = { en: "English", es: "Español" }; // each by its own name
const KEPT = "tradeul.language";

/** @returns {Language} */
function chosen() {
  const kept = localStorage.getItem(KEPT);
  for (const each of kept ? [kept] : navigator.languages) {
    const language = /** @type {Language} */ (each.slice(0, 2));
    if (language in TABLES) return language;
  }
  return "en";
}

/** @type {Language} */
export const language = chosen();

/** A language is chosen for the whole page, which is loaded again in it. @param {Language} wanted */
export function speak(wanted) {
  localStorage.setItem(KEPT, wanted);
  location.reload();
}

/** @param {string} key */
export const has = (key) => key in TABLES[language];

/**
 * The words of `key`; `{name}` in them is a value. A key nobody translated shows itself: a test finds those.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const words = /** @type {Record<string, string>} */ (TABLES[language])[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** A column's short name and what it is; undefined for one that only a person's own list has. @param {string} name */
export const columnWords = (name) => COLUMNS[name]?.[language];

/** Give the page's own markup its words: data-t is the text, data-t-title and data-t-label the attributes. @param {ParentNode} root */
export function translate(root) {
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t]"))) each.textContent = t(each.dataset.t ?? "");
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t-title]"))) each.title = t(each.dataset.tTitle ?? "");
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t-label]"))) each.ariaLabel = t(each.dataset.tLabel ?? "");
}
