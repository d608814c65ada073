// Draws the hours outside the regular session behind the bars: a primitive of Lightweight Charts.

/** @typedef {{from: number, to: number}} Run */

export class Shading {
  constructor() {
    /** @type {Run[]} */
    this.runs = [];
    this.colour = "transparent";
    this.views = [{ zOrder: () => /** @type {const} */ ("bottom"), renderer: () => ({ draw: () => {}, drawBackground: (/** @type {any} */ target) => this.draw(target) }) }];
  }

  /** @param {any} attached */
  attached({ chart, requestUpdate }) {
    this.chart = chart;
    this.requestUpdate = requestUpdate;
  }

  paneViews() {
    return this.views;
  }

  /** @param {Run[]} runs @param {string} colour */
  show(runs, colour) {
    this.runs = runs;
    this.colour = colour;
    this.requestUpdate?.();
  }

  /** @param {any} target */
  draw(target) {
    const scale = this.chart.timeScale();
    const half = scale.options().barSpacing / 2;
    target.useBitmapCoordinateSpace((/** @type {any} */ { context, bitmapSize, horizontalPixelRatio }) => {
      context.fillStyle = this.colour;
      for (const { from, to } of this.runs) {
        const [left, right] = [scale.timeToCoordinate(from), scale.timeToCoordinate(to)];
        if (left === null || right === null) continue;
        const x = Math.round((left - half) * horizontalPixelRatio);
        context.fillRect(x, 0, Math.round((right + half) * horizontalPixelRatio) - x, bitmapSize.height);
      }
    });
  }
}
