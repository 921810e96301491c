import { createSvg, setAttribute } from "./document.js";
import { SAMPLES_MAX } from "./series.js";

const WIDTH = 150;
const HEIGHT = 28;

/** @typedef {"rate" | "errors" | "p50Ms" | "p99Ms"} LineName */

/**
 * A line over the last minutes. Plots of one kind share a scale, so that they can be compared; what a line shows is
 * said in words as well.
 */
export class Plot {
  #svg = createSvg("svg", {
    class: "plot",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
  });
  /** @type {readonly { readonly name: LineName, readonly area: SVGPathElement | undefined, readonly line: SVGPathElement }[]} */
  #lines;

  /**
   * @param {Element} parent
   * @param {readonly { readonly name: LineName, readonly className?: string, readonly isFilled?: boolean }[]} lines
   */
  constructor(parent, lines) {
    this.#svg.append(createSvg("path", { class: "base", d: `M0 ${HEIGHT}H${WIDTH}` }));
    this.#lines = lines.map(({ name, className = "", isFilled = false }) => {
      const area = isFilled ? createSvg("path", { class: `area ${className}` }) : undefined;
      const line = createSvg("path", { class: className });
      if (area !== undefined) this.#svg.append(area);
      this.#svg.append(line);
      return { name, area, line };
    });
    parent.append(this.#svg);
  }

  /**
   * @param {import("./shapes.js").HistorySeries} series
   * @param {{ readonly top: number, readonly text: string }} options
   */
  draw(series, { top, text }) {
    setAttribute(this.#svg, "aria-label", text);
    for (const { name, area, line } of this.#lines) {
      const values = name === "errors" ? withoutIdle(series.errors) : series[name];
      const parts = runsOf(values, top);
      setAttribute(line, "d", parts.map(({ path }) => path).join(""));
      if (area !== undefined) {
        setAttribute(
          area,
          "d",
          parts.map(({ path, from, to }) => `${path}L${to} ${HEIGHT}L${from} ${HEIGHT}Z`).join(""),
        );
      }
    }
  }
}

/**
 * A line at the bottom of a plot that says "no errors" in the colour of errors would say the contrary.
 * @param {readonly (number | null)[]} values
 */
function withoutIdle(values) {
  const isSome = (/** @type {number} */ index) => (values[index] ?? 0) > 0;
  return values.map((value, index) => (isSome(index - 1) || isSome(index) || isSome(index + 1) ? value : null));
}

/**
 * The pieces of a line between which nothing is known. The newest sample stands at the right edge.
 * @param {readonly (number | null)[]} values
 * @param {number} top of the scale
 */
function runsOf(values, top) {
  const step = WIDTH / (SAMPLES_MAX - 1);
  const start = WIDTH - (values.length - 1) * step;
  /** @type {{ path: string, from: number, to: number }[]} */
  const runs = [];
  let isOpen = false;
  values.forEach((value, index) => {
    if (value === null) {
      isOpen = false;
      return;
    }
    const x = Number((start + index * step).toFixed(1));
    const y = (HEIGHT - 1 - Math.min(1, value / top) * (HEIGHT - 2)).toFixed(1);
    if (!isOpen) runs.push({ path: "", from: x, to: x });
    const run = runs[runs.length - 1];
    // A single sample is a dot, and no line of no length.
    run.path += isOpen ? `L${x} ${y}` : `M${x} ${y}h.5`;
    run.to = x;
    isOpen = true;
  });
  return runs;
}

/**
 * The next round number that is above all values.
 * @param {Iterable<readonly (number | null)[]>} series
 * @param {number} least
 */
export function roundTop(series, least) {
  let most = least;
  for (const values of series) for (const value of values) if (value !== null && value > most) most = value;
  const decade = 10 ** Math.floor(Math.log10(most));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * decade >= most) ?? 10;
  return step * decade;
}
