// How an alert reaches somebody: a sound made here (no file), the symbol spoken, a notice of the desktop. A burst is told
// as one: one sound, and the first few symbols with how many more there are.

import { language, t } from "../words/words.mjs";

const MOST_TOLD = 3;

/** @type {AudioContext | undefined} */
let audio;

/** Browsers make no sound before somebody has pressed something; called when somebody does. */
export function allowSound() {
  audio ??= new AudioContext();
  if (audio.state === "suspended") void audio.resume();
}

/** Whether this browser would refuse a sound now. */
export const soundIsWaiting = () => !navigator.userActivation.hasBeenActive;
/** "unavailable": a page that is neither https nor of this machine may not ask. */
export const noticePermission = () => (isSecureContext && "Notification" in window ? Notification.permission : "unavailable");

/** @param {import("./rules.mjs").Alert[]} alerts @param {(list: string) => string} titleOf */
export function tell(alerts, titleOf) {
  if (alerts.some(({ rule }) => rule.sound)) beep(alerts[0].rule.event === "enter");
  const spoken = alerts.filter(({ rule }) => rule.spoken);
  const noticed = alerts.filter(({ rule }) => rule.notice);
  for (const { symbol } of spoken.slice(0, MOST_TOLD)) speak([...symbol].join(" "));
  if (spoken.length > MOST_TOLD) speak(t("alert.more", { count: spoken.length - MOST_TOLD }));
  if (noticePermission() !== "granted") return;
  for (const alert of noticed.slice(0, MOST_TOLD)) notice(sentence(alert, titleOf), `${alert.rule.id} ${alert.symbol}`);
  if (noticed.length > MOST_TOLD) notice(t("alert.more", { count: noticed.length - MOST_TOLD }), "more");
}

/** @param {import("./rules.mjs").Alert} alert @param {(list: string) => string} titleOf */
export function sentence({ rule, symbol }, titleOf) {
  return t(rule.event === "enter" ? "alert.entered" : "alert.left", { symbol, list: titleOf(rule.list) });
}

/** Two short tones, rising for who comes, falling for who goes. @param {boolean} rises */
function beep(rises) {
  allowSound();
  if (audio?.state !== "running") return;
  const [first, second] = rises ? [660, 880] : [660, 495];
  for (const [pitch, after] of [[first, 0], [second, 0.12]]) {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    const begins = audio.currentTime + after;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0, begins);
    volume.gain.linearRampToValueAtTime(0.15, begins + 0.01);
    volume.gain.linearRampToValueAtTime(0, begins + 0.11);
    tone.connect(volume).connect(audio.destination);
    tone.start(begins);
    tone.stop(begins + 0.12);
  }
}

/** @param {string} text */
function speak(text) {
  if (!("speechSynthesis" in window)) return;
  const words = new SpeechSynthesisUtterance(text);
  words.lang = language;
  speechSynthesis.speak(words);
}

/** @param {string} text @param {string} tag  a notice of the same tag is replaced */
function notice(text, tag) {
  try {
    new Notification("Tradeul", { body: text, tag, icon: "favicon.svg" });
  } catch {
    // Phones show notices from service workers only; the log has the line.
  }
}
