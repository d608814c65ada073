// The command palette: one field that finds a ticker, a list, a panel, a layout or a command, wholly by keyboard.
// The field is a combobox with a list box (ARIA APG): the focus stays in it, arrows move along what is found, Enter takes it.

import { Universe } from "../feed/universe.mjs";
import { element } from "../element.mjs";
import { titleOf } from "../panels/list.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "./dialog.mjs";
import { find } from "./finding.mjs";
import { KINDS } from "./panels.mjs";

/** @typedef {import("./panels.mjs").Desk} Desk */
/** @typedef {import("./finding.mjs").Entry} Entry */

const MOST = 50;
const PAGE = 8;

export class Palette {
  /** @param {Desk} desk @param {{choose: (symbol: string) => void, layout: (name: string) => void}} does */
  constructor(desk, does) {
    this.desk = desk;
    this.does = does;
    this.universe = new Universe(desk.api, desk.newDay);
  }

  show() {
    const page = this.desk.commands.page;
    if (page.querySelector("dialog.palette[open]")) return;
    openDialog(t("palette.title"), (body, close) => new Finder(this, body, close), page).classList.add("palette");
  }

  /** What the page itself offers. @returns {Entry[]} */
  own() {
    const { desk } = this;
    const lists = desk.feed.lists.value.map((head) => entry("list", titleOf(head), () => desk.open("list", { list: head.name }), head.name));
    const panels = KINDS.filter(({ kind }) => kind !== "list").map(({ kind, titleKey }) => entry("panel", t(titleKey), () => desk.open(kind)));
    const commands = desk.commands.all().map(({ title, keys, run }) => ({ ...entry("command", title(), run), keys }));
    return [...lists, ...panels, ...commands];
  }

  /** @returns {Promise<Entry[]>} */
  async layouts() {
    const { layouts } = await this.desk.api.get("api/layouts");
    return layouts.map((/** @type {string} */ name) => entry("layout", name, () => this.does.layout(name)));
  }

  /** @returns {Promise<Entry[]>} */
  async symbols() {
    const tickers = await this.universe.tickers();
    return tickers.map(({ symbol, name }) => entry("symbol", symbol, () => this.does.choose(symbol), name ?? ""));
  }
}

/** @param {import("./finding.mjs").EntryKind} kind @param {string} title @param {() => void} run @param {string} [more] @returns {Entry} */
function entry(kind, title, run, more) {
  return { kind, title, run, more };
}

/** The open palette. */
class Finder {
  /** @param {Palette} palette @param {HTMLElement} body @param {() => void} close */
  constructor(palette, body, close) {
    this.close = close;
    this.entries = palette.own();
    /** @type {Entry[]} */
    this.found = [];
    this.at = 0;
    this.waits = 2;
    this.field = /** @type {HTMLInputElement} */ (element("input"));
    Object.assign(this.field, { type: "text", role: "combobox", autofocus: true, autocomplete: "off", spellcheck: false });
    Object.assign(this.field, { ariaLabel: t("palette.field"), placeholder: t("palette.field"), ariaExpanded: "true", ariaAutoComplete: "list" });
    this.field.setAttribute("aria-controls", "palette-found");
    this.list = element("ul", "found");
    Object.assign(this.list, { id: "palette-found", role: "listbox", ariaLabel: t("palette.found") });
    this.said = element("p", "dim");
    this.said.setAttribute("role", "status");
    body.append(this.field, this.list, this.said);
    this.field.addEventListener("input", () => this.look());
    this.field.addEventListener("keydown", (event) => this.press(event));
    this.list.addEventListener("click", ({ target }) => this.take(Number(/** @type {HTMLElement} */ (target).closest("li")?.dataset.at)));
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the field
    this.look();
    void this.wait(palette.layouts());
    void this.wait(palette.symbols());
  }

  /** What comes later stands below; what is missing is said. @param {Promise<Entry[]>} coming */
  async wait(coming) {
    try {
      const more = await coming;
      this.entries = [...this.entries, ...more];
    } catch (error) {
      this.failure = /** @type {Error} */ (error).message;
    }
    this.waits -= 1;
    this.look(this.found[this.at]);
  }

  /** @param {Entry} [chosen]  stays chosen where it still stands */
  look(chosen) {
    this.found = find(this.entries, this.field.value, MOST);
    this.list.replaceChildren(...this.found.map(optionOf));
    this.move(Math.max(chosen ? this.found.indexOf(chosen) : 0, 0));
    const count = this.found.length;
    const words = count === 1 ? t("palette.one") : t("palette.count", { count: count < MOST ? count : `${MOST}+` });
    this.said.textContent = [words, this.waits ? t("palette.loading") : "", this.failure ?? ""].filter(Boolean).join(" · ");
  }

  /** @param {number} at */
  move(at) {
    this.list.children[this.at]?.setAttribute("aria-selected", "false");
    this.at = at;
    const option = this.list.children[at];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.field.setAttribute("aria-activedescendant", option.id);
    else this.field.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const last = this.found.length - 1;
    if (event.isComposing) return;
    if (event.key === "Enter") this.take(this.at);
    else if (event.key === "ArrowDown") this.move(this.at < last ? this.at + 1 : 0);
    else if (event.key === "ArrowUp") this.move(this.at > 0 ? this.at - 1 : Math.max(last, 0));
    else if (event.key === "PageDown") this.move(Math.max(Math.min(this.at + PAGE, last), 0));
    else if (event.key === "PageUp") this.move(Math.max(this.at - PAGE, 0));
    else return;
    event.preventDefault();
  }

  /** @param {number} at */
  take(at) {
    const taken = this.found[at];
    if (!taken) return;
    this.close(); // first: what it opens takes the focus
    taken.run();
  }
}

/** @param {Entry} entry @param {number} at */
function optionOf({ kind, title, more, keys }, at) {
  const option = element("li");
  Object.assign(option, { id: `palette-${at}`, role: "option", ariaSelected: "false" });
  option.dataset.at = String(at);
  option.append(element("b", "", title));
  if (kind === "symbol" && more) option.append(element("span", "more", more));
  if (keys) option.append(element("kbd", "", keys));
  option.append(element("span", "kind", t(`palette.${kind}`)));
  return option;
}
