// Time of the product's clock, which may be simulated and run at another speed than ours.

export class ProductClock {
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

  /** Epoch milliseconds; null before the gateway said any. */
  now() {
    return this.mark && this.mark.product + (performance.now() - this.mark.local) * this.speed;
  }
}
