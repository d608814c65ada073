// The socket: one at a time, made again when it breaks, subscribed to what is wanted. It knows no rows.

import { ask } from "./api.mjs";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const SILENCE_MS = 15_000; // the gateway says `status` every 5 s
const PING_MS = 10_000;

/** @typedef {import("./messages.d.ts").ServerMessage} ServerMessage */
/** @typedef {import("./messages.d.ts").ClientMessage} ClientMessage */

/**
 * @typedef {{socket: string, mode: string, simulated: boolean, version: string}} Config
 * @typedef {{onState: (state: "connecting" | "open" | "lost" | "refused") => void, onConfig: (config: Config) => void, onMessage: (message: ServerMessage) => void}} Handlers
 */

export class Connection {
  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {Set<string>} */
    this.wanted = new Set();
    /** @type {Set<string>} */
    this.asked = new Set();
    /** @type {Set<string>} */
    this.known = new Set();
    /** @type {WebSocket | null} */
    this.socket = null;
    this.failures = 0;
    this.heardAt = 0;
    this.wantsTold = false; // filings and news
    this.isGreeted = false; // the socket has said `connected`
    this.isRefused = false; // no token, or a wrong one: asking again would not help
    setInterval(() => this.watchDog(), 1000);
    setInterval(() => this.say({ action: "ping" }), PING_MS);
    // A laptop that wakes up, or a network that comes back, need not wait out the backoff.
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
    void this.open();
  }

  /** @param {string} list  or its variant in another class, as winners~etf */
  watch(list) {
    this.wanted.add(list);
    this.subscribe();
  }

  /** @param {string} list */
  unwatch(list) {
    this.wanted.delete(list);
    if (this.asked.delete(list)) this.say({ action: "unsubscribe", list });
  }

  /** Filings and news. @param {boolean} wanted */
  wantTold(wanted) {
    if (wanted === this.wantsTold) return;
    this.wantsTold = wanted;
    if (this.isGreeted) this.sayTold();
  }

  sayTold() {
    this.say({ action: this.wantsTold ? "subscribe_filings" : "unsubscribe_filings" });
    this.say({ action: this.wantsTold ? "subscribe_news" : "unsubscribe_news" });
  }

  /** @param {string} list */
  resync(list) {
    this.say({ action: "resync", list });
  }

  subscribe() {
    for (const list of this.wanted) {
      const [name, issueClass] = list.split("~");
      if (this.asked.has(list) || !this.known.has(name)) continue;
      this.asked.add(list);
      this.say({ action: "subscribe", list: name, class: /** @type {import("./messages.d.ts").Subscribe["class"]} */ (issueClass) });
    }
  }

  async open() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isRefused = false;
    this.handlers.onState(this.failures ? "lost" : "connecting");
    try {
      const { status, told: config } = await ask("api/config", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (status === 401) return this.refuse();
      if (status >= 400) throw new Error(`/api/config answered ${status}`);
      this.handlers.onConfig(config);
      this.listen(new WebSocket(config.socket));
    } catch {
      this.retryLater();
    }
  }

  /** @param {WebSocket} socket */
  listen(socket) {
    this.socket = socket;
    this.isGreeted = false;
    this.heardAt = performance.now();
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.heardAt = performance.now();
      this.hear(JSON.parse(data));
    };
    socket.onclose = ({ reason }) => {
      if (socket !== this.socket) return;
      this.socket = null;
      if (this.isRefused) return;
      // A gateway that ends tells each of its clients another moment, lest all come back at once.
      const told = /^come back in (\d+) ms$/.exec(reason);
      this.retryLater(told ? Number(told[1]) : undefined);
    };
  }

  /** @param {ServerMessage} message */
  hear(message) {
    if (message.type === "connected") {
      this.known = new Set(message.lists.map(({ name }) => name));
      // Of lists that are gone the gateway has ended the subscriptions; one that comes back is asked for again.
      for (const list of this.asked) if (!this.known.has(list.split("~")[0])) this.asked.delete(list);
      if (this.failures || !this.asked.size) this.say({ action: "ping" });
      this.failures = 0;
      if (this.wantsTold && !this.isGreeted) this.sayTold();
      this.isGreeted = true;
      this.handlers.onState("open");
    }
    this.handlers.onMessage(message);
    if (message.type === "error" && message.code === "unauthorized") this.refuse();
    if (message.type === "connected") this.subscribe();
  }

  /** Until somebody logs in (`open`), nothing is asked. */
  refuse() {
    this.isRefused = true;
    this.asked.clear();
    this.handlers.onState("refused");
  }

  /** @param {number} [waitMs]  as the gateway said */
  retryLater(waitMs) {
    this.asked.clear();
    this.failures += 1;
    this.handlers.onState("lost");
    const longest = Math.min(FIRST_WAIT_MS * 2 ** (this.failures - 1), LONGEST_WAIT_MS);
    this.timer = setTimeout(() => void this.open(), waitMs ?? longest * (0.3 + 0.7 * Math.random()));
  }

  retryNow() {
    // Somebody may have logged in on another tab.
    if (this.timer !== undefined || this.isRefused) void this.open();
  }

  watchDog() {
    if (!this.socket || performance.now() - this.heardAt < SILENCE_MS) return;
    const silent = this.socket;
    this.socket = null; // its own close event may be minutes away
    silent.close();
    this.retryLater();
  }

  /** @param {ClientMessage} message */
  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
