import type { Histogram, HistogramBounds } from "../../core/histogram.js";

/** The text formats that scrapers read: Prometheus 0.0.4, or OpenMetrics 1.0.0. */
export type ExpositionFormat = "prometheus" | "openmetrics";

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** What a scraper would rather read, by its Accept field (RFC 9110 §12.5.1): OpenMetrics where that is preferred. */
export function preferredFormat(accept: string | undefined): ExpositionFormat {
  let openmetrics = 0;
  let prometheus = 0;
  for (const range of (accept ?? "").toLowerCase().split(",")) {
    const [type, ...parameters] = range.split(";").map((part) => part.trim());
    const quality = Number(parameters.find((part) => part.startsWith("q="))?.slice(2) ?? 1);
    if (type === "application/openmetrics-text") openmetrics = Math.max(openmetrics, quality);
    else if (type === "text/plain" || type === "text/*") prometheus = Math.max(prometheus, quality);
  }
  return openmetrics > 0 && openmetrics >= prometheus ? "openmetrics" : "prometheus";
}

/** `{cluster="a",node="b:80"}`; "" for none. Backslash, quote and line feed in values are escaped. */
export function labels(of: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(of).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? "" : flat("{", pairs.join(","), "}");
}

/** The same with one label more. */
export function withLabel(of: string, name: string, value: string): string {
  return flat(of === "" ? "{" : `${of.slice(0, -1)},`, `${name}="${value}"}`);
}

/** In one piece: what is put together with `+` stays a tree, and is walked again for each line that it is part of. */
function flat(...parts: readonly string[]): string {
  return parts.join("");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

const PIECES_MAX = 256;

/** Puts families of metrics together as text, one after the other; each name may be given once. */
export class Exposition {
  readonly #isOpenMetrics: boolean;
  /** Joined as they come: text that only grows is a tree of all its pieces, which costs ten times as much. */
  readonly #chunks: string[] = [];
  #pieces: string[] = [];

  constructor(format: ExpositionFormat) {
    this.#isOpenMetrics = format === "openmetrics";
  }

  /** `name` without `_total`; samples are pairs of `labels()` and value. */
  counter(name: string, help: string, samples: Iterable<readonly [labels: string, value: number]>): void {
    this.#begin(this.#isOpenMetrics ? name : `${name}_total`, "counter", help);
    for (const [of, value] of samples) this.#add(`${name}_total${of} ${value}\n`);
  }

  gauge(name: string, help: string, samples: Iterable<readonly [labels: string, value: number]>): void {
    this.#begin(name, "gauge", help);
    for (const [of, value] of samples) this.#add(`${name}${of} ${numberText(value)}\n`);
  }

  /** `name` ends in `_seconds`. */
  histogram(
    name: string,
    help: string,
    bounds: HistogramBounds,
    samples: Iterable<readonly [labels: string, histogram: Histogram]>,
  ): void {
    this.#begin(name, "histogram", help);
    const limits = bounds.bounds.map((bound) => flat(this.#boundText(bound / 1000), '"} '));
    for (const [of, histogram] of samples) {
      const prefix = flat(name, "_bucket", of === "" ? "{" : `${of.slice(0, -1)},`, 'le="');
      const { count } = histogram;
      const counts = histogram.cumulative(bounds);
      for (let index = 0; index < limits.length; index++) this.#add(`${prefix}${limits[index]}${counts[index]}\n`);
      this.#add(`${prefix}+Inf"} ${count}\n`);
      this.#add(`${name}_sum${of} ${histogram.sumMs / 1000}\n${name}_count${of} ${count}\n`);
    }
  }

  #add(piece: string): void {
    this.#pieces.push(piece);
    if (this.#pieces.length < PIECES_MAX) return;
    this.#chunks.push(this.#pieces.join(""));
    this.#pieces = [];
  }

  #begin(name: string, type: string, help: string): void {
    this.#add(`# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`);
  }

  /** OpenMetrics wants a point in every bound. */
  #boundText(bound: number): string {
    return this.#isOpenMetrics && Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
  }

  /** All of it; nothing may be added afterwards. */
  end(): string {
    if (this.#isOpenMetrics) this.#add("# EOF\n");
    return this.#chunks.join("") + this.#pieces.join("");
  }
}

function numberText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "+Inf" : `${value}`;
}
