// Hot path: one per client connection, filled anew for each attempt.
import type { Node } from "../core/node.js";
import { Outcome, type OutcomeCode } from "../core/policies/policy.js";
import { decideRepeat, type FailedAttempt, type RepeatDecision } from "../core/retry.js";
import type { ClusterContext } from "./context.js";

/** What follows an attempt that failed; a limit that ends it is counted. */
export function decideNext(context: ClusterContext, attempt: FailedAttempt): RepeatDecision["kind"] {
  const { config, counters, retryBudget } = context;
  const decision = decideRepeat(attempt, config.attemptsMax, retryBudget);
  if (decision.kind !== "fail") return decision.kind;
  if (decision.reason === "budget-spent") counters.retriesRefusedByBudget++;
  if (decision.reason === "attempts-spent") counters.retriesRefusedByAttempts++;
  return "fail";
}

/** What the attempt at a node says of it, kept until the node is released. */
export class Attempt {
  /** That of the acquisition: an exchange may acquire its next node before it releases this one. */
  #stamp = 0;
  #outcome: OutcomeCode = Outcome.NONE;
  #sentMs = 0;
  #waitedMs = 0;

  /** A connection stands; `stamp` is `Exchange.stamp` as the node was acquired. */
  begin(context: ClusterContext, stamp: number): void {
    this.#stamp = stamp;
    this.noteSent(context);
  }

  /** From now on the node is waited for. */
  noteSent({ cluster, clock }: ClusterContext): void {
    this.#outcome = Outcome.NONE;
    if (cluster.observes) this.#sentMs = clock.now();
  }

  /** The first word counts. */
  note({ cluster, clock }: ClusterContext, outcome: OutcomeCode): void {
    if (!cluster.observes || this.#outcome !== Outcome.NONE) return;
    this.#outcome = outcome;
    this.#waitedMs = clock.now() - this.#sentMs;
  }

  /** Time is up, which speaks against the node if it had so much of it. */
  noteTimeUp(context: ClusterContext, leastMs: number): void {
    if (context.clock.now() - this.#sentMs >= leastMs) this.note(context, Outcome.FAILED);
  }

  noteAnswered(context: ClusterContext, node: Node, status: number): void {
    this.note(context, Outcome.ANSWERED);
    context.cluster.noteAnswered(node, this.#stamp, status);
  }

  /** The answer switched protocols: it counts now, and the node keeps its place as the end of a tunnel. */
  noteUpgraded({ cluster }: ClusterContext, node: Node, status: number): void {
    cluster.observe(node, this.#stamp, this.#outcome, this.#waitedMs, status);
  }

  /** The response broke off behind its head: that counts for more than its head did. */
  noteBroken(): void {
    this.#outcome = Outcome.FAILED;
  }

  release({ cluster }: ClusterContext, node: Node, status: number): void {
    cluster.release(node, this.#stamp, this.#outcome, this.#waitedMs, status);
  }
}
