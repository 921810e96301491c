// Hot path: `record` runs for every response and allocates nothing.
import type { Clock } from "./clock.js";
import { checkRange } from "./option-range.js";

/** What a meter knows of its node. */
export interface MeterReading {
  /** The meter has watched for a whole window. Never false again once it was true. */
  readonly isReady: boolean;
  /** Responses in the window; 0: nothing is known, or no longer. */
  readonly requests: number;
  /** Share of them that are errors, 0 to 1; 0 without requests. */
  readonly errorRatio: number;
  /** Geometric mean latency of the responses that are no errors, in milliseconds; 0 without such. */
  readonly latencyMs: number;
}

/** Passive measurement of one node. */
export interface Meter {
  /** One response: its status (502 or 504 where none came) and the time to its head in milliseconds. */
  record(status: number, latencyMs: number): void;
  read(): MeterReading;
}

/** Does a response with this status speak against its node? */
export type IsErrorStatus = (status: number) => boolean;

/**
 * 500 to 504. What a node says of its client (4xx), a client that went away (499) and the rarer 5xx, which
 * are answers rather than failures, do not count.
 */
export function isNodeError(status: number): boolean {
  return status >= 500 && status <= 504;
}

export interface SlidingMeterOptions {
  /** Which statuses are errors. Default `isNodeError`: 500 to 504. */
  readonly isError?: IsErrorStatus;
  /** Length of the window in milliseconds. Default 10,000. */
  readonly windowMs?: number;
  /**
   * Requests that the window holds at least: that of a quiet node reaches further back than `windowMs`. Without
   * it a node on a small share would be forgotten between two of its requests. 0 = time alone. Default 20.
   */
  readonly requestsMin?: number;
  /** Silence after which everything is forgotten, in milliseconds. Default 600,000 (10 minutes). */
  readonly memoryMs?: number;
}

/** Slices of a window: it moves on by a tenth of its length. */
const BUCKETS = 10;
/** Latencies below are taken for this: their logarithm would weigh more than it says. */
const LATENCY_MS_MIN = 0.1;
const LATENCY_LOG_MIN = Math.log(LATENCY_MS_MIN);

interface Bucket {
  startMs: number;
  requests: number;
  errors: number;
  /** Sum of the natural logarithms of the latencies in milliseconds. */
  latencyLogs: number;
}

/**
 * Errors and latency of a node over a sliding window: the last `windowMs` or the last `requestsMin` requests,
 * whichever reaches further back. Ten buckets, however many requests there are.
 *
 * The mean latency is geometric: one long poll of half a minute among twenty answers of 10 ms makes it 15 ms,
 * where an arithmetic mean would be a second and a half.
 */
export class SlidingMeter implements Meter {
  readonly #clock: Pick<Clock, "now">;
  readonly #options: Required<SlidingMeterOptions>;
  readonly #bucketRequestsMin: number;
  readonly #createdMs: number;
  readonly #buckets: readonly Bucket[];
  #newest = 0;
  #lastMs: number;

  /** Throws `ERR_OPTION` for an option out of range. */
  constructor(clock: Pick<Clock, "now">, options: SlidingMeterOptions = {}) {
    const { isError = isNodeError, windowMs = 10_000, requestsMin = 20, memoryMs = 600_000 } = options;
    checkRange("windowMs", windowMs, { from: 1 });
    checkRange("requestsMin", requestsMin, { from: 0 });
    checkRange("memoryMs", memoryMs, { from: windowMs });
    this.#clock = clock;
    this.#options = { isError, windowMs, requestsMin, memoryMs };
    // Without the newest, which may have just begun.
    this.#bucketRequestsMin = Math.ceil(requestsMin / (BUCKETS - 1));
    this.#createdMs = clock.now();
    this.#lastMs = this.#createdMs;
    this.#buckets = Array.from({ length: BUCKETS }, () => emptyBucket(this.#createdMs));
  }

  record(status: number, latencyMs: number): void {
    const nowMs = this.#clock.now();
    if (nowMs - this.#lastMs >= this.#options.memoryMs) this.#forget(nowMs);
    this.#lastMs = nowMs;
    const bucket = this.#bucketAt(nowMs);
    bucket.requests++;
    if (this.#options.isError(status)) bucket.errors++;
    else bucket.latencyLogs += latencyMs > LATENCY_MS_MIN ? Math.log(latencyMs) : LATENCY_LOG_MIN;
  }

  read(): MeterReading {
    const { windowMs, requestsMin, memoryMs } = this.#options;
    const nowMs = this.#clock.now();
    const isReady = nowMs - this.#createdMs >= windowMs;
    let requests = 0;
    let errors = 0;
    let latencyLogs = 0;
    for (let age = 0; age < BUCKETS && nowMs - this.#lastMs < memoryMs; age++) {
      const bucket = this.#buckets[(this.#newest - age + BUCKETS) % BUCKETS];
      if (nowMs - bucket.startMs >= windowMs && requests >= requestsMin) break;
      requests += bucket.requests;
      errors += bucket.errors;
      latencyLogs += bucket.latencyLogs;
    }
    const answers = requests - errors;
    return {
      isReady,
      requests,
      errorRatio: requests === 0 ? 0 : errors / requests,
      latencyMs: answers === 0 ? 0 : Math.exp(latencyLogs / answers),
    };
  }

  /** The newest bucket, or the next one once that is old and full enough. */
  #bucketAt(nowMs: number): Bucket {
    const newest = this.#buckets[this.#newest];
    if (newest.requests === 0) {
      newest.startMs = nowMs;
      return newest;
    }
    const isOpen =
      nowMs - newest.startMs < this.#options.windowMs / BUCKETS || newest.requests < this.#bucketRequestsMin;
    if (isOpen) return newest;
    this.#newest = (this.#newest + 1) % BUCKETS;
    return wipe(this.#buckets[this.#newest], nowMs);
  }

  #forget(nowMs: number): void {
    for (const bucket of this.#buckets) wipe(bucket, nowMs);
  }
}

function emptyBucket(startMs: number): Bucket {
  return { startMs, requests: 0, errors: 0, latencyLogs: 0 };
}

function wipe(bucket: Bucket, startMs: number): Bucket {
  bucket.startMs = startMs;
  bucket.requests = 0;
  bucket.errors = 0;
  bucket.latencyLogs = 0;
  return bucket;
}
