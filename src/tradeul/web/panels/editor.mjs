// Lists of one's own: written in a form or as text, tried on the market while they are written, kept as files on the server.

import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { ListForm, option } from "./editor_form.mjs";
import { shown } from "./editor_preview.mjs";
import { blank, tomlOf, watchList } from "./list_text.mjs";

/** @typedef {import("./list_text.mjs").Draft} Draft */
/** @typedef {import("./editor_preview.mjs").Preview} Preview */
/** @typedef {import("../workspace/panels.mjs").Desk} Desk */
/** @typedef {{list: string, title: string | null, file: string, editable: boolean, runs: boolean, reason: string | null}} Head */

const TRY_AFTER_MS = 350; // of not typing
const TRY_AGAIN_MS = 5000; // the market moves
const DRAFT = "editor.draft";

class EditorPanel {
  /** @param {Desk} desk @param {{list?: string}} params */
  constructor(desk, { list }) {
    this.desk = desk;
    /** @type {string | null} the list that was loaded or saved; null: none yet */
    this.list = list ?? null;
    this.tries = 0;
    this.form = new ListForm(() => this.edited());
    this.said = element("p", "said");
    this.said.role = "status";
    this.preview = element("div", "preview");
    this.text = document.createElement("textarea");
    Object.assign(this.text, { rows: 8, spellcheck: false, className: "code", ariaLabel: t("editor.text") });
    const [left, right, body] = [element("div", "left"), element("div", "right"), element("div", "editor-body")];
    left.append(this.form.element, this.asText());
    right.append(element("h2", "", t("editor.now")), this.preview);
    body.append(left, right);
    this.element = element("section", "panel editor");
    this.element.append(this.tools(), this.said, body);
    this.stops = [desk.feed.lists.listen(() => this.offer()), desk.newDay(() => this.tryNow())];
    this.offer();
    if (this.list) void this.load(this.list);
    else this.start(desk.settings.get(DRAFT, blank()));
  }

  params() {
    return this.list ? { list: this.list } : {};
  }

  tools() {
    this.choice = document.createElement("select");
    this.choice.ariaLabel = t("editor.choose");
    this.choice.addEventListener("change", () => this.chosen(/** @type {HTMLSelectElement} */ (this.choice).value));
    this.saving = button(t("editor.save"), () => void this.save(), "main");
    this.opening = button(t("editor.open"), () => this.desk.open("list", { list: this.form.draft().name }));
    this.removing = button(t("editor.delete"), () => void this.remove());
    const tools = element("header", "tools");
    tools.append(this.choice, this.saving, this.opening, this.removing);
    return tools;
  }

  asText() {
    const part = element("details", "");
    this.text.addEventListener("input", (event) => event.stopPropagation());
    const tools = element("div", "tools");
    tools.append(button(t("editor.text.use"), () => void this.useText()), button(t("editor.text.copy"), () => void this.copy()));
    part.append(element("summary", "", t("editor.text")), element("p", "hint", t("editor.text.help")), this.text, tools);
    return part;
  }

  /** What can be begun with: one's own lists, what can be copied, and nothing. */
  async offer() {
    try {
      /** @type {Head[]} */
      this.heads = (await this.desk.api.get("api/user-lists")).lists;
    } catch (error) {
      return this.fail(error, () => void this.offer());
    }
    const { heads = [] } = this;
    const mine = group(t("editor.mine"), heads.filter(({ editable }) => editable).map((head) => option(`mine:${head.list}`, titleOf(head))));
    const copies = group(t("editor.copy_of"), this.desk.feed.lists.value.map(({ name, title }) => option(`copy:${name}`, title)));
    const others = [option("", t("editor.choose")), option("new:", t("editor.new")), option("watch:", t("editor.new_watch"))];
    this.choice?.replaceChildren(...others, mine, copies);
    this.show();
  }

  /** @param {string} value */
  chosen(value) {
    const [what, name] = value.split(":");
    if (what === "mine") return void this.load(name);
    if (what === "copy") return void this.load(name, true);
    this.list = null;
    if (what === "new") this.start(blank());
    if (what === "watch") this.start(watchList(this.desk.links.of("a").symbol ?? "SPY"));
  }

  /** @param {string} name @param {boolean} [isCopy] */
  async load(name, isCopy = false) {
    try {
      const { definition, toml } = await this.desk.api.get(`api/user-lists/${encodeURIComponent(name)}`);
      this.list = isCopy ? null : name;
      if (definition) this.start(isCopy ? { ...definition, name: `${name.slice(0, 35)}_mine`, title: t("editor.copy_title", { title: definition.title }) } : definition);
      else this.startFromText(toml ?? "");
    } catch (error) {
      this.fail(error, () => void this.load(name, isCopy));
    }
  }

  /** @param {Draft} draft */
  start(draft) {
    this.form.fill(draft);
    this.text.value = tomlOf(draft);
    this.say("");
    this.show();
    this.tryNow();
  }

