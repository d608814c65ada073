// One sentence for the reader, below the top, until they close it or another comes.

const place = /** @type {HTMLElement} */ (document.getElementById("notice"));
const words = /** @type {HTMLElement} */ (place.querySelector("span"));
place.querySelector("button")?.addEventListener("click", () => (place.hidden = true));

/** @param {string} sentence */
export function say(sentence) {
  words.textContent = sentence;
  place.hidden = false;
}
