// The workspace: panels docked, tabbed or floating in dockview, and their arrangement, which is remembered.

import { createDockview } from "dockview-core";
import { element } from "../element.mjs";
import { t } from "../words/words.mjs";

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
      createWatermarkComponent: () => ({ element: element("p", "bare", t("workspace.bare")), init: () => {} }),
      scrollbars: "native",
      announcements: true,
    });
    this.hear(place);
    this.isArranging = false;
    this.dock.onDidLayoutChange(() => this.keepSoon());
    desk.feed.lists.listen((heads) => this.offer(heads.map(({ name }) => name)));
    WIDE.addEventListener("change", () => this.arrange(desk.feed.lists.value.map(({ name }) => name)));
  }

  /** Wide and narrow screens are arranged apart. */
  get keptUnder() {
    return WIDE.matches ? "layout.wide" : "layout.narrow";
  }

  /** Lists appear in an arrangement that does not know them; those that a person closed stay closed. @param {string[]} names */
  offer(names) {
    if (!this.names) return this.arrange(names);
    for (const name of names) if (!this.names.has(name)) this.open("list", { list: name }, true);
    this.names = new Set([...this.names, ...names]);
    this.keepSoon();
  }

  /** As it was left here, else the first arrangement. @param {string[]} names */
  arrange(names) {
    if (!names.length) return;
    const kept = this.desk.settings.get(this.keptUnder, /** @type {any} */ (null));
    this.isArranging = true;
    this.names = new Set(names);
    if (!(kept && this.restore(kept))) this.begin(names);
    this.isArranging = false;
  }

  /** @param {{names: string[], dock: any}} kept */
  restore(kept) {
    try {
      this.dock.fromJSON(kept.dock);
    } catch (error) {
      console.info("an arrangement that cannot be read any more is forgotten", error);
      this.dock.clear();
      return false;
    }
    const known = this.names ?? new Set();
    this.names = new Set(kept.names);
    this.offer([...known]);
    return true;
  }

  /** The first arrangement: four lists side by side where there is room, the others in tabs; on a phone all in tabs. @param {string[]} names */
  begin(names) {
    this.dock.clear();
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
   * The panel of that kind and those params: brought to the front, else made as a tab beside its like, else at the right.
   * @param {string} kind @param {any} params @param {boolean} [quietly]  behind what is shown
   */
  open(kind, params = {}, quietly = false) {
    const there = this.dock.getPanel(idOf(kind, params));
    if (there) return quietly ? undefined : there.api.setActive();
    const like = this.dock.panels.filter(({ view }) => view.contentComponent === kind || (kind !== "list" && view.contentComponent !== "list"));
    const beside = like.at(-1);
    const position = beside ? { referencePanel: beside, direction: "within" } : this.dock.totalPanels ? { direction: "right" } : undefined;
    this.add(kind, params, { position, inactive: quietly && Boolean(beside) });
  }

  /** @param {string} kind @param {any} params @param {any} options @returns {import("dockview-core").IDockviewPanel} */
  add(kind, params, options) {
    return this.dock.addPanel({ id: idOf(kind, params), component: kind, title: this.titleOf(kind), params, minimumWidth: 180, minimumHeight: 90, ...options });
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

  /** Arrow keys, Home and End move along the tabs. @param {KeyboardEvent} event */
  moveAlong(event) {
    const tab = /** @type {HTMLElement} */ (event.target);
    if (tab.role !== "tab") return;
    const tabs = /** @type {HTMLElement[]} */ ([...(tab.closest("[role=tablist]")?.querySelectorAll("[role=tab]") ?? [])]);
    const here = tabs.indexOf(tab);
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
    this.desk.settings.set(this.keptUnder, { names: [...(this.names ?? [])], dock: this.dock.toJSON() });
  }
}

/** One panel inside dockview. */
class Content {
  /** @param {Workspace} workspace @param {string} kind */
  constructor(workspace, kind) {
    this.workspace = workspace;
    this.kind = kind;
    this.element = element("div", "content");
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
    panel.visible?.(api.isVisible);
    this.watching = api.onDidVisibilityChange(({ isVisible }) => panel.visible?.(isVisible));
  }

  dispose() {
    this.watching?.dispose();
    if (!this.panel) return;
    this.workspace.panels.delete(this.panel);
    this.panel.close();
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
