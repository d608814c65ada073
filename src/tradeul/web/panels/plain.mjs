// Text of strangers (names, headlines, symbols) as text: without control characters and without those that turn or hide
// the words around them. It is still only ever set as textContent, inside <bdi>.

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** @param {unknown} text */
export function plain(text) {
  return String(text ?? "").replace(UNSEEN, " ").replace(/\s+/g, " ").trim();
}

/** The address, if it is one that a page may be sent to; else null. @param {unknown} text */
export function safeAddress(text) {
  try {
    const address = new URL(String(text));
    return address.protocol === "https:" ? address.href : null;
  } catch {
    return null;
  }
}

/** A stranger's text, a link if its address is https. @param {string} className @param {unknown} text @param {unknown} [address] */
export function told(className, text, address) {
  const words = document.createElement("bdi");
  words.textContent = plain(text);
  const href = safeAddress(address);
  if (!href) {
    words.className = className;
    return words;
  }
  const link = document.createElement("a");
  Object.assign(link, { className, href, target: "_blank", rel: "noopener noreferrer" });
  link.append(words);
  return link;
}
