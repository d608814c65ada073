// The ledger as a calendar: a row a session, a column a dataset, and of the session that is chosen everything there is to know.

import { button, element } from "../element.mjs";
import { sessionDate } from "../format.mjs";
import { t } from "../words/words.mjs";
import { number, span } from "./trust.mjs";

/** @typedef {import("./trust.mjs").Partition} Partition */

// A sign beside every colour.
const SIGNS = { completed: "✓", provisional: "~", in_progress: "…", failed: "✕", pending: "·" };

export class Ledger {
  /** @param {(session: string, force: boolean) => void} load @param {(symbol: string) => void} choose */
  constructor(load, choose) {
    this.load = load;
    this.choose = choose;
    /** @type {Map<string, Map<string, Partition>>} session -> dataset -> how it stands */
    this.sessions = new Map();
    /** @type {string | undefined} */
    this.session = undefined;
    this.told = "";
    this.table = element("table", "ledger");
    this.scroll = element("div", "scroll");
    this.scroll.append(this.table);
    this.detail = element("div", "detail");
    this.element = element("div", "ledger-body");
    this.element.append(this.scroll, this.detail);
    this.table.addEventListener("keydown", (event) => this.moveAlong(event));
  }

  /** @param {Partition[]} partitions @param {string[]} datasets  in their order */
  show(partitions, datasets) {
    const told = JSON.stringify(partitions);
    if (told === this.told) return;
    this.told = told;
    this.sessions = new Map();
    for (const each of partitions) {
      const row = this.sessions.get(each.session) ?? new Map();
      this.sessions.set(each.session, row.set(each.dataset, each));
    }
    const wanted = new Set(partitions.map(({ dataset }) => dataset));
    this.datasets = datasets.filter((name) => wanted.has(name));
    if (!this.session || !this.sessions.has(this.session)) this.session = this.worst() ?? this.sessions.keys().next().value;
    const [top, hadFocus] = [this.scroll.scrollTop, this.table.contains(document.activeElement)];
    this.table.replaceChildren(element("caption", "away", t("ledger.caption")), this.head(), ...[...this.sessions].map(([session, row]) => this.row(session, row)));
    this.scroll.scrollTop = top;
    if (hadFocus) this.buttonOf(this.session)?.focus();
    this.tell();
  }

  /** The newest session that lacks something. */
  worst() {
    return [...this.sessions].find(([, row]) => [...row.values()].some(({ state, missing }) => state === "failed" || missing.length))?.[0];
  }

  head() {
    const head = element("tr", "");
    for (const name of ["", ...(this.datasets ?? [])]) {
      const cell = element("th", "", name ? t(`dataset.${name}`) : t("ledger.session"));
      /** @type {HTMLTableCellElement} */ (cell).scope = "col";
      if (name) cell.title = name;
      head.append(cell);
    }
    return head;
  }

  /** @param {string} session @param {Map<string, Partition>} row */
  row(session, row) {
    const line = element("tr", "");
    const head = element("th", "");
    /** @type {HTMLTableCellElement} */ (head).scope = "row";
    const choose = button(sessionDate(session), () => this.pick(session), "session");
    choose.dataset.session = session;
    this.mark(choose);
    head.append(choose);
    line.append(head);
    for (const name of this.datasets ?? []) {
      const found = row.get(name);
      const cell = element("td", found ? `state ${found.state}` : "state", found ? SIGNS[found.state] : "");
      if (found) cell.ariaLabel = cell.title = `${t(`dataset.${name}`)}: ${t(`state.${found.state}`)}`;
      line.append(cell);
    }
    return line;
  }

  /** Of all sessions one is reached by the tab key, the others by arrows. @param {HTMLElement} choose */
  mark(choose) {
    const isChosen = choose.dataset.session === this.session;
    choose.tabIndex = isChosen ? 0 : -1;
    choose.ariaPressed = String(isChosen);
  }

  /** @param {string} session */
  pick(session) {
    this.session = session;
    for (const each of /** @type {NodeListOf<HTMLElement>} */ (this.table.querySelectorAll("button.session"))) this.mark(each);
    this.tell();
  }

  /** @param {string | undefined} session @returns {HTMLElement | null} */
  buttonOf(session) {
    return this.table.querySelector(`button[data-session="${session}"]`);
  }

  /** @param {KeyboardEvent} event */
  moveAlong(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.session) return;
    event.preventDefault();
    const names = [...this.sessions.keys()];
    const next = names[names.indexOf(this.session) + step];
    if (next === undefined) return;
    this.pick(next);
    this.buttonOf(next)?.focus();
  }

  /** Everything of the chosen session. */
  tell() {
    const { session } = this;
    if (!session) return this.detail.replaceChildren(element("p", "hint", t("ledger.empty")));
    const rows = [...(this.sessions.get(session)?.values() ?? [])];
    const tools = element("div", "tools");
    tools.append(button(t("ledger.load"), () => this.load(session, false)), button(t("ledger.again"), () => this.load(session, true)));
    this.detail.replaceChildren(element("h3", "", sessionDate(session)), ...rows.map((row) => this.line(row)), tools);
  }

  /** @param {Partition} partition */
  line({ dataset, state, expected, got, missing, error, duration_seconds, attempts }) {
    const line = element("div", "partition");
    const head = element("p", "");
    head.append(element("b", "", t(`dataset.${dataset}`)), " ", element("span", `state ${state}`, `${SIGNS[state]} ${t(`state.${state}`)}`));
    if (got !== null) head.append(` ${t("ledger.got", { got: number(got), expected: expected === null ? "?" : number(expected) })}`);
    if (duration_seconds !== null) head.append(` · ${span(duration_seconds)}`);
    if (attempts > 1) head.append(` · ${t("ledger.attempts", { count: attempts })}`);
    line.append(head);
    if (error) line.append(element("p", state === "failed" ? "problem" : "hint", error));
    if (missing.length) line.append(symbols(t("ledger.missing"), missing, this.choose));
    return line;
  }
}

/** Missing tickers, the largest first, each a way to it. @param {string} label @param {string[]} missing @param {(symbol: string) => void} choose */
export function symbols(label, missing, choose) {
  const said = element("p", "missing", `${label} `);
  for (const symbol of missing) said.append(button(symbol, () => choose(symbol), "plain"), " ");
  return said;
}
