import type { ErrorCode } from "../errors.js";
import { AnswerStats } from "./answer-stats.js";

/** Requests that are all timed in one tick of the data path's time, 25 ms: 2,560 a second. */
const TIMED_ALL = 64;
/** Of those above it, one is timed and stands for as many. */
const STANDS_FOR = 16;

/** What clients asked of a cluster and what they got, in plain fields. Only ever grows. */
export class ClusterStats {
  requests = 0;
  #tickMs = Number.NaN;
  #inTick = 0;
  /** Requests that were answered by the balancer itself, by code: a closed set. */
  readonly #problems: Map<ErrorCode, number>;
  /** That were passed on; timed from the head of the request: queue, dials and repetitions included. */
  readonly answers: AnswerStats;

  constructor(answers = new AnswerStats(), problems: ReadonlyMap<ErrorCode, number> = new Map()) {
    this.answers = answers;
    this.#problems = new Map(problems);
  }

  get problems(): ReadonlyMap<ErrorCode, number> {
    return this.#problems;
  }

  /**
   * How many requests the one that has just come in stands for when times are taken; 0: it is not timed. Two readings of
   * the clock cost 3 % of a small request, which nobody gets back for the thousandth time of a second.
   */
  weigh(nowMs: number): number {
    if (nowMs !== this.#tickMs) {
      this.#tickMs = nowMs;
      this.#inTick = 0;
    }
    const number = ++this.#inTick;
    if (number <= TIMED_ALL) return 1;
    return number % STANDS_FOR === 0 ? STANDS_FOR : 0;
  }

  noteProblem(code: ErrorCode): void {
    // Such a request belongs to no cluster.
    if (code === "ERR_NO_ROUTE") return;
    this.#problems.set(code, (this.#problems.get(code) ?? 0) + 1);
  }

  /** As it is now. */
  copy(): ClusterStats {
    const copy = new ClusterStats(this.answers.copy(), this.#problems);
    copy.requests = this.requests;
    return copy;
  }
}
