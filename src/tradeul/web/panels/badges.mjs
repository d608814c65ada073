// What is special about a ticker, as letters beside its symbol.

import { t } from "../words/words.mjs";

/**
 * @typedef {{letter: string, words: string, look: string}} Badge
 * @param {{[column: string]: unknown}} row  a column that the row does not carry says nothing
 * @returns {Badge[]}
 */
export function badgesOf(row) {
  /** @type {Badge[]} */
  const found = [];
  const say = (/** @type {unknown} */ holds, /** @type {string} */ letter, /** @type {string} */ words, look = "") => {
    if (holds) found.push({ letter, words, look });
  };
  say(row.halted, "H", t("badge.halted"), "halt");
  say(row.ssr, "S", t("badge.ssr"), "warn");
  say(row.ipo, "IPO", t("badge.ipo"), "new");
  say(row.leverage, String(row.leverage), t("badge.leverage", { leverage: String(row.leverage) }));
  say(row.corp_action, "÷", String(row.corp_action), "warn");
  say(row.filing_form, "F", t("badge.filing", { form: String(row.filing_form) }));
  say(row.news_at, "N", row.headline ? String(row.headline) : t("badge.news"));
  say(row.partial, "…", t("badge.partial"));
  return found;
}
