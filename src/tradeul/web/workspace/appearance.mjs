// How the page looks: as the system wishes, light or dark; kept by this browser. Everything takes its colours from styles/app.css.

export const THEMES = /** @type {const} */ (["system", "light", "dark"]);
/** @typedef {typeof THEMES[number]} Theme */

export class Appearance {
  /** @param {import("./settings.mjs").Settings} settings */
  constructor(settings) {
    this.settings = settings;
    this.show();
  }

  /** @returns {Theme} */
  get theme() {
    const kept = this.settings.get("theme", "system");
    return THEMES.find((each) => each === kept) ?? "system";
  }

  /** @param {Theme} theme */
  choose(theme) {
    this.settings.set("theme", theme === "system" ? undefined : theme);
    this.show();
  }

  show() {
    const { dataset } = document.documentElement;
    if (this.theme === "system") delete dataset.theme;
    else dataset.theme = this.theme;
  }
}
