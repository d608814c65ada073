// The dialog of `?`: how the page looks and speaks, and every shortcut, made from the table of commands.

import { element } from "../element.mjs";
import { LANGUAGES, language, speak, t } from "../words/words.mjs";
import { THEMES } from "./appearance.mjs";
import { openDialog } from "./dialog.mjs";

/** @typedef {import("./panels.mjs").Desk} Desk */

/** @param {Desk} desk @param {import("./appearance.mjs").Appearance} appearance */
export function showHelp(desk, appearance) {
  const page = desk.commands.page;
  if (page.querySelector("dialog.help[open]")) return;
  const fill = (/** @type {HTMLElement} */ body) => {
    const themes = THEMES.map((each) => /** @type {const} */ ([each, t(`theme.${each}`)]));
    body.append(choice(t("theme.title"), "theme", themes, appearance.theme, (theme) => appearance.choose(theme)));
    const languages = Object.entries(LANGUAGES).map(([each, name]) => /** @type {const} */ ([/** @type {import("../words/words.mjs").Language} */ (each), name]));
    body.append(choice(t("language.title"), "language", languages, language, speak));
    body.append(element("h3", "", t("help.keys")), tableOf(desk.commands), singles(desk), element("p", "dim", t("help.elsewhere")));
  };
  openDialog(t("help.title"), fill, page).classList.add("help");
}

/**
 * @template {string} T
 * @param {string} legend @param {string} name @param {(readonly [T, string])[]} choices @param {T} chosen @param {(value: T) => void} choose
 */
function choice(legend, name, choices, chosen, choose) {
  const field = element("fieldset", "row");
  field.append(element("legend", "", legend));
  for (const [value, words] of choices) {
    const label = element("label", "");
    const input = /** @type {HTMLInputElement} */ (element("input"));
    Object.assign(input, { type: "radio", name, value, checked: value === chosen });
    input.addEventListener("change", () => choose(value));
    label.append(input, ` ${words}`);
    field.append(label);
  }
  return field;
}

/** @param {import("./commands.mjs").Commands} commands */
function tableOf(commands) {
  const table = element("dl", "keys");
  for (const { keys, title } of commands.all()) {
    if (!keys) continue;
    const name = element("dt");
    name.append(element("kbd", "", keys));
    table.append(name, element("dd", "", title()));
  }
  return table;
}

/** Who speaks to their machine, or shakes, may want no command at a single letter. @param {Desk} desk */
function singles({ commands, settings }) {
  const label = element("label", "");
  const input = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(input, { type: "checkbox", checked: commands.hasSingleKeys });
  input.addEventListener("change", () => {
    commands.hasSingleKeys = input.checked;
    settings.set("single_keys", input.checked ? undefined : false);
  });
  label.append(input, ` ${t("help.single_keys")}`);
  return label;
}
