// The log of who entered and left the lists, and the alerts: rules that make a sound, speak, or show a notice.
// The log is this browser's (`alerts/journal.mjs`): what it saw while it was open, and nothing of the time in which it was not.

import { Journal, MOST_KEPT } from "../alerts/journal.mjs";
import { allowSound, noticePermission, soundIsWaiting } from "../alerts/tell.mjs";
import { Watch } from "../alerts/watch.mjs";
import { button, element } from "../element.mjs";
import { format, timeOfDay, tone } from "../format.mjs";
import { Signal } from "../signal.mjs";
import { t } from "../words/words.mjs";
import { GROUPS } from "../workspace/links.mjs";
import { listTitle } from "./list_title.mjs";
import { plain } from "./plain.mjs";
import { editRule } from "./rule_form.mjs";

const MOST_SHOWN = 300;
const SETTING = "activity";
const FIRST = ["gappers_up", "momentum_up", "high_volume", "new_highs"];

/**
 * @typedef {import("../workspace/panels.mjs").Desk} Desk
 * @typedef {import("../alerts/watch.mjs").Wanted} Wanted
 * @typedef {import("../alerts/rules.mjs").Rule} Rule
 * @typedef {{wanted: Signal<Wanted>, journal: Promise<Journal>, watch?: Watch}} Activity
 */

/** @type {WeakMap<Desk, Activity>} */
const started = new WeakMap();

/** Begin to log and to alert, whether or not the panel is open; once. @param {Desk} desk @returns {Activity} */
export function startActivity(desk) {
  const there = started.get(desk);
  if (there) return there;
  const read = () => desk.settings.get(SETTING, /** @type {Wanted} */ ({ lists: [], rules: [] }));
  /** @type {Activity} */
  const activity = { wanted: new Signal(read()), journal: Journal.open() };
  started.set(desk, activity);
  addEventListener("storage", () => activity.wanted.set(read())); // another window changed it
  desk.commands.add({ id: "activity.open", title: () => t("panel.activity"), keys: "l", run: () => desk.open("activity") });
  activity.journal.then((journal) => (activity.watch = new Watch(desk.feed, activity.wanted, journal))).catch(() => {}); // the panel says why
  return activity;
}

