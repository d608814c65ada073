// What a browser keeps of enters, leaves and alerts, in its IndexedDB: bounded, the same for all its windows, and it
// survives a reload. It is what this browser saw, not the server's log: `membership` in `tradeul sql` is that.

export const MOST_KEPT = 5000;
const NAME = "tradeul";

/**
 * @typedef {{at: number, marketAt: number | null, session: string, list: string, symbol: string, event: "enter" | "leave" | "alert", late: boolean,
 *   rank: number | null, price: number | null, changePct: number | null}} Line  `at`: of this computer, `marketAt`: of the product's clock
 */

export class Journal {
  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
    // Another window's write is heard of, our own too.
    this.channel = new BroadcastChannel(NAME);
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.channel.onmessage = () => this.tell();
  }

  static async open() {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("lines", { autoIncrement: true });
      request.result.createObjectStore("kept");
    };
    return new Journal(await done(request));
  }

  /** @param {() => void} listener @returns {() => void} stop */
  listen(listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  tell() {
    for (const listener of [...this.listeners]) listener();
  }

  /** The lines and what is kept beside them stand together or not at all. @param {Line[]} lines @param {unknown} kept */
  async write(lines, kept) {
    const transaction = this.database.transaction(["lines", "kept"], "readwrite");
    const store = transaction.objectStore("lines");
    transaction.objectStore("kept").put(kept, "state");
    for (const line of lines) {
      const added = store.add(line);
      added.onsuccess = () => void store.delete(IDBKeyRange.upperBound(Number(added.result) - MOST_KEPT));
    }
    await ended(transaction);
    if (!lines.length) return;
    this.channel.postMessage("written");
    this.tell();
  }

  /** @returns {Promise<any>} */
  kept() {
    return done(this.database.transaction("kept").objectStore("kept").get("state"));
  }

  /** The newest first. @param {number} most @returns {Promise<Line[]>} */
  async newest(most) {
    /** @type {Line[]} */
    const lines = [];
    const request = this.database.transaction("lines").objectStore("lines").openCursor(null, "prev");
    return new Promise((resolve, reject) => {
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (cursor) lines.push(cursor.value);
        if (cursor && lines.length < most) cursor.continue();
        else resolve(lines);
      };
    });
  }

  async clear() {
    const transaction = this.database.transaction("lines", "readwrite");
    transaction.objectStore("lines").clear();
    await ended(transaction);
    this.channel.postMessage("written");
    this.tell();
  }
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function ended(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
