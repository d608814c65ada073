// The strip above the lists: how many stocks are up and down, what is halted, and the funds that stand for indexes.

import { button, element } from "../element.mjs";
import { format, grouped, tone } from "../format.mjs";
import { t } from "../words/words.mjs";

const ASK_EVERY_MS = 5000;

/** @typedef {{session: string, timestamp: number, up: number, down: number, unchanged: number, halted: number,
 *   proxies: {symbol: string, price: number | null, change_pct: number | null}[]}} Breadth  as /api/breadth says */

class MarketPanel {
  /** @param {import("../workspace/panels.mjs").Desk} desk */
  constructor(desk) {
    this.desk = desk;
    this.element = element("section", "market");
    Object.assign(this.element, { tabIndex: 0, ariaLabel: t("panel.market") }); // where it is narrow, arrow keys scroll it
    this.stopDay = desk.newDay(() => this.say(t("market.waiting")));
    this.say(t("market.waiting"));
  }

  /** @param {boolean} isShown */
  visible(isShown) {
    clearInterval(this.timer);
    if (!isShown) return;
    this.timer = setInterval(() => void this.ask(), ASK_EVERY_MS);
    void this.ask();
  }

  async ask() {
    if (this.desk.feed.status.value.connection === "refused") return;
    try {
      const found = /** @type {Breadth | undefined} */ (await this.desk.api.get("api/breadth"));
      const day = this.desk.feed.day.value;
      if (found && (day === null || found.session >= day)) this.show(found);
    } catch (error) {
      this.say(/** @type {Error} */ (error).message, true);
    }
  }

  /** @param {Breadth} breadth */
  show({ up, down, unchanged, halted, proxies }) {
    const bar = element("span", "balance");
    bar.ariaHidden = "true";
    bar.style.setProperty("--up-share", `${up + down ? (100 * up) / (up + down) : 50}%`);
    const counts = [labelled(t("market.up"), grouped(up), "up"), bar, labelled(t("market.down"), grouped(down), "down")];
    counts.push(labelled(t("market.unchanged"), grouped(unchanged)), labelled(t("market.halted"), grouped(halted), halted ? "warn" : ""));
    this.element.replaceChildren(...counts, ...proxies.filter(({ price }) => price !== null).map(proxyOf));
  }

  /** @param {string} words @param {boolean} [failed] */
  say(words, failed = false) {
    this.element.replaceChildren(element("span", "dim", words));
    if (failed) this.element.append(button(t("again"), () => void this.ask()));
  }

  close() {
    clearInterval(this.timer);
    this.stopDay();
  }
}

/** @param {string} name @param {string} value @param {string} [className] */
function labelled(name, value, className = "") {
  const made = element("span", "figure");
  made.append(element("span", "dim", name), element("b", className, value));
  return made;
}

/** @param {Breadth["proxies"][number]} proxy */
function proxyOf({ symbol, price, change_pct }) {
  const made = labelled(symbol, format("price", price));
  made.append(element("b", tone("change", change_pct), `${format("change", change_pct)}${change_pct === null ? "" : " %"}`));
  return made;
}

/** @type {import("../workspace/panels.mjs").PanelKind} */
export const market = { kind: "market", titleKey: "panel.market", make: (desk) => new MarketPanel(desk) };
