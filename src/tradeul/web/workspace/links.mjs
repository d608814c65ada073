// Colour groups: panels of one colour show the same symbol. A group is a letter of GROUPS.

import { Signal } from "../signal.mjs";

export const GROUPS = ["a", "b", "c", "d"];

class Group {
  constructor() {
    /** @type {Signal<string | null>} */
    this.chosen = new Signal(/** @type {string | null} */ (null));
  }

  get symbol() {
    return this.chosen.value;
  }

  /** @param {string} symbol */
  choose(symbol) {
    this.chosen.set(symbol);
  }

  /** @param {(symbol: string | null) => void} listener @returns {() => void} stop */
  listen(listener) {
    return this.chosen.listen(listener);
  }
}

export class Links {
  constructor() {
    this.groups = new Map(GROUPS.map((name) => [name, new Group()]));
  }

  /** @param {string} name @returns {Group} */
  of(name) {
    return /** @type {Group} */ (this.groups.get(name) ?? this.groups.get(GROUPS[0]));
  }
}
