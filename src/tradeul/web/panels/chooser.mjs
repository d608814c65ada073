// Which columns a list shows: every column that its rows carry, to be ticked.

import { button, element } from "../element.mjs";
import { columnOf } from "../format.mjs";
import { t } from "../words/words.mjs";
import { openDialog } from "../workspace/dialog.mjs";

/** @param {string} title @param {import("ag-grid-community").GridApi} grid @param {() => void} reset @param {Document} page */
export function chooseColumns(title, grid, reset, page) {
  openDialog(
    t("columns.of", { list: title }),
    (body, close) => {
      const choices = element("ul", "choices columns");
      for (const column of grid.getAllGridColumns()) {
        if (column.getPinned()) continue;
        const name = column.getColId();
        const { label, help } = columnOf(name);
        const tick = /** @type {HTMLInputElement} */ (element("input"));
        Object.assign(tick, { type: "checkbox", checked: column.isVisible() });
        tick.addEventListener("change", () => grid.setColumnsVisible([name], tick.checked));
        const line = element("label");
        line.append(tick, element("b", "", label), element("span", "dim", help));
        const item = element("li");
        item.append(line);
        choices.append(item);
      }
      const ends = element("div", "row");
      ends.append(button(t("columns.reset"), () => (reset(), close())));
      body.append(choices, ends);
    },
    page,
  );
}
