import { AnswerStats } from "./answer-stats.js";

/** What a node was asked and what became of it, in plain fields. Only ever grows. */
export class NodeStats {
  /** Requests written to a connection that stood. */
  attempts = 0;
  /** Attempts that failed before the head of a response, or broke off behind it. Stale connections are none. */
  faults = 0;
  dialsFailed = 0;
  /** Times that it came into the dead-host set. */
  deaths = 0;
  /**
   * Those that another node was asked instead of included; timed from the complete request, as far as it had come in.
   */
  readonly answers: AnswerStats;

  constructor(answers = new AnswerStats()) {
    this.answers = answers;
  }

  /** As it is now. */
  copy(): NodeStats {
    const answers = this.answers.copy();
    return Object.assign(new NodeStats(answers), this, { answers });
  }
}
