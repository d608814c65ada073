// The workspace: panels docked, tabbed or floating in dockview, and their arrangement, which is remembered.

import { createDockview } from "dockview-core";
import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { GroupHeader } from "./header.mjs";
import { Layouts } from "./layouts.mjs";
import { adopt } from "./windows.mjs";

/** @typedef {import("./panels.mjs").Panel} Panel */
/** @typedef {import("./panels.mjs").PanelKind} PanelKind */
/** @typedef {import("./panels.mjs").Desk} Desk */

const FIRST = ["gappers_up", "momentum_up", "high_volume", "new_highs"];
const WIDE = matchMedia("(min-width: 1000px)");
const STRIP_HEIGHT = 34;
const KEEP_AFTER_MS = 400;
const THEME = { name: "tradeul", className: "dockview-theme-light", gap: 6 };

export class Workspace {
  /** @param {HTMLElement} place @param {Desk} desk @param {PanelKind[]} kinds */
  constructor(place, desk, kinds) {
    this.desk = desk;
    this.kinds = new Map(kinds.map((kind) => [kind.kind, kind]));
    /** @type {Map<Panel, import("dockview-core").DockviewPanelApi>} */
    this.panels = new Map();
    this.dock = createDockview(place, {
      theme: THEME,
      createComponent: ({ name }) => new Content(this, name),
      defaultTabComponent: "tab",
      createTabComponent: () => new Tab(),
      createWatermarkComponent: () => this.bare(),
      createRightHeaderActionComponent: (group) => new GroupHeader(this, group),
      popoutUrl: "popout.html",
      scrollbars: "native",
      announcements: true,
    });
    this.hear(place);
    this.layouts = new Layouts(desk, { restore: (layout) => this.restore(layout), begin: () => this.begin(), state: () => this.state() });
    this.isArranging = false;
    this.dock.onDidLayoutChange(() => this.keepSoon());
    this.dock.onDidOpenPopoutWindowFail(() => desk.say(t("group.blocked")));
    // Windows that close with this one are not news.
    addEventListener("beforeunload", () => {
      if (this.timer !== undefined) this.keep();
      this.isArranging = true;
    });
    desk.feed.lists.listen((heads) => this.offer(heads.map(({ name }) => name)));
    WIDE.addEventListener("change", () => this.arrange(desk.feed.lists.value.map(({ name }) => name)));
  }

  /** Lists appear in an arrangement that does not know them; those that a person closed stay closed. @param {string[]} names */
  offer(names) {
    if (!this.names) return this.arrange(names);
    for (const name of names) if (!this.names.has(name)) this.open("list", { list: name }, { inactive: true });
    this.names = new Set([...this.names, ...names]);
    this.keepSoon();
  }

  /** As it was left here, else the first arrangement. @param {string[]} names */
  arrange(names) {
    if (!names.length) return;
    this.names = new Set(names);
    const layout = this.layouts.remembered();
    if (!(layout && this.restore(layout))) this.begin();
  }

  /** Whether it could be read; else the first arrangement stands. @param {import("./layouts.mjs").Layout} layout */
  restore(layout) {
    const there = this.desk.feed.lists.value.map(({ name }) => name);
    this.isArranging = true;
    try {
      this.dock.fromJSON(layout.dock);
      this.names = new Set(layout.names);
      this.offer(there);
    } catch (error) {
      console.info("an arrangement that cannot be read is forgotten", error);
      this.names = new Set(there);
      this.begin();
      return false;
    } finally {
      this.isArranging = false;
    }
    return true;
  }

  /** @returns {import("./layouts.mjs").Layout} */
  state() {
    return { names: [...(this.names ?? [])], dock: this.dock.toJSON() };
  }

  /** The first arrangement: four lists side by side where there is room, the others in tabs; on a phone all in tabs. */
  begin() {
    const wasArranging = this.isArranging;
    this.isArranging = true;
    this.dock.clear();
    this.fill(this.desk.feed.lists.value.map(({ name }) => name));
    this.isArranging = wasArranging;
  }

