// Maintenance: are today's numbers trustworthy, what is loaded and what lacks, what runs, and what it all stands on.

import { button, element } from "../element.mjs";
import { age, sessionDate, timeOfDay } from "../format.mjs";
import { t } from "../words/words.mjs";
import { Ledger, symbols } from "./ledger.mjs";
import { number, secondsLeft, size, span, verdict } from "./trust.mjs";

/** @typedef {import("./trust.mjs").Report} Report */
/** @typedef {import("./trust.mjs").Run} Run */
/** @typedef {import("../workspace/panels.mjs").Desk} Desk */

const RUNNING_MS = 2000;
const RESTING_MS = 10_000;
const PROBLEMS = 4;

class MaintenancePanel {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    this.title = t("panel.maintenance");
    this.isShown = false;
    this.sentence = element("p", "verdict");
    this.sentence.role = "status";
    this.said = element("p", "said");
    this.said.role = "status";
    this.run = part("maintenance.run");
    this.health = part("maintenance.health");
    this.lacks = part("maintenance.lacks");
    this.plan = part("maintenance.plan");
    this.disk = part("maintenance.disk");
    this.ledger = new Ledger(
      (session, force) => void this.begin(force ? { target_date: session, force } : { target_date: session }),
      (symbol) => desk.links.of("a").choose(symbol),
    );
    const facts = element("div", "facts");
    facts.append(this.run.element, this.lacks.element, this.health.element, this.disk.element, this.plan.element);
    const calendar = element("section", "calendar");
    calendar.append(element("h2", "", t("ledger.title")), this.ledger.element);
    this.element = element("section", "panel maintenance");
    this.element.append(this.sentence, this.said, facts, calendar);
    this.stops = [desk.feed.status.listen(() => this.judge()), desk.newDay(() => this.clear())];
    this.sentence.textContent = t("maintenance.loading");
  }

  /** @param {boolean} isShown */
  visible(isShown) {
    this.isShown = isShown;
    this.lookSoon(0);
  }

  /** Another session began: what was told is of yesterday. */
  clear() {
    this.report = undefined;
    this.sentence.textContent = t("maintenance.loading");
    this.lookSoon(0);
  }

  /** @param {number} afterMs */
  lookSoon(afterMs) {
    clearTimeout(this.timer);
    if (this.isShown) this.timer = setTimeout(() => void this.look(), afterMs);
  }

  async look() {
    try {
      const [report, runs, health] = await Promise.all(["status", "runs", "health"].map((path) => this.desk.api.get(`api/maintenance/${path}`)));
      if (this.isClosed) return;
      this.show(report, runs, health);
      this.lookSoon(report.run ? RUNNING_MS : RESTING_MS);
    } catch (error) {
      this.fail(error, () => this.lookSoon(0));
      this.lookSoon(RESTING_MS);
    }
  }

  /** @param {Report} report @param {Run[]} runs @param {{redis: string, timescaledb: string}} health */
  show(report, runs, health) {
    this.report = report;
    this.stands = health;
    if (this.hasFailed) this.say("");
    this.judge();
    this.run.say(...this.aboutRun(report, runs));
    this.lacks.say(...this.aboutMissing(report));
    this.plan.say(...aboutPlan(report));
    this.disk.say(...aboutDisk(report));
    this.ledger.show(report.partitions, Object.keys(report.datasets));
  }

  /** The sentence and the feed, which change between two looks. */
  judge() {
    if (!this.report) return;
    const { level, sentence } = verdict(this.report, this.desk.feed.status.value);
    this.sentence.dataset.level = level;
    if (this.sentence.textContent !== sentence) this.sentence.textContent = sentence;
    this.health.say(...this.aboutHealth());
  }

  /** @param {Report} report @param {Run[]} runs */
  aboutRun(report, runs) {
    const { run, now } = report;
    if (run) return [...aboutProgress(run, now)];
    const last = runs.find(({ finished_at }) => finished_at !== null);
    const parts = [];
    if (last) parts.push(aboutLast(last));
    if (report.next_run_at) parts.push(line(t("maintenance.next", { time: timeOfDay(report.next_run_at), date: sessionDate(dayOf(report.next_run_at)) })));
    parts.push(button(t("maintenance.look"), () => void this.begin({})));
    return parts;
  }

  /** @param {Report} report */
  aboutMissing({ partitions, sessions_behind }) {
    const worst = partitions.filter(({ state, missing }) => missing.length || state === "failed").slice(0, PROBLEMS);
    const parts = worst.map((each) => {
      const what = `${t(`dataset.${each.dataset}`)}, ${sessionDate(each.session)}:`;
      if (each.missing.length) return symbols(`${what} ${t("maintenance.short", { count: number(Math.max((each.expected ?? 0) - (each.got ?? 0), each.missing.length)) })}`, each.missing, this.ledger.choose);
      return element("p", "problem", `${what} ${each.error ?? t("state.failed")}`);
    });
    const behind = sessions_behind ? [line(t("maintenance.behind", { count: sessions_behind }))] : [];
    return parts.length || behind.length ? [...behind, ...parts] : [line(t("maintenance.nothing_lacks"))];
  }

  aboutHealth() {
    const { connection, phase, stale, ageMs, lagMs, refused } = this.desk.feed.status.value;
    const feed = phase === "CLOSED" ? t("maintenance.feed_closed") : t(stale ? "maintenance.feed_stale" : "maintenance.feed", { age: age(ageMs), lag: age(lagMs) });
    const parts = [line(feed), line(t("maintenance.gateway", { state: t(`connection.${connection}`) }))];
    if (refused) parts.push(line(t("status.refused", { count: refused })));
    if (this.stands) parts.push(line(t("maintenance.stands_on", { redis: this.stands.redis, database: this.stands.timescaledb })));
    return parts;
  }

  /** @param {object} options */
  async begin(options) {
    try {
      const { joined } = await this.desk.api.post("api/maintenance/trigger", options);
      this.say(t(joined ? "maintenance.joined" : "maintenance.begun"));
    } catch (error) {
      return this.fail(error, () => void this.begin(options));
    }
    this.lookSoon(0);
  }

  /** @param {string} text */
  say(text) {
    this.hasFailed = false;
    this.said.textContent = text;
    this.said.classList.remove("problem");
  }

  /** @param {unknown} error @param {() => void} again */
  fail(error, again) {
    this.said.textContent = error instanceof Error ? error.message : String(error);
    this.said.classList.add("problem");
    this.said.append(" ", button(t("again"), again));
    this.hasFailed = true;
    if (!this.report) this.sentence.textContent = t("maintenance.unknown");
  }

  close() {
    this.isClosed = true;
    this.isShown = false;
    clearTimeout(this.timer);
    for (const stop of this.stops) stop();
  }
}

