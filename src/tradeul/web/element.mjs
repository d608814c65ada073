// Elements without markup in strings: what the data says is text and nothing else.

/** @param {string} tag @param {string} [className] @param {string} [text] */
export function element(tag, className = "", text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A real button with a name. @param {string} text @param {() => void} press @param {string} [className] */
export function button(text, press, className = "") {
  const made = /** @type {HTMLButtonElement} */ (element("button", className, text));
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}
