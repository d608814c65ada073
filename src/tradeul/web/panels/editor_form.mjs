// The form of one list: fields in, a draft out, and a refusal at the field that it is about.

import { button, element } from "../element.mjs";
import { columnOf } from "../format.mjs";
import { COLUMNS } from "../words/columns.mjs";
import { t } from "../words/words.mjs";

/** @typedef {import("./list_text.mjs").Draft} Draft */

const CLASSES = ["stocks", "etf", "leveraged", "all"];
let made = 0; // forms so far: ids are the page's

export class ListForm {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    made += 1;
    this.id = `editor-${made}`;
    this.element = element("form", "form");
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.element.addEventListener("input", changed);
    /** @type {Map<string, {control: HTMLElement, problem: HTMLElement}>} */
    this.fields = new Map();
    this.name = this.input("name", { spellcheck: false, maxLength: 40, autocapitalize: "off" });
    this.title = this.input("title", {});
    this.where = /** @type {HTMLTextAreaElement} */ (this.field("where", "textarea", { rows: 4, spellcheck: false, className: "code" }));
    this.order = element("ul", "orders");
    this.place("order", this.order, button(t("editor.order.add"), () => this.addOrder(["change_pct", "desc"])));
    this.columns = element("ol", "chosen");
    this.place("columns", this.columns, this.columnChooser());
    this.issueClass = /** @type {HTMLSelectElement} */ (this.field("class", "select", {}));
    for (const each of CLASSES) this.issueClass.append(option(each, t(`editor.class.${each}`)));
    this.limit = this.input("limit", { type: "number", min: "1", max: "100" });
    this.floors = this.input("floors", { type: "checkbox" });
    this.phases = element("p", "hint");
    this.element.append(this.phases);
    /** @type {Draft["phases"]} */
    this.keptPhases = {};
  }

  /** @param {Draft} draft */
  fill(draft) {
    [this.name.value, this.title.value, this.where.value] = [draft.name, draft.title, draft.where];
    this.order.replaceChildren();
    for (const each of draft.order) this.addOrder(each, true);
    this.columns.replaceChildren();
    for (const each of draft.columns) this.addColumn(each, true);
    this.issueClass.value = draft.issue_class;
    this.limit.value = String(draft.limit);
    this.floors.checked = draft.floors;
    this.keptPhases = draft.phases;
    const phases = Object.keys(draft.phases);
    this.phases.textContent = phases.length ? t("editor.phases", { phases: phases.map((phase) => t(`phase.${phase}`)).join(", ") }) : "";
    this.refuse(null, null);
  }

  /** @returns {Draft} */
  draft() {
    const orders = /** @type {HTMLElement[]} */ ([...this.order.children]);
    return {
      name: this.name.value.trim(),
      title: this.title.value.trim(),
      where: this.where.value.trim(),
      order: orders.map((row) => [/** @type {HTMLInputElement} */ (row.querySelector("input")).value.trim(), /** @type {HTMLSelectElement} */ (row.querySelector("select")).value]),
      columns: this.chosenColumns(),
      issue_class: this.issueClass.value,
      floors: this.floors.checked,
      limit: this.limit.valueAsNumber,
      phases: this.keptPhases,
    };
  }

  /** Say what is wrong where it is; null: nothing. @param {string | null} field @param {string | null} reason @returns {boolean} whether it has a place here */
  refuse(field, reason) {
    for (const [name, { control, problem }] of this.fields) {
      const isHere = reason !== null && name === field;
      problem.textContent = isHere ? reason : "";
      if (isHere) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    }
    return this.fields.has(field ?? "");
  }

  /** @param {string} name @param {object} attributes */
  input(name, attributes) {
    return /** @type {HTMLInputElement} */ (this.field(name, "input", attributes));
  }

  /** @param {string} name @param {"input" | "textarea" | "select"} tag @param {object} attributes */
  field(name, tag, attributes) {
    const control = document.createElement(tag);
    Object.assign(control, { id: `${this.id}-${name}`, name, ...attributes });
    const label = element("label", "", t(`editor.${name}`));
    /** @type {HTMLLabelElement} */ (label).htmlFor = control.id;
    this.lay(name, label, control, control);
    return control;
  }

  /** A field of several controls. @param {string} name @param {HTMLElement} control @param {HTMLElement} add */
  place(name, control, add) {
    const label = element("span", "label", t(`editor.${name}`));
    label.id = `${this.id}-${name}-label`;
    control.setAttribute("aria-labelledby", label.id);
    const both = element("div", "");
    both.append(control, add);
    this.lay(name, label, control, both);
  }

  /** @param {string} name @param {HTMLElement} label @param {HTMLElement} control @param {HTMLElement} shown */
  lay(name, label, control, shown) {
    const problem = element("p", "problem");
    problem.id = `${this.id}-${name}-problem`;
    control.setAttribute("aria-describedby", problem.id);
    const row = element("div", `field ${name}`);
    row.append(label, shown, problem);
    this.fields.set(name, { control, problem });
    this.element.append(row);
  }

  /** @param {[string, string]} order @param {boolean} [quietly] */
  addOrder([expression, direction], quietly = false) {
    const row = element("li", "");
    const input = document.createElement("input");
    Object.assign(input, { value: expression, spellcheck: false, className: "code", ariaLabel: t("editor.order.by") });
    const way = document.createElement("select");
    way.append(option("desc", t("editor.desc")), option("asc", t("editor.asc")));
    way.value = direction;
    way.ariaLabel = t("editor.order.way");
    row.append(input, way, sign("✕", t("editor.order.remove", { column: expression }), () => this.take(row, this.order)));
    this.order.append(row);
    if (!quietly) {
      input.select();
      this.changed();
    }
  }

  /** @param {string} name @param {boolean} [quietly] */
  addColumn(name, quietly = false) {
    const { label, help } = columnOf(name);
    const row = element("li", "");
    row.dataset.column = name;
    const title = element("span", "", label);
    title.title = help ? `${help} (${name})` : name;
    const up = sign("↑", t("editor.column.up", { column: label }), () => this.move(row, up));
    row.append(title, up, sign("✕", t("editor.column.remove", { column: label }), () => this.take(row, this.columns)));
    this.columns.append(row);
    if (!quietly) this.changed();
  }

  columnChooser() {
    const chooser = document.createElement("select");
    chooser.ariaLabel = t("editor.column.add");
    chooser.append(option("", t("editor.column.add")));
    for (const name of Object.keys(COLUMNS)) chooser.append(option(name, `${columnOf(name).label} (${name})`));
    chooser.addEventListener("change", () => {
      if (chooser.value && !this.chosenColumns().includes(chooser.value)) this.addColumn(chooser.value);
      chooser.value = "";
    });
    return chooser;
  }

  chosenColumns() {
    return /** @type {HTMLElement[]} */ ([...this.columns.children]).map((row) => row.dataset.column ?? "");
  }

  /** @param {HTMLElement} row @param {HTMLElement} pressed  keeps the focus, which moving would lose */
  move(row, pressed) {
    row.previousElementSibling?.before(row);
    pressed.focus();
    this.changed();
  }

  /** @param {HTMLElement} row @param {HTMLElement} list */
  take(row, list) {
    row.remove();
    /** @type {HTMLElement | null} */ (list.querySelector("button"))?.focus();
    this.changed();
  }
}

/** @param {string} value @param {string} text */
export function option(value, text) {
  const each = document.createElement("option");
  Object.assign(each, { value, textContent: text });
  return each;
}

/** A button of one sign, with a name. @param {string} text @param {string} name @param {() => void} press */
function sign(text, name, press) {
  const each = button(text, press, "sign");
  each.ariaLabel = each.title = name;
  return each;
}
