// Why a ticker is on a list, or why not: every condition with what it stands on, as the scanner answers. For one list, or
// for all of them the first thing that keeps it off.

import { button, element } from "../element.mjs";
import { columnOf, format } from "../format.mjs";
import { inOwnWords } from "../words/told.mjs";
import { has, t } from "../words/words.mjs";
import { listTitle } from "./list_title.mjs";
import { plain } from "./plain.mjs";
import { tickerKind } from "./ticker.mjs";

const EVERY_MS = 5000;
const SIGNS = { pass: "✓", fail: "✗", unknown: "?", unasked: "–" };

/** @typedef {import("./ticker.mjs").Place} Place */
/** @typedef {keyof typeof SIGNS} Verdict */

/** @param {{holds: boolean | null, applied: boolean}} condition @returns {Verdict} */
function verdict({ holds, applied }) {
  if (applied === false) return "unasked";
  return holds === null ? "unknown" : holds ? "pass" : "fail";
}

export const why = tickerKind(
  "why",
  async (place) => {
    const show = async () => {
      const list = String(place.panel.options.list ?? "");
      const body = list ? await one(place, list) : await all(place);
      if (place.lifetime.aborted) return;
      place.body.replaceChildren(...body);
      place.say("");
    };
    await show();
    place.every(EVERY_MS, show);
  },
  (panel) => {
    const lists = /** @type {HTMLSelectElement} */ (element("select"));
    lists.ariaLabel = t("why.list");
    const offer = () => {
      const names = panel.desk.feed.lists.value.map(({ name }) => name);
      const options = ["", ...names].map((name) => new Option(name ? listTitle(panel.desk, name) : t("why.all"), name));
      lists.replaceChildren(...options);
      lists.value = String(panel.options.list ?? "");
    };
    offer();
    const stop = panel.desk.feed.lists.listen(offer);
    const close = panel.close.bind(panel);
    panel.close = () => (stop(), close());
    panel.chooseList = (/** @type {string} */ name) => {
      panel.options.list = lists.value = name;
      panel.show(panel.symbol);
    };
    lists.addEventListener("change", () => panel.chooseList?.(lists.value));
    return [lists];
  },
);

/** @param {Place} place @param {string} list */
function ask(place, list) {
  return place.desk.api.get(`api/explain/${encodeURIComponent(list)}/${encodeURIComponent(place.symbol)}`);
}

/** @param {any} answer */
function standing({ on_list, fulfils, rank, limit, conditions }) {
  if (on_list) return t("why.on", { rank: rank + 1 });
  if (fulfils) return t("why.below", { rank: rank + 1, limit });
  return t(conditions.length ? "why.off" : "why.unknown");
}

/** @param {Place} place @param {string} list */
async function one(place, list) {
  const answer = await ask(place, list);
  place.asOf(Date.parse(answer.as_of));
  const said = element("p", "why-said", t("why.of", { symbol: answer.symbol, list: listTitle(place.desk, list), standing: standing(answer) }));
  said.dataset.on = String(answer.on_list);
  const rows = element("table", "why-table");
  const head = element("tr");
  for (const name of ["holds", "asks", "stands_on"]) {
    const cell = element("th", "", t(`why.${name}`));
    cell.setAttribute("scope", "col");
    head.append(cell);
  }
  const top = element("thead");
  top.append(head);
  const body = element("tbody");
  body.append(...answer.conditions.map(row));
  rows.append(top, body);
  return [said, rows];
}

/** @param {any} condition */
function row(condition) {
  const found = verdict(condition);
  const line = element("tr");
  line.dataset.verdict = found;
  const sign = element("td", "verdict", `${SIGNS[found]} ${t(`why.${found === "unknown" ? "not_known" : found}`)}`);
  const asks = element("td");
  const key = `why.name.${condition.name}`;
  asks.append(element("strong", "", has(key) ? t(key) : condition.name), " ", element("code", "", plain(inOwnWords(condition.asks))));
  if (condition.note) asks.append(element("p", "muted", plain(inOwnWords(condition.note))));
  const inputs = element("td", "inputs");
  for (const input of condition.inputs) inputs.append(told(input, condition.unknown_because === input.column));
  line.append(sign, asks, inputs);
  return line;
}

/** @param {any} input @param {boolean} isCause */
function told({ column, value, source, age_seconds, made_from }, isCause) {
  const { label, kind } = columnOf(column);
  const shown = element("span", isCause ? "input cause" : "input");
  shown.append(element("span", "muted", label), " ", element("b", "", plain(format(kind, value))));
  const age = age_seconds === null ? "" : t("why.age", { seconds: Math.round(age_seconds) });
  shown.title = [column, t(`why.source.${source}`), age, made_from?.length ? t("why.made_from", { columns: made_from.join(", ") }) : ""].filter(Boolean).join(" · ");
  return shown;
}

/** @param {Place} place */
async function all(place) {
  const names = place.desk.feed.lists.value.map(({ name }) => name);
  const answers = await Promise.all(names.map((name) => ask(place, name).catch((/** @type {Error} */ error) => error)));
  const failed = answers.find((answer) => answer instanceof Error);
  if (failed && answers.every((answer) => answer instanceof Error)) throw failed;
  const rows = element("table", "why-table");
  const body = element("tbody");
  names.forEach((name, place_) => body.append(line(place, name, answers[place_])));
  rows.append(body);
  return [rows];
}

/** @param {Place} place @param {string} name @param {any} answer */
function line(place, name, answer) {
  const made = element("tr");
  const title = element("td");
  title.append(button(listTitle(place.desk, name), () => place.panel.chooseList?.(name), "link"));
  if (answer instanceof Error) {
    made.append(title, element("td", "muted", answer.message), element("td"));
    return made;
  }
  place.asOf(Date.parse(answer.as_of));
  made.dataset.verdict = answer.on_list ? "pass" : "fail";
  const first = answer.conditions.find((/** @type {any} */ each) => ["fail", "unknown"].includes(verdict(each)));
  const cause = element("td", "inputs");
  if (first && !answer.fulfils) {
    cause.append(element("code", "", plain(inOwnWords(first.asks))), " ");
    for (const input of first.inputs) cause.append(told(input, first.unknown_because === input.column));
  }
  made.append(title, element("td", "verdict", `${answer.on_list ? SIGNS.pass : SIGNS.fail} ${standing(answer)}`), cause);
  return made;
}
