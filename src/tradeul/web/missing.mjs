// Says that a part of the page could not be loaded. It imports nothing and comes before main.mjs: it runs also when that one cannot.

const WORDS = {
  en: "A part of this page could not be loaded: reload it.",
  es: "Una parte de esta página no se pudo cargar: vuelve a cargarla.",
};

function say() {
  const missing = document.getElementById("missing");
  if (missing) {
    missing.textContent = navigator.language.startsWith("es") ? WORDS.es : WORDS.en;
    missing.hidden = false;
  }
}

/** @param {CSSStyleSheet} sheet One that could not be loaded holds nothing, or nothing that may be seen. */
function isLoaded(sheet) {
  try {
    return sheet.cssRules.length > 0;
  } catch {
    return false;
  }
}

// The error of a script goes no further than to its element, unless it is caught on the way there. That of a style may have been before us.
addEventListener("error", ({ target }) => target instanceof HTMLScriptElement && say(), true);
addEventListener("load", () => [...document.styleSheets].every(isLoaded) || say());
