// Who is asked for the token gets a form, until it is right; nothing else is asked of the server meanwhile.

import { button, element } from "../element.mjs";
import { t } from "../words/words.mjs";

/** @param {import("./panels.mjs").Desk} desk */
export function askForToken(desk) {
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "dialog"));
  dialog.ariaLabel = t("login.title");
  const head = element("header");
  head.append(element("h2", "", t("login.title")));
  const form = /** @type {HTMLFormElement} */ (element("form", "dialog-body"));
  const token = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(token, { type: "password", required: true, autocomplete: "current-password", ariaLabel: t("login.token"), placeholder: t("login.token") });
  const trouble = element("p", "down");
  trouble.role = "alert";
  const send = button(t("login.send"), () => {});
  send.type = "submit";
  form.append(element("p", "dim", t("login.help")), token, trouble, send);
  dialog.append(head, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // without it there is nothing to see
  document.body.append(dialog);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      await desk.api.post("api/login", { token: token.value });
      token.value = trouble.textContent = "";
      dialog.close();
      void desk.feed.connection.open();
    } catch (error) {
      trouble.textContent = /** @type {Error} */ (error).message;
    }
    send.disabled = false;
  });
  desk.feed.status.follow(({ connection }) => {
    if (connection === "refused" && !dialog.open) dialog.showModal();
    if (connection === "open") dialog.close();
  });
}
