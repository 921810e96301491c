// Hot path: `add` runs twice for a request that is timed, takes about 10 ns (bench/micro.js) and allocates nothing.

/** Half microseconds are what samples are rounded to: the narrowest bucket is two of them wide. */
const UNITS_PER_MS = 2000;
const LOW_MS = 0.01;
const HIGH_MS = 100_000;
const DECADES = 7;
/** The first bucket of a decade, in units. */
const DECADE_START = 20;

/** Upper bounds within a decade: 1.1, 1.2 … 2, 2.25 … 5, 5.5 … 10. None is wider than an eighth of its lower bound. */
const STEPS = [
  ...Array.from({ length: 10 }, (_, step) => 1.1 + step / 10),
  ...Array.from({ length: 12 }, (_, step) => 2.25 + step / 4),
  ...Array.from({ length: 10 }, (_, step) => 5.5 + step / 2),
];

/** Bucket in its decade, by the leading digits in twentieths: 20 to 199. */
const STEP_OF = Uint8Array.from({ length: 10 * DECADE_START }, (_, leading) => {
  if (leading < 40) return Math.max(0, leading - 20) >> 1;
  return leading < 100 ? 10 + Math.floor((leading - 40) / 5) : 22 + Math.floor((leading - 100) / 10);
});

const SCALE = Int32Array.from({ length: DECADES }, (_, decade) => 10 ** decade);
const DECADE_END = Int32Array.from(SCALE, (scale) => 10 * DECADE_START * scale);
/** Decade of the smallest number with so many leading zeros; the largest is at most one decade further. */
const DECADE_OF = Uint8Array.from({ length: 33 }, (_, zeros) => {
  const smallest = 2 ** (31 - zeros);
  return Math.max(0, Math.min(DECADES - 1, Math.floor(Math.log10(smallest / DECADE_START))));
});

/** Upper bound of each bucket in milliseconds, itself included; the last one takes what is above 100 s. */
const BOUNDS_MS: readonly number[] = [
  LOW_MS,
  ...Array.from(SCALE, (scale) => STEPS.map((step) => Number((LOW_MS * scale * step).toPrecision(4)))).flat(),
  Number.POSITIVE_INFINITY,
];

/**
 * How long things took, from 10 µs to 100 s, in 226 buckets that grow with the numbers: 32 a decade, so that every
 * quantile is known to a sixteenth. Bounds are decimal: 1, 2.5 and 5 of each decade are among them, for the buckets of
 * Prometheus to be exact. Only ever grows.
 *
 * @see H. Hartmann, T. Schlossnagle: Circllhist, a log-linear histogram (arXiv 2001.06561)
 */
export class Histogram {
  readonly #counts: Float64Array;
  #sumMs: number;

  constructor(counts = new Float64Array(BOUNDS_MS.length), sumMs = 0) {
    this.#counts = counts;
    this.#sumMs = sumMs;
  }

  /** `weight`: how many samples this one stands for. */
  add(ms: number, weight = 1): void {
    this.#sumMs += ms * weight;
    this.#counts[bucketOf(ms)] += weight;
  }

  /** Sum of all samples in milliseconds. */
  get sumMs(): number {
    return this.#sumMs;
  }

  get count(): number {
    let count = 0;
    for (const inBucket of this.#counts) count += inBucket;
    return count;
  }

  /**
   * The value in milliseconds below which a share of the samples lies, within 6.25 % between 10 µs and 100 s; 0 without
   * any, and 100 s for all above.
   */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count));
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index];
      if (seen < rank) continue;
      return index === this.#counts.length - 1
        ? HIGH_MS
        : ((index === 0 ? 0 : BOUNDS_MS[index - 1]) + BOUNDS_MS[index]) / 2;
    }
    return 0;
  }

  /** How many samples are at most as large as each of these bounds, which are in order and bounds of buckets. */
  cumulative(bounds: HistogramBounds): readonly number[] {
    const result: number[] = [];
    let at = 0;
    let seen = 0;
    for (const end of bounds.ends) {
      while (at < end) seen += this.#counts[at++];
      result.push(seen);
    }
    return result;
  }

  /** As it is now. */
  copy(): Histogram {
    return new Histogram(this.#counts.slice(), this.#sumMs);
  }

  /** What has been added since this was a copy of `earlier`. */
  since(earlier: Histogram): Histogram {
    return new Histogram(
      this.#counts.map((count, index) => count - earlier.#counts[index]),
      this.#sumMs - earlier.#sumMs,
    );
  }

  /** Adds every sample of another one. */
  merge(other: Histogram): void {
    for (let index = 0; index < this.#counts.length; index++) this.#counts[index] += other.#counts[index];
    this.#sumMs += other.#sumMs;
  }

  /** What fits into a line. */
  toJSON(): unknown {
    const quantiles = { p50Ms: this.quantile(0.5), p90Ms: this.quantile(0.9), p99Ms: this.quantile(0.99) };
    return { count: this.count, sumMs: this.#sumMs, ...quantiles };
  }
}

/** Bounds of buckets, and how many buckets lie below each. */
export interface HistogramBounds {
  readonly bounds: readonly number[];
  readonly ends: readonly number[];
}

/** Prepares bounds in milliseconds for `cumulative`. Throws for one at which no bucket ends. */
export function histogramBounds(bounds: readonly number[]): HistogramBounds {
  const ends = bounds.map((bound) => BOUNDS_MS.indexOf(bound) + 1);
  const wrong = bounds.filter((_, index) => ends[index] === 0);
  if (wrong.length > 0) throw new RangeError(`no bucket ends at ${wrong.join(", ")} ms`);
  return { bounds, ends };
}

function bucketOf(ms: number): number {
  if (!(ms <= HIGH_MS)) return BOUNDS_MS.length - 1;
  // Rounded, and less by one: an upper bound belongs to the bucket below it.
  const units = ((ms * UNITS_PER_MS + 0.5) | 0) - 1;
  if (units < DECADE_START) return 0;
  let decade = DECADE_OF[Math.clz32(units)];
  if (units >= DECADE_END[decade]) decade++;
  return 1 + decade * STEPS.length + STEP_OF[(units / SCALE[decade]) | 0];
}
