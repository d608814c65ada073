// The freeze key: F holds the order of all lists until it is pressed again, or as long as it is held down.

import { t } from "../words/words.mjs";

const HELD_MS = 400; // longer is held down, shorter is pressed

/** @param {import("./commands.mjs").Commands} commands @param {import("../signal.mjs").Signal<boolean>} frozen */
export function freezeBy(commands, frozen) {
  const place = /** @type {HTMLElement} */ (document.getElementById("frozen"));
  frozen.follow((isFrozen) => {
    place.textContent = isFrozen ? t("freeze.said") : "";
    document.body.dataset.frozen = String(isFrozen);
  });
  commands.add({
    id: "freeze",
    title: () => t("freeze.title"),
    keys: "f",
    run: () => frozen.set(!frozen.value),
    release: (heldMs) => heldMs > HELD_MS && frozen.set(false),
  });
}
