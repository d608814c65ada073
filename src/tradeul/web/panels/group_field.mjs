// Which colour group a panel is of: one small field, the same in lists and in panels of a ticker.

import { element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { GROUPS } from "../workspace/links.mjs";

/** @param {string} group  "": of none @param {(group: string) => void} turn */
export function groupField(group, turn) {
  const field = /** @type {HTMLSelectElement} */ (element("select", "group"));
  field.ariaLabel = t("ticker.group");
  field.title = t("ticker.group.help");
  for (const name of [...GROUPS, ""]) field.append(new Option(name ? name.toUpperCase() : t("ticker.unlinked"), name, false, name === group));
  field.dataset.group = group;
  field.addEventListener("change", () => {
    field.dataset.group = field.value;
    turn(field.value);
  });
  return field;
}