  /** @param {string[]} names */
  fill(names) {
    const first = FIRST.filter((name) => names.includes(name));
    const others = names.filter((name) => !first.includes(name));
    if (!WIDE.matches) {
      for (const name of [...first, ...others]) this.add("list", { list: name }, { inactive: this.dock.totalPanels > 0 });
      return;
    }
    const strip = this.add("market", {}, { minimumHeight: STRIP_HEIGHT, maximumHeight: STRIP_HEIGHT });
    strip.group.header.hidden = true;
    /** @type {import("dockview-core").IDockviewPanel[]} */
    const made = [];
    first.forEach((name, place) => {
      const position = place === 0 ? { direction: /** @type {const} */ ("below") } : { referencePanel: made[place === 3 ? 1 : 0], direction: place === 1 ? "right" : "below" };
      made.push(this.add("list", { list: name }, { position }));
    });
    let tabs;
    for (const name of others) {
      const position = tabs ? { referencePanel: tabs, direction: "within" } : made.length ? { direction: "below" } : undefined;
      const panel = this.add("list", { list: name }, { position, inactive: Boolean(tabs) });
      tabs ??= panel;
    }
    tabs?.group.api.setSize({ height: Math.round(this.dock.height * 0.3) });
    made[0]?.api.setActive();
  }

  /**
   * The panel of that kind and those params: brought to the front, else made as a tab beside its like, else at the right (on a phone as one more tab).
   * @param {string} kind @param {any} [params]
   * @param {{group?: import("dockview-core").DockviewGroupPanel, inactive?: boolean}} [where]  `inactive`: behind what is shown
   */
  open(kind, params = {}, { group, inactive = false } = {}) {
    const there = this.dock.getPanel(idOf(kind, params));
    if (there) return inactive ? undefined : there.api.setActive();
    if (group) return void this.add(kind, params, { position: { referenceGroup: group, direction: "within" } });
    const like = this.dock.panels.filter(({ view: { contentComponent: other } }) => other === kind || (kind !== "list" && !["list", "market"].includes(other)));
    const beside = like.at(-1);
    const position = beside ? { referencePanel: beside, direction: "within" } : this.dock.totalPanels && WIDE.matches ? { direction: "right" } : undefined;
    this.add(kind, params, { position, inactive: inactive && Boolean(beside) });
  }

  /** @param {string} kind @param {any} params @param {any} options @returns {import("dockview-core").IDockviewPanel} */
  add(kind, params, options) {
    return this.dock.addPanel({ id: idOf(kind, params), component: kind, title: this.titleOf(kind), params, minimumWidth: 180, minimumHeight: 90, ...options });
  }

  /** The panel that was last worked in. @returns {Panel | undefined} */
  get active() {
    return this.panelAt(this.dock.activePanel?.id);
  }

  /** @param {string} kind @param {any} params @returns {Panel | undefined} */
  panelOf(kind, params) {
    return this.panelAt(idOf(kind, params));
  }

  /** @param {string | undefined} id */
  panelAt(id) {
    return [...this.panels].find(([, api]) => api.id === id)?.[0];
  }

  /** What stands where no panel is. */
  bare() {
    const made = element("div", "bare");
    made.append(element("p", "", t(this.names ? "workspace.bare" : "workspace.starting")));
    if (this.names) made.append(button(t("layouts.reset"), () => this.layouts.reset()));
    return { element: made, init: () => {} };
  }

  /** @param {string} kind */
  titleOf(kind) {
    return t(this.kinds.get(kind)?.titleKey ?? "workspace.unknown");
  }

  /** What `panel` says of itself, into the arrangement. @param {Panel} panel */
  changed(panel) {
    const api = this.panels.get(panel);
    if (!api) return;
    if (panel.title !== undefined && panel.title !== api.title) api.setTitle(panel.title);
    if (panel.params) api.updateParameters(panel.params());
    this.keepSoon();
  }

  /** Tabs answer to keys and to whoever clicks without a pointer. @param {HTMLElement} place */
  hear(place) {
    place.addEventListener("keydown", (event) => this.moveAlong(event));
    place.addEventListener("click", ({ target }) => {
      const tab = /** @type {HTMLElement} */ (target).closest("[role=tab]");
      if (tab) this.dock.getPanel(/** @type {HTMLElement} */ (tab).dataset.tabPanelId ?? "")?.api.setActive();
    });
  }

