// Calls to our own origin: JSON in and out, every failure a sentence for people.

import { t } from "../words/words.mjs";

const PATIENCE_MS = 15_000;

/** `message` is for people; `status` 0: no answer at all. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Api {
  /** @param {() => void} onUnauthorized  the login is asked for */
  constructor(onUnauthorized) {
    this.onUnauthorized = onUnauthorized;
  }

  /** @param {string} path  relative, as "api/lists" @returns {Promise<any>} */
  get(path) {
    return this.call("GET", path);
  }

  /** @param {string} path @param {unknown} body @returns {Promise<any>} */
  put(path, body) {
    return this.call("PUT", path, body);
  }

  /** @param {string} path @param {unknown} [body] @returns {Promise<any>} */
  post(path, body) {
    return this.call("POST", path, body);
  }

  /** @param {string} path @returns {Promise<any>} */
  remove(path) {
    return this.call("DELETE", path);
  }

  /** @param {string} method @param {string} path @param {unknown} [body] */
  async call(method, path, body) {
    /** @type {RequestInit} */
    const request = { method, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
    if (body !== undefined) Object.assign(request, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    let answer;
    try {
      answer = await fetch(path, request);
    } catch {
      throw new ApiError(t("api.silent"), 0);
    }
    if (answer.status === 401 && path !== "api/login") this.onUnauthorized();
    if (!answer.ok) throw new ApiError(await reason(answer), answer.status);
    return answer.status === 204 ? undefined : answer.json();
  }
}

/** What `application/problem+json` says, else its status. @param {Response} answer */
async function reason(answer) {
  try {
    const { detail, title } = await answer.json();
    if (typeof (detail ?? title) === "string") return detail ?? title;
  } catch {
    // No JSON: a proxy's page, perhaps.
  }
  return t("api.status", { status: answer.status });
}
