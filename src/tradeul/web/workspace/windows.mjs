// The page's windows: its own and those that were popped out. What <html> and <body> say (language, theme, mode) is said by all.

/** @type {Set<Window>} */
const others = new Set();

/** @param {Window} window */
function dress(window) {
  if (window.closed) return void others.delete(window);
  const page = window.document;
  page.documentElement.lang = document.documentElement.lang;
  for (const [from, to] of [[document.documentElement, page.documentElement], [document.body, page.body]]) {
    for (const name of Object.keys(to.dataset)) if (!(name in from.dataset)) delete to.dataset[name];
    Object.assign(to.dataset, from.dataset);
  }
}

const observer = new MutationObserver(() => others.forEach(dress));
for (const each of [document.documentElement, document.body]) observer.observe(each, { attributes: true });

/** @param {Window} window */
export function adopt(window) {
  others.add(window);
  dress(window);
}
