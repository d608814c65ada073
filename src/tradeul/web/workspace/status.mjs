// The top of the page: which session, which phase, what time in New York, how old the numbers are, and whether they are real.

import { age, sessionDate, timeOfDay } from "../format.mjs";
import { has, t } from "../words/words.mjs";

const place = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {import("../feed/feed.mjs").Feed} feed */
export function showStatus(feed) {
  feed.status.follow(show);
  let saidAt = performance.now();
  feed.status.listen(() => (saidAt = performance.now()));
  setInterval(() => {
    const { stale, ageMs } = feed.status.value;
    // The gateway says it now and then; what nobody renews ages in between.
    if (stale && ageMs !== null) write("age", age(ageMs + performance.now() - saidAt));
    const now = feed.clock.now();
    if (now !== null) write("clock", timeOfDay(now));
  }, 200);
}

/** @param {import("../feed/feed.mjs").Status} status */
export function show({ connection, session, phase, mode, stale, ageMs, lagMs, refused }) {
  write("connection", t(`connection.${connection}`));
  place("connection").dataset.state = connection;
  place("trouble").hidden = connection !== "lost";
  write("trouble", connection === "lost" ? t("trouble.lost") : "");
  if (session !== null) write("session", sessionDate(session));
  place("session").title = refused ? t(refused === 1 ? "status.refused_one" : "status.refused", { count: refused }) : "";
  if (phase !== null) write("phase", has(`phase.${phase}`) ? t(`phase.${phase}`) : phase);
  place("phase").dataset.phase = phase ?? "";
  if (mode !== null) write("mode", has(`mode.${mode}`) ? t(`mode.${mode}`) : mode);
  place("mode").dataset.mode = mode ?? "";
  const closed = phase === "CLOSED" && session !== null && mode !== "END_OF_DAY" ? t("closed.words", { session: sessionDate(session) }) : "";
  const said = has(`mode.${mode}.words`);
  write("mark", said ? t(`mode.${mode}.mark`) : "");
  write("mark-words", [said ? t(`mode.${mode}.words`) : "", closed].filter(Boolean).join(" "));
  place("marked").hidden = !said && !closed;
  write("age", age(ageMs));
  place("age").title = lagMs === null ? "" : t("status.lag", { lag: age(lagMs) });
  place("age").dataset.stale = String(stale);
  Object.assign(document.body.dataset, { connection, mode: mode ?? "", stale: String(stale && phase !== "CLOSED") });
}

/** @param {string} id @param {string} text */
function write(id, text) {
  const element = place(id);
  if (element.textContent !== text) element.textContent = text;
}
