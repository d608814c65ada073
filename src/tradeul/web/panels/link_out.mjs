// Where "look it up" leads: an https address with {symbol} in it, chosen once for this browser.

import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "../workspace/dialog.mjs";
import { safeAddress } from "./plain.mjs";

const SETTING = "link_out";
const FIRST = "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK={symbol}";

/** @typedef {import("../workspace/panels.mjs").Desk} Desk */

/** Null: the template is none that may be used. @param {string} template @param {string} symbol */
export function filled(template, symbol) {
  if (!template.includes("{symbol}")) return null;
  const [here, there] = [symbol, "X"].map((each) => safeAddress(template.replaceAll("{symbol}", encodeURIComponent(each))));
  // A symbol is a part of the path or the query, never the host.
  return here && there && new URL(here).host === new URL(there).host ? here : null;
}

/** @param {Desk} desk @param {string} symbol */
export function addressOf(desk, symbol) {
  return filled(desk.settings.get(SETTING, FIRST), symbol);
}

/** @param {Desk} desk @param {Document} page  of the window that asked */
export function chooseTemplate(desk, page) {
  openDialog(t("ticker.out.choose"), (body, close) => body.append(templateForm(desk, close)), page);
}

/** @param {Desk} desk @param {() => void} close */
function templateForm(desk, close) {
  const form = /** @type {HTMLFormElement} */ (element("form", "form"));
  form.method = "dialog";
  const label = element("label", "", t("link_out.template"));
  const field = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(field, { type: "text", value: desk.settings.get(SETTING, FIRST), size: 60 });
  const wrong = element("p", "wrong");
  wrong.setAttribute("role", "alert");
  const save = /** @type {HTMLButtonElement} */ (element("button", "", t("dialog.save")));
  form.addEventListener("submit", (event) => {
    if (filled(field.value, "AAPL")) return desk.settings.set(SETTING, field.value.trim());
    event.preventDefault();
    wrong.textContent = t("link_out.wrong");
    field.focus();
  });
  const row = element("p", "actions");
  row.append(save, button(t("dialog.cancel"), close));
  label.append(field);
  form.append(label, wrong, row);
  return form;
}
