// What the scanner explains in English sentences, in the reader's language where the sentence is known; else as it was told.

import { t } from "./words.mjs";

/** @type {[RegExp, string][]} the sentence, what it varies in as {it}; and its words here */
const SENTENCES = [
  [/^a row of the session of (?<it>.+)$/, "told.session"],
  [/^class is one of (?<it>.+)$/, "told.class"],
  [/^corp_action is not unverified$/, "told.split"],
  [/^a member of the list's last frame in (?<it>.+)$/, "told.member"],
  [/^exactly those, however little they trade now$/, "told.exactly"],
  [/^the floors at the end of (?<it>.+)$/, "told.floors"],
  [/^who stood there is not known \(a start after that phase\): asked is what its end would have asked$/, "told.not_known"],
  [/^the vendor tells no class: the symbol's spelling decides$/, "told.no_class"],
  [/^from (?<it>.+) on$/, "told.from"],
  [/^not applied: this source never delivers (?<it>.+)$/, "told.never"],
  [/^not applied: this source tells no time of its bars$/, "told.no_times"],
  [/^not asked while the row is partial$/, "told.partial"],
];

/** @param {string} sentences  joined by semicolons */
export function inOwnWords(sentences) {
  return sentences.split("; ").map(one).join("; ");
}

/** @param {string} sentence */
function one(sentence) {
  for (const [form, key] of SENTENCES) {
    const found = form.exec(sentence);
    if (found) return t(key, { it: found.groups?.it ?? "" });
  }
  return sentence;
}
