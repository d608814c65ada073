// The form of an alert: which list, enter or leave, which rows, how long it must stay, how often it may tell, and how.

import { allowSound } from "../alerts/tell.mjs";
import { button, element } from "../element.mjs";
import { columnOf } from "../format.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "../workspace/dialog.mjs";
import { listTitle } from "./list_title.mjs";

const MOST_CONDITIONS = 6;
/** @type {Omit<Rule, "id" | "list">} */
const NEW = { event: "enter", conditions: [], staySeconds: 0, coolDownSeconds: 300, sound: true, spoken: false, notice: false, on: true };

/**
 * @typedef {import("../alerts/rules.mjs").Rule} Rule
 * @typedef {import("../alerts/rules.mjs").Condition} Condition
 */

/**
 * @param {import("../workspace/panels.mjs").Desk} desk
 * @param {Rule | undefined} rule
 * @param {(rule: Rule) => void} save  of another id: a changed rule is another one
 * @param {Document} page  of the window that asked
 */
export function editRule(desk, rule, save, page) {
  openDialog(t(rule ? "alert.edit" : "alert.new"), (body, close) => body.append(ruleForm(desk, rule, save, close)), page);
}

/** @param {import("../workspace/panels.mjs").Desk} desk @param {Rule | undefined} rule @param {(rule: Rule) => void} save @param {() => void} close */
function ruleForm(desk, rule, save, close) {
  const lists = desk.feed.lists.value;
  const was = rule ?? { ...NEW, list: lists[0]?.name ?? "" };
  const form = /** @type {HTMLFormElement} */ (element("form", "form"));
  form.method = "dialog";
  const list = choice("alert.list", lists.map(({ name }) => [name, listTitle(desk, name)]), was.list);
  const event = choice("alert.event", [["enter", t("alert.enter")], ["leave", t("alert.leave")]], was.event);
  const stay = number("alert.stay", was.staySeconds, 0, 3600, "any");
  const cool = number("alert.cool", was.coolDownSeconds / 60, 0, 1440, "any");
  const conditions = element("fieldset");
  const add = button(t("alert.condition.add"), () => {
    if (conditions.querySelectorAll(".condition").length < MOST_CONDITIONS) add.before(condition(columns(), undefined));
  });
  const columns = () => lists.find(({ name }) => name === list.field.value)?.columns ?? [];
  conditions.append(element("legend", "", t("alert.conditions")), ...was.conditions.map((each) => condition(columns(), each)), add);
  list.field.addEventListener("change", () => {
    for (const each of conditions.querySelectorAll(".condition")) each.remove(); // of columns that the other list may not have
  });
  const ways = element("fieldset");
  const boxes = Object.fromEntries(/** @type {const} */ (["sound", "spoken", "notice"]).map((name) => [name, box(`alert.${name}`, was[name])]));
  ways.append(element("legend", "", t("alert.ways")), ...Object.values(boxes).map(({ label }) => label));
  boxes.notice.field.addEventListener("change", () => {
    if (boxes.notice.field.checked && "Notification" in window && isSecureContext) void Notification.requestPermission();
  });
  const actions = element("p", "actions");
  const keep = /** @type {HTMLButtonElement} */ (element("button", "", t("dialog.save")));
  actions.append(keep, button(t("dialog.cancel"), close));
  form.addEventListener("submit", () => {
    allowSound();
    save({
      id: Math.random().toString(36).slice(2), list: list.field.value, event: /** @type {Rule["event"]} */ (event.field.value), on: true,
      conditions: /** @type {HTMLElement[]} */ ([...conditions.querySelectorAll(".condition")]).map(read).filter(({ column, value }) => column && value !== ""),
      staySeconds: Number(stay.field.value) || 0, coolDownSeconds: 60 * (Number(cool.field.value) || 0),
      sound: boxes.sound.field.checked, spoken: boxes.spoken.field.checked, notice: boxes.notice.field.checked,
    });
  });
  form.append(list.label, event.label, conditions, stay.label, cool.label, ways, actions);
  return form;
}

/** @param {string} key @param {string[][]} options @param {string} value */
function choice(key, options, value) {
  const field = /** @type {HTMLSelectElement} */ (element("select"));
  field.append(...options.map(([name, words]) => new Option(words, name, false, name === value)));
  return labelled(key, field);
}

/** @param {string} key @param {number} value @param {number} min @param {number} max @param {string} step */
function number(key, value, min, max, step) {
  const field = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(field, { type: "number", min: String(min), max: String(max), step, value: String(value), required: true });
  return labelled(key, field);
}

/** @param {string} key @param {boolean} checked */
function box(key, checked) {
  const field = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(field, { type: "checkbox", checked });
  const label = element("label", "tick");
  label.append(field, t(key));
  return { label, field };
}

/** @template {HTMLElement} T @param {string} key @param {T} field */
function labelled(key, field) {
  const label = element("label", "", t(key));
  label.append(field);
  return { label, field };
}

/** @param {string[]} columns @param {Condition | undefined} was */
function condition(columns, was) {
  const line = element("p", "condition");
  const names = [...new Set([...columns.filter((name) => !["symbol", "rank"].includes(name)), ...(was ? [was.column] : [])])];
  const column = /** @type {HTMLSelectElement} */ (element("select"));
  column.ariaLabel = t("alert.column");
  column.append(...names.map((name) => new Option(columnOf(name).label, name, false, name === was?.column)));
  const comparison = /** @type {HTMLSelectElement} */ (element("select"));
  comparison.ariaLabel = t("alert.comparison");
  comparison.append(...[">=", "<=", "="].map((sign) => new Option(sign, sign, false, sign === was?.comparison)));
  const value = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(value, { type: "text", size: 9, value: was ? String(was.value) : "", ariaLabel: t("alert.value"), maxLength: 40 });
  const away = button("×", () => line.remove(), "quiet");
  away.ariaLabel = t("alert.condition.remove");
  line.append(column, comparison, value, away);
  return line;
}

/** @param {HTMLElement} line @returns {Condition} */
function read(line) {
  const [column, comparison, value] = /** @type {HTMLInputElement[]} */ ([...line.querySelectorAll("select, input")]).map((field) => field.value.trim());
  const amount = amountOf(value);
  return { column, comparison: /** @type {Condition["comparison"]} */ (comparison), value: comparison === "=" && amount === null ? value : (amount ?? "") };
}

/** 500K, 1.5M, 2B, 1,000: as traders write. @param {string} text */
export function amountOf(text) {
  const found = /^(-?[\d,]*\.?\d+)\s*([KMB]?)$/i.exec(text);
  if (!found) return null;
  const scale = { "": 1, K: 1e3, M: 1e6, B: 1e9 }[found[2].toUpperCase()] ?? 1;
  return Number(found[1].replaceAll(",", "")) * scale;
}
