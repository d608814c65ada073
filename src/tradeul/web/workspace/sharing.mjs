// Taking along what is looked at: a link to a list and a symbol (#list=gappers_up&symbol=ABC), and a list as CSV.

import { element } from "../element.mjs";
import { t } from "../words/words.mjs";
import { GROUPS } from "./links.mjs";

/** @typedef {import("./panels.mjs").Desk} Desk */
/** @typedef {import("./workspace.mjs").Workspace} Workspace */

const SYMBOL = /^[A-Za-z][A-Za-z0-9.-]{0,15}$/;

export class Sharing {
  /** @param {Desk} desk @param {Workspace} workspace @param {(symbol: string) => void} choose */
  constructor(desk, workspace, choose) {
    this.desk = desk;
    this.workspace = workspace;
    this.choose = choose;
    /** @type {string | undefined} the list that was looked at last */
    this.list = undefined;
    workspace.dock.onDidActivePanelChange(() => this.note());
    desk.commands.add({ id: "link.copy", title: () => t("link.copy"), keys: "c", run: () => void this.copy() });
    desk.commands.add({ id: "csv.list", title: () => t("csv.list"), run: () => this.download() });
    desk.commands.add({ id: "csv.seen", title: () => t("csv.seen"), run: () => this.downloadSeen() });
    addEventListener("hashchange", () => this.follow());
    const stop = desk.feed.lists.follow((heads) => {
      if (!heads.length) return;
      queueMicrotask(() => stop?.());
      this.follow();
    });
  }

  note() {
    const { list } = this.workspace.active?.params?.() ?? {};
    if (list !== undefined) this.list = list;
  }

  /** Open what the address names, which then is nobody's wish any more: a reload shows what was left here. */
  follow() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const [list, symbol] = [wanted.get("list"), wanted.get("symbol")];
    if (list === null && symbol === null) return;
    history.replaceState(null, "", location.pathname + location.search);
    if (symbol !== null && SYMBOL.test(symbol)) this.choose(symbol);
    if (list === null) return;
    if (this.desk.feed.lists.value.some(({ name }) => name === list)) this.desk.open("list", { list });
    else this.desk.say(t("list.gone", { list }));
  }

  async copy() {
    this.note();
    const { group } = this.workspace.active?.params?.() ?? {};
    const symbol = this.desk.links.of(group ?? GROUPS[0]).symbol;
    const named = new URLSearchParams({ ...(this.list === undefined ? {} : { list: this.list }), ...(symbol === null ? {} : { symbol }) });
    const link = `${location.origin}${location.pathname}#${named}`;
    try {
      await navigator.clipboard.writeText(link);
      this.desk.say(t("link.copied", { link }));
    } catch {
      this.desk.say(t("link.here", { link })); // no clipboard without https, but on this machine
    }
  }

  /** The whole list, every column, as the server has it. */
  download() {
    this.note();
    if (this.list === undefined) return this.desk.say(t("csv.none"));
    save(`api/lists/${encodeURIComponent(this.list)}?format=csv`, `${this.list}.csv`);
  }

  /** The columns, filter and order that are seen. */
  downloadSeen() {
    this.note();
    const panel = this.workspace.panelOf("list", { list: this.list });
    const text = panel?.csv?.();
    if (text === undefined) return this.desk.say(t("csv.none"));
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    save(address, `${this.list}-${this.desk.feed.day.value ?? ""}.csv`);
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

/** @param {string} address @param {string} name */
function save(address, name) {
  const link = /** @type {HTMLAnchorElement} */ (element("a"));
  Object.assign(link, { href: address, download: name });
  link.click();
}