  /** A file that does not run is shown as it is written. @param {string} text */
  startFromText(text) {
    this.form.fill({ ...blank(), name: this.list ?? "my_list" });
    this.text.value = text;
    const part = this.text.closest("details");
    if (part) part.open = true;
    void this.useText();
  }

  edited() {
    const draft = this.form.draft();
    this.text.value = tomlOf(draft);
    this.desk.settings.set(DRAFT, draft);
    this.say("");
    this.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tryNow(), TRY_AFTER_MS);
  }

  /** The buttons as they make sense now. */
  show() {
    const { name } = this.form.draft();
    const own = this.heads?.some(({ list, editable }) => list === name && editable);
    if (this.removing) [this.removing.hidden, this.removing.textContent, this.isSure] = [!own, t("editor.delete"), false];
    if (this.opening) this.opening.hidden = !this.desk.feed.lists.value.some((head) => head.name === name);
    this.title = this.list ? t("editor.of_list", { list: name }) : t("panel.editor");
    this.desk.changed(this);
  }

  /** @param {boolean} isShown */
  visible(isShown) {
    this.isShown = isShown;
    this.tryNow();
  }

  tryNow() {
    clearTimeout(this.timer);
    if (!this.isShown) return;
    this.timer = setTimeout(() => this.tryNow(), TRY_AGAIN_MS);
    void this.tryOut();
  }

  async tryOut() {
    this.tries += 1;
    const mine = this.tries;
    try {
      /** @type {Preview} */
      const preview = await this.desk.api.post("api/user-lists/preview", { toml: tomlOf(this.form.draft()) });
      if (mine === this.tries) this.judge(preview);
    } catch (error) {
      if (mine === this.tries) this.fail(error, () => this.tryNow());
    }
  }

  /** @param {Preview} preview */
  judge(preview) {
    const isPlaced = this.form.refuse(preview.field, preview.reason);
    if (this.saving) this.saving.disabled = preview.reason !== null;
    const unplaced = preview.reason && !isPlaced ? [element("p", "problem", preview.reason)] : [];
    const open = this.preview.querySelector("details")?.open ?? false;
    this.preview.replaceChildren(...unplaced, ...shown(preview));
    const details = this.preview.querySelector("details");
    if (details) details.open = open;
  }

  /** Text, ours or somebody's, into the form. */
  async useText() {
    try {
      /** @type {Preview} */
      const preview = await this.desk.api.post("api/user-lists/preview", { toml: this.text.value });
      if (preview.definition) return this.start(preview.definition);
      this.say([preview.field, preview.reason].filter(Boolean).join(": "), true);
    } catch (error) {
      this.fail(error, () => void this.useText());
    }
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.text.value);
      this.say(t("editor.copied"));
    } catch {
      this.text.select(); // without a secure origin the reader copies it
      this.say(t("editor.select_copied"));
    }
  }

  async save() {
    const draft = this.form.draft();
    try {
      await this.desk.api.put(`api/user-lists/${encodeURIComponent(draft.name)}`, { toml: tomlOf(draft) });
    } catch (error) {
      return this.fail(error);
    }
    this.list = draft.name;
    this.desk.settings.set(DRAFT, undefined);
    await this.offer();
    this.say(t("editor.saved", { title: draft.title }));
  }

  /** Asked twice: it cannot be brought back. */
  async remove() {
    const { name, title } = this.form.draft();
    if (!this.isSure) {
      this.isSure = true;
      if (this.removing) this.removing.textContent = t("editor.delete_sure", { title });
      return;
    }
    try {
      await this.desk.api.remove(`api/user-lists/${encodeURIComponent(name)}`);
    } catch (error) {
      return this.fail(error);
    }
    this.list = null;
    await this.offer();
    this.say(t("editor.deleted", { title }));
  }

  /** @param {string} text @param {boolean} [isProblem] */
  say(text, isProblem = false) {
    this.said.textContent = text;
    this.said.classList.toggle("problem", isProblem);
  }

  /** @param {unknown} error @param {() => void} [again] */
  fail(error, again) {
    this.say(error instanceof Error ? error.message : String(error), true);
    if (again) this.said.append(" ", button(t("again"), again));
  }

  close() {
    clearTimeout(this.timer);
    for (const stop of this.stops) stop();
  }
}

/** @param {string} label @param {HTMLOptionElement[]} options */
function group(label, options) {
  const made = document.createElement("optgroup");
  made.label = label;
  made.hidden = !options.length;
  made.append(...options);
  return made;
}

/** @param {Head} head */
const titleOf = ({ list, title, runs }) => (title ?? list) + (runs ? "" : ` (${t("editor.does_not_run")})`);

/** @type {import("../workspace/panels.mjs").PanelKind} */
export const editor = { kind: "editor", titleKey: "panel.editor", make: (desk, params) => new EditorPanel(desk, params) };
