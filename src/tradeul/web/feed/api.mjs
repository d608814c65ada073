// Calls to our own origin: JSON in and out, every failure a sentence for people.

import { t } from "../words/words.mjs";

const PATIENCE_MS = 15_000;
const JSON_TYPE = "application/json";

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
    if (body !== undefined) Object.assign(request, { headers: { "Content-Type": JSON_TYPE }, body: JSON.stringify(body) });
    const { status, told } = await ask(path, request).catch(() => {
      throw new ApiError(t("api.silent"), 0);
    });
    if (status === 401 && path !== "api/login") this.onUnauthorized();
    if (status >= 400) throw new ApiError(reason(status, told), status);
    return told;
  }
}

/**
 * The answer's JSON and its true status. What cannot be told comes as 200 (`Prefer`): a browser would print every other answer
 * as an error of the page, though that something is not there yet is none.
 * @param {string} path @param {RequestInit} request @returns {Promise<{status: number, told: any}>}
 */
export async function ask(path, request) {
  const answer = await fetch(path, { ...request, headers: { Prefer: "problem=ok", ...request.headers } });
  /** @type {any} undefined: no JSON, a proxy's page perhaps */
  const told = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
  const isProblem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (!isProblem && answer.ok && answer.status !== 204 && told === undefined) throw new TypeError("no JSON");
  return { status: isProblem ? (told?.status ?? answer.status) : answer.status, told };
}

/** What `application/problem+json` says, else its status. @param {number} status @param {any} told */
function reason(status, told) {
  const said = told?.detail ?? told?.title;
  return typeof said === "string" ? said : t("api.status", { status });
}
