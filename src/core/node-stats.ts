// Hot path: an addition or two for each attempt.
import { Histogram } from "./histogram.js";

/** What a node was asked and what became of it, in plain fields. Only ever grows. */
export class NodeStats {
  /** Requests written to a connection that stood. */
  attempts = 0;
  /** Attempts that failed before the head of a response, or broke off behind it. Stale connections are none. */
  faults = 0;
  dialsFailed = 0;
  /** Heads of final responses and of 101 by the class of their status, also of those that another node was asked instead of. */
  responses1xx = 0;
  responses2xx = 0;
  responses3xx = 0;
  responses4xx = 0;
  responses5xx = 0;
  /** From the complete request, as far as it had come in, to the head of the response. */
  readonly headTime: Histogram;

  constructor(headTime = new Histogram()) {
    this.headTime = headTime;
  }

  noteAnswered(status: number, waitedMs: number): void {
    this.headTime.add(waitedMs);
    if (status < 200) this.responses1xx++;
    else if (status < 300) this.responses2xx++;
    else if (status < 400) this.responses3xx++;
    else if (status < 500) this.responses4xx++;
    else this.responses5xx++;
  }

  /** As it is now. */
  copy(): NodeStats {
    const headTime = this.headTime.copy();
    return Object.assign(new NodeStats(headTime), this, { headTime });
  }
}
