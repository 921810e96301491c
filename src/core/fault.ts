// Hot path: `judge` runs for every attempt that ends.
import type { IsErrorStatus } from "./meter.js";
import { Outcome, type OutcomeCode } from "./policies/policy.js";

/** 500 to 599, as Envoy counts them. What a node says of its client (4xx) is a good answer. */
export function isServerError(status: number): boolean {
  return status >= 500 && status <= 599;
}

/** What the end of an attempt says of its node. */
export const Verdict = {
  /** Nothing: never sent, a fault of our own, or a client that left. */
  NOTHING: 0,
  /** It answered, be it with a 404. */
  GOOD: 1,
  /** It answered with a status that `isFault` names, or not to the end. */
  FAULT: 2,
} as const;
export type VerdictCode = (typeof Verdict)[keyof typeof Verdict];

/** The verdict on a node after one attempt; `status` is that of the response, 0 without one. */
export function judge(outcome: OutcomeCode, status: number, isFault: IsErrorStatus): VerdictCode {
  if (outcome === Outcome.ANSWERED) return isFault(status) ? Verdict.FAULT : Verdict.GOOD;
  return outcome === Outcome.FAILED ? Verdict.FAULT : Verdict.NOTHING;
}
