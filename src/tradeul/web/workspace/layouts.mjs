// Arrangements by name: kept on the server as they change, remembered by the browser, taken along as a file.

import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "./dialog.mjs";

/** @typedef {import("./panels.mjs").Desk} Desk */
/** @typedef {{names: string[], dock: any}} Layout  `names`: the lists that it knows; dockview's own form */
/** @typedef {{name: string | null, layout: Layout, unsent?: boolean}} Kept  null: nobody gave it a name; `unsent`: the server knows an older one */

const SEND_AFTER_MS = 1500;
const WIDE = matchMedia("(min-width: 1000px)");

export class Layouts {
  /** @param {Desk} desk @param {{restore: (layout: Layout) => boolean, begin: () => void, state: () => Layout}} workspace */
  constructor(desk, workspace) {
    this.desk = desk;
    this.workspace = workspace;
    /** @type {string | null} */
    this.name = null;
    desk.commands.add({ id: "layouts", title: () => t("layouts.title"), keys: "Alt+l", run: () => this.show() });
    desk.commands.add({ id: "layouts.reset", title: () => t("layouts.reset"), run: () => this.reset() });
  }

  /** Wide and narrow screens are arranged apart. */
  get place() {
    return WIDE.matches ? "layout.wide" : "layout.narrow";
  }

  /** What this browser showed last, at once; where it has a name, the server may know a newer one. @returns {Layout | null} */
  remembered() {
    const kept = this.desk.settings.get(this.place, /** @type {Kept | null} */ (null));
    this.name = kept?.name ?? null;
    if (kept?.unsent) this.keep(kept.layout);
    else if (kept && this.name !== null) void this.compare(this.name, kept.layout);
    return kept?.layout ?? null;
  }

  /** @param {string} name @param {Layout} shown */
  async compare(name, shown) {
    try {
      const layout = await this.desk.api.get(address(name));
      if (name === this.name && JSON.stringify(layout) !== JSON.stringify(shown)) this.workspace.restore(layout);
    } catch {
      // Gone or out of reach: what stands here is as good.
    }
  }

  /** It changed. @param {Layout} layout */
  keep(layout) {
    const { name } = this;
    this.remember(layout, name !== null);
    clearTimeout(this.timer);
    if (name !== null) this.timer = setTimeout(() => this.attempt(() => this.send(name, layout)), SEND_AFTER_MS);
  }

  /** @param {Layout} layout @param {boolean} unsent */
  remember(layout, unsent = false) {
    this.shown = layout;
    this.desk.settings.set(this.place, { name: this.name, layout, unsent });
  }

  /** @param {string} name @param {Layout} layout */
  async send(name, layout) {
    await this.desk.api.put(address(name), layout);
    if (layout === this.shown) this.remember(layout);
  }

  /** @param {string} name */
  async choose(name) {
    await this.attempt(async () => {
      const layout = await this.desk.api.get(address(name));
      if (!this.workspace.restore(layout)) return this.desk.say(t("layouts.unreadable"));
      this.name = name;
      this.remember(layout);
    });
  }

  /** @param {string} name */
  async saveAs(name) {
    const layout = this.workspace.state();
    await this.attempt(async () => {
      await this.desk.api.put(address(name), layout);
      this.name = name;
      this.remember(layout);
    });
  }

  /** @param {string} name */
  async remove(name) {
    if (name === this.name) this.name = null;
    await this.attempt(() => this.desk.api.remove(address(name)));
  }

  /** The first arrangement again; a named one stays as it is. */
  reset() {
    this.name = null;
    this.workspace.begin();
    this.keep(this.workspace.state());
  }

  exportFile() {
    const link = /** @type {HTMLAnchorElement} */ (element("a"));
    link.href = URL.createObjectURL(new Blob([JSON.stringify(this.workspace.state())], { type: "application/json" }));
    link.download = `tradeul-${this.name ?? "layout"}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  /** @param {File} file */
  async importFile(file) {
    let layout;
    try {
      layout = JSON.parse(await file.text());
    } catch {
      layout = null;
    }
    if (!isLayout(layout) || !this.workspace.restore(layout)) return this.desk.say(t("layouts.no_layout", { file: file.name }));
    this.name = null;
    this.keep(layout);
  }

  /** A failure is said, and the page goes on. @param {() => Promise<unknown>} work */
  async attempt(work) {
    try {
      await work();
    } catch (error) {
      this.desk.say(t("layouts.failed", { reason: /** @type {Error} */ (error).message }));
    }
  }

  show() {
    openDialog(t("layouts.title"), (body, close) => void this.fill(body, close));
  }

  /** @param {HTMLElement} body @param {() => void} close */
  async fill(body, close) {
    const named = element("ul", "choices");
    const form = /** @type {HTMLFormElement} */ (element("form", "row"));
    const name = /** @type {HTMLInputElement} */ (element("input"));
    Object.assign(name, { required: true, maxLength: 40, value: this.name ?? "", ariaLabel: t("layouts.name"), placeholder: t("layouts.name") });
    form.append(name, element("button", "", t("layouts.save")));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      await this.saveAs(name.value.trim());
      close();
    });
    const file = /** @type {HTMLInputElement} */ (element("input", "away"));
    Object.assign(file, { type: "file", accept: ".json,application/json", ariaLabel: t("layouts.import"), tabIndex: -1 });
    file.addEventListener("change", async () => {
      if (file.files?.[0]) await this.importFile(file.files[0]);
      close();
    });
    const others = element("div", "row");
    const ends = (/** @type {() => void} */ act) => () => (act(), close());
    others.append(button(t("layouts.export"), () => this.exportFile()), button(t("layouts.import"), () => file.click()), file);
    others.append(button(t("layouts.reset"), ends(() => this.reset())));
    body.append(element("p", "dim", t("layouts.help")), named, form, others);
    await this.attempt(async () => {
      const { layouts } = await this.desk.api.get("api/layouts");
      named.replaceChildren(...layouts.map((/** @type {string} */ each) => this.choice(each, close)));
      if (!layouts.length) named.append(element("li", "dim", t("layouts.none")));
    });
  }

  /** @param {string} name @param {() => void} close */
  choice(name, close) {
    const line = element("li");
    const choose = button(name, async () => (await this.choose(name), close()), "choice");
    choose.ariaPressed = String(name === this.name);
    const remove = button("×", async () => (await this.remove(name), line.remove()), "plain");
    remove.ariaLabel = t("layouts.remove", { name });
    line.append(choose, remove);
    return line;
  }
}

/** @param {string} name */
const address = (name) => `api/layouts/${encodeURIComponent(name)}`;

/** @param {any} value */
function isLayout(value) {
  return Array.isArray(value?.names) && typeof value.dock?.grid === "object" && typeof value.dock?.panels === "object";
}