  /** Arrow keys, Home and End move along the tabs, Delete closes one. @param {KeyboardEvent} event */
  moveAlong(event) {
    const tab = /** @type {HTMLElement} */ (event.target);
    if (tab.role !== "tab") return;
    const tabs = /** @type {HTMLElement[]} */ ([...(tab.closest("[role=tablist]")?.querySelectorAll("[role=tab]") ?? [])]);
    const here = tabs.indexOf(tab);
    if (event.key === "Delete") {
      (tabs[here + 1] ?? tabs[here - 1])?.focus();
      return this.dock.getPanel(tab.dataset.tabPanelId ?? "")?.api.close();
    }
    const steps = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 };
    const next = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (next === undefined) return;
    event.preventDefault();
    const wanted = tabs[(next + tabs.length) % tabs.length];
    this.dock.getPanel(wanted.dataset.tabPanelId ?? "")?.api.setActive();
    wanted.focus();
  }

  keepSoon() {
    if (this.isArranging) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), KEEP_AFTER_MS);
  }

  keep() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.layouts.keep(this.state());
  }

  /** Into a window of its own, for another screen. @param {import("dockview-core").DockviewGroupPanel} group */
  async popOut(group) {
    await this.dock.addPopoutGroup(group, {
      onDidOpen: ({ window }) =>
        window.addEventListener("load", () => {
          adopt(window);
          this.hear(window.document.body);
          this.desk.commands.hear(window.document);
        }),
    });
  }
}

/** One panel inside dockview. */
class Content {
  /** @param {Workspace} workspace @param {string} kind */
  constructor(workspace, kind) {
    this.workspace = workspace;
    this.kind = kind;
    this.element = element("div", "content");
    this.isTelling = false;
  }

  /** @param {import("dockview-core").GroupPanelPartInitParameters} given */
  init({ api, params }) {
    const kind = this.workspace.kinds.get(this.kind);
    const panel = kind ? kind.make(this.workspace.desk, params) : unknown(this.kind);
    this.panel = panel;
    this.workspace.panels.set(panel, api);
    this.element.append(panel.element);
    // Dockview gives the kind's title when `init` has ended.
    queueMicrotask(() => this.workspace.changed(panel));
    this.tellSoon(panel, api);
    this.watching = api.onDidVisibilityChange(() => this.tellSoon(panel, api));
  }

  /**
   * Whether it is seen, once whatever is being arranged stands: a panel that only passes through the front asks for nothing.
   * @param {import("./panels.mjs").Panel} panel @param {import("dockview-core").DockviewPanelApi} api
   */
  tellSoon(panel, api) {
    if (this.isTelling) return;
    this.isTelling = true;
    queueMicrotask(() => {
      this.isTelling = false;
      if (this.workspace.panels.has(panel)) panel.visible?.(api.isVisible);
    });
  }

  dispose() {
    this.watching?.dispose();
    if (!this.panel) return;
    this.workspace.panels.delete(this.panel);
    this.panel.close();
  }
}

/** A tab's words. Its cross is for the pointer alone: inside a tab no other control may be reached, and Delete closes it too. */
class Tab {
  constructor() {
    this.element = element("div", "tab");
    this.words = element("span");
    this.cross = element("span", "tab-close", "×");
    this.element.append(this.words, this.cross);
  }

  /** @param {import("dockview-core").TabPartInitParameters} given */
  init({ title, api }) {
    this.words.textContent = title;
    this.cross.title = t("workspace.close");
    this.cross.ariaHidden = "true";
    this.watching = api.onDidTitleChange((event) => (this.words.textContent = event.title));
    // Before dockview takes the press for the beginning of a drag.
    this.cross.addEventListener("pointerdown", (event) => event.stopPropagation());
    this.cross.addEventListener("click", (event) => {
      event.stopPropagation();
      api.close();
    });
  }

  dispose() {
    this.watching?.dispose();
  }
}

/** A panel of an arrangement that another version made. @param {string} kind @returns {Panel} */
function unknown(kind) {
  return { element: element("p", "bare", t("workspace.unknown_kind", { kind })), close: () => {} };
}

/** @param {string} kind @param {Record<string, unknown>} params */
function idOf(kind, params) {
  return [kind, ...Object.keys(params).sort().map((name) => String(params[name]))].join("-");
}
