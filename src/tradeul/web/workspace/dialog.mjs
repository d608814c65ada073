// A modal dialog: a title, what the caller puts into it, and a way out by button and Escape.

import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";

/**
 * @param {string} title
 * @param {(body: HTMLElement, close: () => void) => void} fill
 * @param {Document} [page]  of the window that asked
 */
export function openDialog(title, fill, page = document) {
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "dialog"));
  // Gone at once: until the browser says that it is closed, the focus may stay in it, and keys would be its own.
  const close = () => {
    dialog.close();
    dialog.remove();
  };
  const head = element("header");
  head.append(element("h2", "", title), button("×", close, "plain"));
  /** @type {HTMLElement} */ (head.lastChild).ariaLabel = t("close");
  const body = element("div", "dialog-body");
  dialog.append(head, body);
  dialog.ariaLabel = title;
  dialog.addEventListener("close", () => dialog.remove());
  // A click beside it closes it, as people expect.
  dialog.addEventListener("click", ({ target }) => target === dialog && close());
  page.body.append(dialog);
  fill(body, close);
  dialog.showModal();
  return dialog;
}
