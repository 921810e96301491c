// Hot path: one addition for each answer, and a sample of `headTime` for those that are timed.
import { Histogram } from "./histogram.js";

/** Answers by the class of their status, final ones and 101, and how long they took. Only ever grows. */
export class AnswerStats {
  responses1xx = 0;
  responses2xx = 0;
  responses3xx = 0;
  responses4xx = 0;
  responses5xx = 0;
  /** Until the head of the response was in; of those that were timed. */
  readonly headTime: Histogram;

  constructor(headTime = new Histogram()) {
    this.headTime = headTime;
  }

  count(status: number): void {
    if (status < 200) this.responses1xx++;
    else if (status < 300) this.responses2xx++;
    else if (status < 400) this.responses3xx++;
    else if (status < 500) this.responses4xx++;
    else this.responses5xx++;
  }

  /** As they are now. */
  copy(): AnswerStats {
    const headTime = this.headTime.copy();
    return Object.assign(new AnswerStats(headTime), this, { headTime });
  }
}
