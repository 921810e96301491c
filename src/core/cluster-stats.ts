import type { ErrorCode } from "../errors.js";
import { AnswerStats } from "./answer-stats.js";

/** What clients asked of a cluster and what they got, in plain fields. Only ever grows. */
export class ClusterStats {
  requests = 0;
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
