import { checkRange } from "./option-range.js";

export interface CheckThresholds {
  /** Passed checks in a row that bring a failing node back; 1 or more. */
  readonly healthyThreshold: number;
  /** Failed checks in a row that take a passing node out; 1 or more. */
  readonly unhealthyThreshold: number;
}

/** What the checks of a node say so far. */
export type CheckVerdict = "unknown" | "passing" | "failing";

/**
 * Turns the results of one node's checks into a verdict. The first result decides at once: a node that nobody knows
 * has no good name that could outweigh a failure, and need not wait to be useful. After that only results in a row
 * count, so that a single lost packet takes no node out.
 */
export class CheckState {
  readonly #thresholds: CheckThresholds;
  #verdict: CheckVerdict;
  /** Results in a row that contradict the verdict. */
  #contradictions = 0;

  /** `verdict` is what is known already. Throws `ERR_OPTION` for a threshold below 1. */
  constructor(thresholds: CheckThresholds, verdict: CheckVerdict = "unknown") {
    checkRange("healthyThreshold", thresholds.healthyThreshold, { from: 1 });
    checkRange("unhealthyThreshold", thresholds.unhealthyThreshold, { from: 1 });
    this.#thresholds = thresholds;
    this.#verdict = verdict;
  }

  get verdict(): CheckVerdict {
    return this.#verdict;
  }

  /** Takes the next result; gives the new verdict if this one has changed it, else undefined. */
  record(passed: boolean): "passing" | "failing" | undefined {
    const result = passed ? "passing" : "failing";
    if (result === this.#verdict) {
      this.#contradictions = 0;
      return undefined;
    }
    this.#contradictions++;
    if (this.#contradictions < this.#needed()) return undefined;
    this.#verdict = result;
    this.#contradictions = 0;
    return result;
  }

  #needed(): number {
    switch (this.#verdict) {
      case "unknown":
        return 1;
      case "passing":
        return this.#thresholds.unhealthyThreshold;
      case "failing":
        return this.#thresholds.healthyThreshold;
      default:
        return this.#verdict satisfies never;
    }
  }
}
