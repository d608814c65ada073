// Small things that this browser remembers, by name; what cannot be read is as if it had never been kept.

const PREFIX = "tradeul.";

export class Settings {
  /** @template T @param {string} name @param {T} otherwise @returns {T} */
  get(name, otherwise) {
    try {
      const kept = localStorage.getItem(PREFIX + name);
      return kept === null ? otherwise : JSON.parse(kept);
    } catch {
      return otherwise;
    }
  }

  /** @param {string} name @param {unknown} value  undefined: forgotten */
  set(name, value) {
    try {
      if (value === undefined) localStorage.removeItem(PREFIX + name);
      else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
      // A full or forbidden storage: the page works, it only forgets.
    }
  }
}