class ActivityPanel {
  /** @param {Desk} desk @param {{list?: string}} params */
  constructor(desk, params) {
    this.desk = desk;
    this.list = params.list ?? "";
    this.activity = startActivity(desk);
    this.lifetime = new AbortController();
    this.element = element("section", "panel activity");
    this.rules = element("ul", "rules");
    this.lines = element("tbody");
    this.note = element("p", "note");
    this.said = element("p", "unseen");
    this.said.setAttribute("role", "status");
    this.isShown = true;
    this.saidAt = 0;
    // Whoever opens the log wants one: until then nothing is watched for it.
    if (!desk.settings.get(SETTING, null)) this.save({ lists: FIRST, rules: [] });
    const table = element("table", "log");
    const head = element("tr");
    for (const name of ["time", "event", "symbol", "list", "price", "change"]) {
      const cell = element("th", "", t(`activity.${name}`));
      cell.setAttribute("scope", "col");
      head.append(cell);
    }
    const top = element("thead");
    top.append(head);
    table.append(top, this.lines);
    const scroll = element("div", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.ariaLabel = t("activity.log");
    scroll.append(table, this.note);
    this.hint = element("p", "lacking");
    this.element.append(this.head(), this.hint, this.rules, scroll, this.said);
    this.stops = [this.activity.wanted.follow(() => this.showRules()), desk.feed.lists.listen(() => this.offer())];
    void this.begin();
  }

  params() {
    return this.list ? { list: this.list } : {};
  }

  /** @param {boolean} shown */
  visible(shown) {
    this.isShown = shown;
    if (shown) void this.draw();
  }

  close() {
    for (const stop of this.stops) stop();
    this.element.remove();
  }

  async begin() {
    try {
      this.journal = await this.activity.journal;
    } catch {
      this.note.textContent = t("activity.no_storage");
      return;
    }
    this.stops.push(this.journal.listen(() => void this.draw(true)));
    await this.draw();
  }

  head() {
    const head = element("header", "ticker-head");
    this.filter = /** @type {HTMLSelectElement} */ (element("select"));
    this.filter.ariaLabel = t("activity.filter");
    this.filter.addEventListener("change", () => {
      this.list = this.filter?.value ?? "";
      this.desk.changed(this);
      void this.draw();
    });
    this.logged = element("details", "logged");
    this.logged.append(element("summary", "", t("activity.lists")), element("div", "choices"));
    const clear = button(t("activity.clear"), () => void this.journal?.clear(), "quiet");
    head.append(this.filter, this.logged, button(t("alert.new"), () => this.edit()), clear);
    this.offer();
    return head;
  }

  /** The lists there are, to look at and to log. */
  offer() {
    const names = this.desk.feed.lists.value.map(({ name }) => name);
    const { lists } = this.activity.wanted.value;
    this.filter?.replaceChildren(...["", ...names].map((name) => new Option(name ? listTitle(this.desk, name) : t("activity.all"), name)));
    if (this.filter) this.filter.value = names.includes(this.list) ? this.list : "";
    this.logged?.lastElementChild?.replaceChildren(
      ...names.map((name) => {
        const label = element("label");
        const box = /** @type {HTMLInputElement} */ (element("input"));
        Object.assign(box, { type: "checkbox", checked: lists.includes(name) });
        box.addEventListener("change", () => {
          const { lists: now, rules } = this.activity.wanted.value;
          this.save({ lists: box.checked ? [...now, name] : now.filter((each) => each !== name), rules });
        });
        label.append(box, listTitle(this.desk, name));
        return label;
      }),
    );
  }

  /** @param {Wanted} wanted */
  save(wanted) {
    this.desk.settings.set(SETTING, wanted);
    this.activity.wanted.set(wanted);
  }

  /** @param {Rule} [rule] */
  edit(rule) {
    allowSound();
    editRule(this.desk, rule, (next) => {
      const { lists, rules } = this.activity.wanted.value;
      this.save({ lists, rules: [...rules.filter((each) => each !== rule), next] });
    }, this.element.ownerDocument);
  }

  showRules() {
    const { lists, rules } = this.activity.wanted.value;
    this.rules.replaceChildren(...rules.map((rule) => this.rule(rule, lists, rules)));
    const hints = [];
    if (rules.some(({ on, sound }) => on && sound) && soundIsWaiting()) hints.push(t("alert.press"));
    if (rules.some(({ on, notice }) => on && notice) && noticePermission() !== "granted") hints.push(t(`alert.notice.${noticePermission()}`));
    if (this.activity.watch && !this.activity.watch.isShared && rules.length) hints.push(t("alert.unshared"));
    this.hint.textContent = hints.join(" ");
    this.hint.hidden = !hints.length;
  }

  /** @param {Rule} rule @param {string[]} lists @param {Rule[]} rules */
  rule(rule, lists, rules) {
    const line = element("li");
    const label = element("label");
    const box = /** @type {HTMLInputElement} */ (element("input"));
    Object.assign(box, { type: "checkbox", checked: rule.on });
    const others = (/** @type {Rule[]} */ ...next) => this.save({ lists, rules: rules.flatMap((each) => (each === rule ? next : [each])) });
    box.addEventListener("change", () => others({ ...rule, on: box.checked }));
    label.append(box, this.words(rule));
    const away = button(t("alert.remove"), () => others(), "quiet");
    line.append(label, button(t("alert.edit"), () => this.edit(rule), "quiet"), away);
    return line;
  }

  /** @param {Rule} rule */
  words({ list, event, conditions, staySeconds, coolDownSeconds, sound, spoken, notice }) {
    const asked = conditions.map(({ column, comparison, value }) => `${column} ${comparison} ${value}`).join(", ");
    const ways = [sound && t("alert.sound"), spoken && t("alert.spoken"), notice && t("alert.notice")].filter(Boolean).join(", ");
    const stay = staySeconds ? t("alert.stays", { seconds: staySeconds }) : "";
    const cool = t("alert.cools", { minutes: Math.round(coolDownSeconds / 6) / 10 });
    return [t(`alert.on.${event}`, { list: listTitle(this.desk, list) }), asked, stay, cool, ways].filter(Boolean).join(" · ");
  }

  /** @param {boolean} [isNews] */
  async draw(isNews = false) {
    if (!this.isShown || !this.journal) return;
    const lines = (await this.journal.newest(this.list ? MOST_KEPT : MOST_SHOWN)).filter(({ list }) => !this.list || list === this.list).slice(0, MOST_SHOWN);
    this.lines.replaceChildren(...lines.map((line) => this.line(line)));
    this.note.textContent = lines.length ? "" : t("activity.none");
    const newest = lines[0];
    if (isNews && newest?.event === "alert" && newest.at !== this.saidAt) {
      this.saidAt = newest.at;
      this.said.textContent = t("alert.said", { symbol: plain(newest.symbol), list: listTitle(this.desk, newest.list) });
    }
  }

  /** @param {import("../alerts/journal.mjs").Line} line */
  line({ at, marketAt, session, list, symbol, event, late, price, changePct }) {
    const row = element("tr", event);
    const time = element("td", "", timeOfDay(marketAt ?? at));
    time.title = session + (late ? ` · ${t("activity.late")}` : "");
    if (late) time.append(element("span", "muted", " …"));
    const who = element("td");
    who.append(button(plain(symbol), () => this.desk.links.of(GROUPS[0]).choose(symbol), "link"));
    const change = element("td", `number ${tone("change", changePct)}`, format("change", changePct));
    row.append(time, element("td", "event", t(`activity.${event}`)), who, element("td", "", listTitle(this.desk, list)), element("td", "number", format("price", price)), change);
    return row;
  }
}

/** @type {import("../workspace/panels.mjs").PanelKind} */
export const activity = { kind: "activity", titleKey: "panel.activity", make: (desk, params) => new ActivityPanel(desk, params ?? {}) };
