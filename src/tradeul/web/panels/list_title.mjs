// What a list is called, by its name: one that is gone by nothing else.

import { plain } from "./plain.mjs";
import { titleOf } from "./list.mjs";

/** @param {import("../workspace/panels.mjs").Desk} desk @param {string} name */
export function listTitle(desk, name) {
  const head = desk.feed.lists.value.find((each) => each.name === name);
  return plain(head ? titleOf(head) : name);
}
