// The page: four lists side by side where there is room, the others in tabs; on a phone all in tabs.

import { Connection } from "./connection.mjs";
import { Follower } from "./deltas.mjs";
import { ListPanel, element } from "./lists.mjs";
import { StatusBar } from "./status.mjs";

const FIRST = ["gappers_up", "momentum_up", "high_volume", "new_highs"];
const WIDE = matchMedia("(min-width: 1000px)");

/** @typedef {import("./lists.mjs").Head} Head */

class Page {
  constructor() {
    this.place = /** @type {HTMLElement} */ (document.getElementById("lists"));
    this.status = new StatusBar();
    /** @type {Head[]} */
    this.heads = [];
    /** @type {Map<string, ListPanel>} */
    this.panels = new Map();
    this.follower = new Follower();
    /** @type {string | undefined} */
    this.chosen = undefined;
    this.connection = new Connection({
      onState: (state) => {
        if (state !== "open") this.follower.begin();
        this.status.connection(state);
      },
      onConfig: ({ mode }) => this.status.mode(mode),
      onMessage: (message) => this.hear(message),
    });
    /** Which issues the lists show; "": each list's own. */
    this.issueClass = "";
    document.getElementById("class")?.addEventListener("change", ({ target }) => this.turn(/** @type {HTMLInputElement} */ (target).value));
    WIDE.addEventListener("change", () => this.arrange());
  }

  /** @param {any} message */
  hear(message) {
    const heard = this.follower.hear(message, performance.now());
    const refused = (message.type === "snapshot" && heard.list === undefined) || (message.type === "new_day" && !heard.cleared);
    if (!refused) this.status.hear(message); // the date of what is not shown is nobody's
    if (this.follower.refused) this.status.refused(this.follower.refused);
    if (heard.cleared) for (const panel of this.panels.values()) panel.show(undefined);
    if (heard.list !== undefined) this.show(heard.list, heard.changes);
    if (heard.ask !== undefined && this.panelOf(heard.ask)) this.connection.resync(heard.ask);
    if (message.type === "connected") this.offer(message.lists);
  }

  /** @param {string} list @param {import("./deltas.mjs").Changes} [changes] */
  show(list, changes) {
    const [panel, state] = [this.panelOf(list), this.follower.held.get(list)];
    if (state && changes && panel?.state) panel.follow(state, changes);
    else panel?.show(state);
  }

  /** None when `list` is of a class or a tab that was left. @param {string} list */
  panelOf(list) {
    const panel = this.panels.get(list.split("~")[0]);
    return panel?.feed === list ? panel : undefined;
  }

  /** @param {Head[]} heads */
  offer(heads) {
    if (JSON.stringify(heads) === JSON.stringify(this.heads)) return;
    this.heads = heads;
    this.arrange();
  }

  /** @param {string} issueClass */
  turn(issueClass) {
    this.issueClass = issueClass;
    for (const panel of this.panels.values()) {
      const before = panel.feed;
      panel.issueClass = issueClass;
      if (panel.feed !== before) {
        this.connection.unwatch(before);
        this.connection.watch(panel.feed);
      }
      panel.show(this.follower.held.get(panel.feed));
    }
  }

  arrange() {
    for (const name of [...this.panels.keys()]) this.drop(name);
    this.place.replaceChildren();
    const names = this.heads.map(({ name }) => name);
    const first = FIRST.filter((name) => names.includes(name));
    const fixed = WIDE.matches ? first : [];
    const others = [...first, ...names.filter((name) => !first.includes(name))].filter((name) => !fixed.includes(name));
    for (const name of fixed) this.place.append(this.panel(name).element);
    if (others.length) this.place.append(this.tabs(others));
  }

  /** @param {string[]} names */
  tabs(names) {
    const area = element("div", "tabbed");
    const strip = element("div", "tabs");
    strip.role = "tablist";
    strip.ariaLabel = "Lists";
    area.append(strip);
    for (const name of names) {
      const tab = element("button", "", this.head(name).title);
      tab.role = "tab";
      tab.id = `tab-${name}`;
      tab.dataset.list = name;
      tab.addEventListener("click", () => this.choose(area, name));
      strip.append(tab);
    }
    strip.addEventListener("keydown", (event) => this.moveAlong(area, names, event));
    this.choose(area, this.chosen && names.includes(this.chosen) ? this.chosen : names[0]);
    return area;
  }

  /** @param {HTMLElement} area @param {string} name */
  choose(area, name) {
    for (const tab of /** @type {NodeListOf<HTMLElement>} */ (area.querySelectorAll("[role=tab]"))) {
      const selected = tab.dataset.list === name;
      tab.ariaSelected = String(selected);
      tab.tabIndex = selected ? 0 : -1;
      if (!selected && this.panels.has(tab.dataset.list ?? "")) this.drop(tab.dataset.list ?? "");
    }
    this.chosen = name;
    if (this.panels.has(name)) return;
    const { element: panel } = this.panel(name);
    panel.role = "tabpanel";
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    area.append(panel);
  }

  /** @param {HTMLElement} area @param {string[]} names @param {KeyboardEvent} event */
  moveAlong(area, names, event) {
    const here = names.indexOf(this.chosen ?? "");
    const steps = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: names.length - 1 };
    const next = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (next === undefined) return;
    event.preventDefault();
    const name = names[(next + names.length) % names.length];
    this.choose(area, name);
    document.getElementById(`tab-${name}`)?.focus();
  }

  /** @param {string} name */
  panel(name) {
    const panel = new ListPanel(this.head(name), this.issueClass);
    this.panels.set(name, panel);
    this.connection.watch(panel.feed);
    return panel;
  }

  /** @param {string} name */
  drop(name) {
    const panel = this.panels.get(name);
    if (!panel) return;
    this.connection.unwatch(panel.feed);
    panel.close();
    this.panels.delete(name);
  }

  /** @param {string} name @returns {Head} */
  head(name) {
    return /** @type {Head} */ (this.heads.find((head) => head.name === name));
  }
}

new Page();
