// The tickers there are: asked for when somebody first looks for one, and again in another session.

/** @typedef {{symbol: string, name: string | null}} Ticker */

const ALL = 20_000;

export class Universe {
  /** @param {import("./api.mjs").Api} api @param {(listener: () => void) => unknown} newDay */
  constructor(api, newDay) {
    this.api = api;
    /** @type {Promise<Ticker[]> | undefined} */
    this.asked = undefined;
    newDay(() => (this.asked = undefined));
  }

  /** @returns {Promise<Ticker[]>} */
  tickers() {
    return (this.asked ??= this.ask());
  }

  async ask() {
    try {
      return (await this.api.get(`api/universe?limit=${ALL}`)).tickers;
    } catch (error) {
      this.asked = undefined; // the next one who looks asks again
      throw error;
    }
  }
}
