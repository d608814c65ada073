// The buttons at the right of a group of tabs: add a panel, float, fill the workspace, another window.

import { button, element } from "../element.mjs";
import { titleOf } from "../panels/list.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "./dialog.mjs";

/** @typedef {import("dockview-core").DockviewGroupPanel} Group */

const SHAPES = { add: "M8 3v10M3 8h10", float: "M3 3h7v7H3zM6 10v3h7V6h-3", fill: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3", out: "M9 3h4v4M13 3 7 9M7 4H3v9h9V9" };

export class GroupHeader {
  /** @param {import("./workspace.mjs").Workspace} workspace @param {Group} group */
  constructor(workspace, group) {
    this.element = element("div", "group-actions");
    const { dock } = workspace;
    const act = (/** @type {keyof typeof SHAPES} */ shape, /** @type {() => void} */ run) => this.element.append(icon(shape, run));
    act("add", () => addTo(workspace, group, this.element.ownerDocument));
    act("float", () => (group.api.location.type === "floating" ? group.api.moveTo({ position: "right" }) : dock.addFloatingGroup(group)));
    act("fill", () => (group.api.isMaximized() ? group.api.exitMaximized() : group.api.maximize()));
    act("out", () => void workspace.popOut(group));
  }

  init() {}

  dispose() {}
}

/** @param {keyof typeof SHAPES} shape @param {() => void} run */
function icon(shape, run) {
  const made = button("", run, "plain icon");
  const name = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(name, "svg");
  const path = document.createElementNS(name, "path");
  path.setAttribute("d", SHAPES[shape]);
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.append(path);
  made.append(picture);
  made.title = made.ariaLabel = t(`group.${shape}`);
  return made;
}

/** Which panel? Every list, then every other kind. @param {import("./workspace.mjs").Workspace} workspace @param {Group} group @param {Document} page */
function addTo(workspace, group, page) {
  openDialog(
    t("group.add"),
    (body, close) => {
      const choices = element("ul", "choices");
      const offer = (/** @type {string} */ title, /** @type {string} */ kind, params = {}) => {
        const line = element("li");
        line.append(button(title, () => (close(), workspace.open(kind, params, { group })), "choice"));
        choices.append(line);
      };
      for (const head of workspace.desk.feed.lists.value) offer(titleOf(head), "list", { list: head.name });
      for (const { kind, titleKey } of workspace.kinds.values()) if (kind !== "list") offer(t(titleKey), kind);
      body.append(choices);
    },
    page,
  );
}