/** @param {Run} run @param {string} now */
function aboutProgress(run, now) {
  const { progress } = run;
  const parts = [];
  if (progress) {
    parts.push(line(t("maintenance.step", { task: t(`dataset.${progress.task}`), done: number(progress.done), total: number(progress.total) })));
    const bar = document.createElement("progress");
    Object.assign(bar, { max: Math.max(progress.total, 1), value: progress.done, ariaLabel: t(`dataset.${progress.task}`) });
    parts.push(bar);
    const left = secondsLeft(run, now);
    if (left !== null && progress.done < progress.total) parts.push(line(t("maintenance.left", { time: span(left) })));
  } else parts.push(line(t("maintenance.starting")));
  parts.push(line(cost(run, now)));
  return parts;
}

/** @param {Run} run */
function aboutLast(run) {
  const key = run.success ? "maintenance.last_good" : "maintenance.last_bad";
  const time = `${sessionDate(dayOf(run.finished_at ?? ""))} ${timeOfDay(run.finished_at ?? "")}`;
  return line(`${t(key, { time, failed: run.failed.length, reason: run.reason ?? "" }).trim()} ${cost(run, run.finished_at ?? "")}`);
}

/** What a run has cost until `now`. @param {Run} run @param {string} now */
function cost({ started_at, requests, completed }, now) {
  const time = span((Date.parse(now) - Date.parse(started_at)) / 1000);
  return t(requests === null ? "maintenance.cost_time" : "maintenance.cost", { time, requests: number(requests ?? 0), completed: number(completed) });
}

/** @param {Report} report */
function aboutPlan({ mode, missing_entitlements }) {
  const head = line(t("maintenance.mode", { mode: t(`mode.${mode}`) }));
  if (!missing_entitlements.length) return [head, line(t(mode === "SIMULATED" ? "maintenance.plan_simulated" : "maintenance.plan_whole"))];
  const list = element("ul", "");
  list.append(...missing_entitlements.map((each) => element("li", "", each)));
  return [head, list];
}

/** @param {Report} report */
function aboutDisk({ disk }) {
  if (!disk) return [line(t("maintenance.disk_unknown"))];
  const { free_bytes, used_bytes, session_bytes } = disk;
  const used = Object.entries(used_bytes).filter(([, bytes]) => bytes > 1e5).sort(([, left], [, right]) => right - left);
  const all = used.reduce((sum, [, bytes]) => sum + bytes, 0);
  const parts = [line(t("maintenance.free", { free: size(free_bytes), used: size(all), parts: used.map(([name, bytes]) => `${name} ${size(bytes)}`).join(", ") }))];
  if (session_bytes) parts.push(line(t("maintenance.forecast", { size: size(session_bytes), sessions: number(Math.floor(free_bytes / session_bytes)) })));
  return parts;
}

/** The date in New York of an instant. @param {string} instant */
function dayOf(instant) {
  return new Intl.DateTimeFormat("en-CA", { timeZone: "America/New_York" }).format(new Date(instant));
}

/** @param {string} text */
const line = (text) => element("p", "", text);

/** A titled part of the panel. @param {string} titleKey */
function part(titleKey) {
  const [whole, body] = [element("section", "part"), element("div", "")];
  whole.append(element("h2", "", t(titleKey)), body);
  /** @param {(Node | string)[]} parts */
  const say = (...parts) => {
    // What stays the same is left alone: a button under the pointer, a text that is being read.
    const made = element("div", "");
    made.append(...parts);
    if (!made.isEqualNode(body)) body.replaceChildren(...made.childNodes);
  };
  return { element: whole, say };
}

/** @type {import("../workspace/panels.mjs").PanelKind} */
export const maintenance = { kind: "maintenance", titleKey: "panel.maintenance", make: (desk) => new MaintenancePanel(desk) };
