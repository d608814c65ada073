// How far today's numbers can be trusted, from what maintenance and the feed tell: one sentence. No page here.

import { age } from "../format.mjs";
import { t } from "../words/words.mjs";

/**
 * @typedef {{ready: boolean, got: number | null, expected: number | null, rvol_sessions: number | null, daily_sessions: [number, number], slot_sessions: [number, number]}} Trust
 * @typedef {{task: string, done: number, total: number, detail: string}} Progress
 * @typedef {{id: string, started_at: string, finished_at: string | null, success: boolean | null, reason: string | null, completed: number,
 *   failed: Partition[], progress: Progress | null, progress_since: string | null, requests: number | null}} Run
 * @typedef {"pending" | "in_progress" | "provisional" | "completed" | "failed"} State
 * @typedef {{session: string, dataset: string, state: State, expected: number | null, got: number | null, missing: string[],
 *   duration_seconds: number | null, finished_at: string | null, attempts: number, error: string | null}} Partition
 * @typedef {{free_bytes: number, used_bytes: Record<string, number>, session_bytes: number}} Disk
 * @typedef {{session: string, mode: string, now: string, next_run_at: string | null, sessions_behind: number, run: Run | null,
 *   datasets: Record<string, Record<string, number>>, partitions: Partition[], missing_entitlements: string[], trust: Trust, disk: Disk | null}} Report
 * @typedef {import("../feed/feed.mjs").Status} Status
 */

const grouped = new Intl.NumberFormat("en-US");
/** @param {number} value */
export const number = (value) => grouped.format(value);

/** @param {Report} report @param {Status} feed @returns {{level: "yes" | "partly" | "no", sentence: string}} */
export function verdict(report, feed) {
  const { level, sentence } = judge(report.trust, feed);
  const mode = report.mode === "LIVE" ? "" : ` ${t(`trust.mode.${report.mode}`)}`;
  return { level, sentence: sentence + mode };
}

/** @param {Trust} trust @param {Status} feed @returns {{level: "yes" | "partly" | "no", sentence: string}} */
function judge(trust, feed) {
  if (feed.connection === "lost" || feed.connection === "refused") return { level: "no", sentence: t("trust.lost") };
  if (feed.stale && feed.phase !== "CLOSED") return { level: "no", sentence: t("trust.stale", { age: age(feed.ageMs) }) };
  const history = lacking(trust);
  if (!trust.ready) return { level: "no", sentence: t("trust.not_ready", { history }) };
  const [got, expected] = [trust.got ?? 0, Math.max(trust.expected ?? 0, trust.got ?? 0)];
  const values = { got: number(got), expected: number(expected), missing: number(expected - got), sessions: trust.rvol_sessions ?? 0, history };
  if (got < expected) return { level: "partly", sentence: t("trust.missing", values) };
  if (trust.rvol_sessions === null) return { level: "partly", sentence: t("trust.no_rvol", values) };
  return history ? { level: "partly", sentence: t("trust.history", values) } : { level: "yes", sentence: t("trust.yes", values) };
}

/** What history is not there yet, in words; empty: all is. @param {Trust} trust */
function lacking({ daily_sessions: [daily, wantedDaily], slot_sessions: [slots, wantedSlots] }) {
  const parts = [];
  if (daily < wantedDaily) parts.push(t("trust.daily", { count: daily, all: wantedDaily }));
  if (slots < wantedSlots) parts.push(t("trust.slots", { count: slots, all: wantedSlots }));
  return parts.join(", ");
}

/** Seconds until the step under way ends, at its pace so far; null: nobody can tell yet. @param {Run} run @param {string} now */
export function secondsLeft({ progress, progress_since }, now) {
  if (!progress || !progress.done || !progress_since) return null;
  return ((Date.parse(now) - Date.parse(progress_since)) / 1000 / progress.done) * (progress.total - progress.done);
}

/** @param {number} seconds */
export function span(seconds) {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 0)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
