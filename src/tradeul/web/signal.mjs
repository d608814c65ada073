// A value and who wants to know of it: how the parts of the page hear of each other.

/** @template T */
export class Signal {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.listeners = new Set();
  }

  /** @param {T} value */
  set(value) {
    if (value === this.value) return;
    this.value = value;
    this.tell();
  }

  tell() {
    for (const listener of [...this.listeners]) listener(this.value);
  }

  /** Now and whenever it changes. @param {(value: T) => void} listener @returns {() => void} stop */
  follow(listener) {
    listener(this.value);
    return this.listen(listener);
  }

  /** @param {(value: T) => void} listener @returns {() => void} stop */
  listen(listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}
