// The top of the page: which session, which phase, what time in New York, how old the numbers are, and whether they are real.

import { age, sessionDate, timeOfDay } from "./format.mjs";

const PHASES = { PRE_MARKET: "pre-market", MARKET_OPEN: "market open", POST_MARKET: "post-market", CLOSED: "closed" };
const CONNECTIONS = { connecting: "connecting", open: "live", lost: "lost" };

const place = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Time of the product's clock, which may be simulated and run at another speed than ours. */
class ProductClock {
  constructor() {
    /** @type {{product: number, local: number} | null} */
    this.mark = null;
    this.speed = 1;
  }

  /** @param {number} product  epoch milliseconds, as the gateway just said */
  set(product) {
    const local = performance.now();
    if (this.mark && local - this.mark.local > 4000) {
      const speed = (product - this.mark.product) / (local - this.mark.local);
      this.speed = Math.abs(speed - 1) < 0.05 ? 1 : Math.max(speed, 0);
    }
    this.mark = { product, local };
  }

  now() {
    return this.mark && this.mark.product + (performance.now() - this.mark.local) * this.speed;
  }
}

export class StatusBar {
  constructor() {
    this.clock = new ProductClock();
    setInterval(() => this.tick(), 200);
  }

  tick() {
    const now = this.clock.now();
    if (now !== null) write("clock", timeOfDay(now));
  }

  /** @param {"connecting" | "open" | "lost"} state */
  connection(state) {
    write("connection", CONNECTIONS[state]);
    place("connection").dataset.state = state;
    document.body.dataset.connection = state;
    const lost = state === "lost";
    place("trouble").hidden = !lost;
    write("trouble", lost ? "Connection lost: what you see is not being updated. Trying again…" : "");
    if (lost) write("age", age(null));
  }

  /** @param {string} mode */
  mode(mode) {
    write("mode", mode.replaceAll("_", " ").toLowerCase());
    place("mode").dataset.mode = mode;
    place("simulated").hidden = mode !== "SIMULATED";
    document.body.dataset.mode = mode;
  }

  /** @param {string} session */
  session(session) {
    write("session", sessionDate(session));
  }

  /** @param {number} count */
  refused(count) {
    place("session").title = `${count} message${count === 1 ? "" : "s"} of an older session refused`;
  }

  /** @param {string} phase */
  phase(phase) {
    write("phase", PHASES[/** @type {keyof typeof PHASES} */ (phase)] ?? phase);
    place("phase").dataset.phase = phase;
  }

  /** @param {any} message */
  hear(message) {
    switch (message.type) {
      case "connected":
        this.clock.set(Date.parse(message.server_time));
        // Before an end-of-day product has its first close, the gateway's session is only how far back it would go.
        if (message.mode !== "END_OF_DAY") this.session(message.session);
        this.phase(message.phase);
        this.mode(message.mode);
        break;
      case "snapshot":
        if (message.count) this.session(message.session);
        break;
      case "new_day":
        this.session(message.session);
        break;
      case "pong":
        this.clock.set(message.timestamp);
        break;
      case "status":
        this.phase(message.phase);
        this.mode(message.mode);
        write("age", age(message.feed_age_ms));
        place("age").title = message.feed_lag_p99_ms === null ? "" : `99 of 100 bars arrive within ${age(message.feed_lag_p99_ms)} of their end`;
        place("age").dataset.stale = String(message.stale);
        document.body.dataset.stale = String(message.stale && message.phase !== "CLOSED");
    }
  }
}

/** @param {string} id @param {string} text */
function write(id, text) {
  const element = place(id);
  if (element.textContent !== text) element.textContent = text;
}
