// The kinds of panels: one file each, one line here.

import { activity } from "../panels/activity.mjs";
import { chart } from "../panels/chart.mjs";
import { editor } from "../panels/editor.mjs";
import { facts } from "../panels/facts.mjs";
import { list } from "../panels/list.mjs";
import { maintenance } from "../panels/maintenance.mjs";
import { market } from "../panels/market.mjs";
import { news } from "../panels/news.mjs";
import { rvol } from "../panels/rvol.mjs";
import { why } from "../panels/why.mjs";

/**
 * @typedef {{kind: string, titleKey: string, make: (desk: Desk, params: any) => Panel}} PanelKind
 * @typedef {{element: HTMLElement, title?: string, params?: () => any, visible?: (shown: boolean) => void, csv?: () => string | undefined, close: () => void}} Panel
 *   `params`: what stands in the layout and goes to `make` after a reload, JSON. `visible` is told at once and whenever it changes:
 *   what nobody sees asks for nothing.
 * @typedef {object} Desk  what a panel may use
 * @property {import("../feed/feed.mjs").Feed} feed
 * @property {import("../feed/api.mjs").Api} api
 * @property {import("./links.mjs").Links} links
 * @property {import("./commands.mjs").Commands} commands
 * @property {import("./settings.mjs").Settings} settings
 * @property {import("./marks.mjs").Marks} marks
 * @property {import("../feed/connection.mjs").Config} config
 * @property {import("../signal.mjs").Signal<string>} issueClass  which issues the lists show; "": each list's own
 * @property {import("../signal.mjs").Signal<boolean>} frozen  the order of lists is held
 * @property {(kind: string, params?: object) => void} open  the panel of that kind and those params, made or brought to the front
 * @property {(listener: () => void) => () => void} newDay  another session began: drop everything shown. The answer stops it
 * @property {(words: string) => void} say  a sentence for the reader, until they close it
 * @property {(panel: Panel) => void} changed  its `params` or `title` are others now
 */

/** @type {PanelKind[]} */
export const KINDS = [list, market, chart, facts, rvol, why, news, activity, editor, maintenance];
