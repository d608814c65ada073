// What serves the reader whatever panels stand there: palette, shortcuts, look and language, links, and the cut of a simulated feed.

import { button } from "../element.mjs";
import { openTicker } from "../panels/ticker.mjs";
import { LANGUAGES, speak, t } from "../words/words.mjs";
import { Appearance, THEMES } from "./appearance.mjs";
import { offerCut } from "./cut.mjs";
import { showHelp } from "./help.mjs";
import { GROUPS } from "./links.mjs";
import { Palette } from "./palette.mjs";
import { Sharing } from "./sharing.mjs";

/** @param {import("./panels.mjs").Desk} desk @param {import("./workspace.mjs").Workspace} workspace */
export function servePeople(desk, workspace) {
  const { commands } = desk;
  const appearance = new Appearance(desk.settings);
  // In the colour of the panel that was last worked in; one that is linked to nobody (""), or has no colour, leaves the first.
  const choose = (/** @type {string} */ symbol) => openTicker(desk, symbol, workspace.active?.params?.().group || GROUPS[0]);
  const palette = new Palette(desk, { choose, layout: (name) => void workspace.layouts.choose(name) });
  commands.hasSingleKeys = desk.settings.get("single_keys", true);
  commands.add({ id: "palette", title: () => t("palette.title"), keys: "/", run: () => palette.show() });
  commands.add({ id: "help", title: () => t("help.title"), keys: "?", run: () => showHelp(desk, appearance) });
  for (const theme of THEMES) commands.add({ id: `theme.${theme}`, title: () => `${t("theme.title")}: ${t(`theme.${theme}`)}`, run: () => appearance.choose(theme) });
  for (const [language, name] of Object.entries(LANGUAGES)) {
    commands.add({ id: `language.${language}`, title: () => `${t("language.title")}: ${name}`, run: () => speak(/** @type {import("../words/words.mjs").Language} */ (language)) });
  }
  new Sharing(desk, workspace, choose);
  offerCut(desk);
  const actions = /** @type {HTMLElement} */ (document.getElementById("actions"));
  const find = button(t("palette.title"), () => palette.show());
  const help = button(t("help.title"), () => showHelp(desk, appearance));
  Object.assign(find, { title: "/", id: "find" });
  Object.assign(help, { title: "?", id: "help" });
  actions.append(find, help);
}
