// Hot path: one per client connection, filled anew for each attempt.
import type { Counters } from "../core/counters.js";
import type { Node } from "../core/node.js";
import { Outcome, type OutcomeCode } from "../core/policies/policy.js";
import { decideRepeat, type FailedAttempt, type RepeatDecision } from "../core/retry.js";
import type { ErrorCode } from "../errors.js";
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

/** A request that had reached a node goes to another one; `code` is what the last one would have meant for its client. */
export function countRetry(counters: Counters, code: ErrorCode): void {
  counters.retries++;
  if (code === "ERR_NODE_TIMEOUT") counters.exchangesMovedOffSuspects++;
  else if (code === "ERR_NO_HEALTHY_NODE") counters.retriesByStatus++;
  else counters.retriesByClose++;
}

/** What the attempt at a node says of it, kept until the node is released. */
export class Attempt {
  /** That of the acquisition: an exchange may acquire its next node before it releases this one. */
  #stamp = 0;
  #outcome: OutcomeCode = Outcome.NONE;
  /** How many requests this one stands for when times are taken, 0 for none. */
  #weight = 0;
  #arrivedMs = 0;
  #isArriving = false;
  #sentMs = 0;
  /** The same in coarse time, which costs nothing. */
  #sentTickMs = 0;
  #waitedMs = 0;

  /** A request for the cluster has come in. */
  arrive({ stats, cluster, clock, wheel }: ClusterContext): void {
    stats.requests++;
    // Whoever goes by how attempts end wants the times of all.
    this.#weight = cluster.observes ? 1 : stats.weigh(wheel.nowMs);
    if (this.#weight > 0) this.#arrivedMs = clock.now();
    this.#isArriving = true;
  }

  /** The turn in which it came in is over: until then it is sent at the time at which it came, and no clock is read. */
  settle(): void {
    this.#isArriving = false;
  }

  /** A connection stands; `stamp` is `Exchange.stamp` as the node was acquired. */
  begin(context: ClusterContext, node: Node, stamp: number): void {
    this.#stamp = stamp;
    node.stats.attempts++;
    this.noteSent(context);
  }

  /** From now on the node is waited for. */
  noteSent({ clock, wheel }: ClusterContext): void {
    this.#outcome = Outcome.NONE;
    this.#sentTickMs = wheel.nowMs;
    if (this.#weight > 0) this.#sentMs = this.#isArriving ? this.#arrivedMs : clock.now();
  }

  /** The first word counts. */
  note({ clock }: ClusterContext, outcome: OutcomeCode): void {
    if (this.#outcome !== Outcome.NONE) return;
    this.#outcome = outcome;
    if (this.#weight > 0) this.#waitedMs = clock.now() - this.#sentMs;
  }

  /** Time is up, which speaks against the node if it had so much of it. */
  noteTimeUp(context: ClusterContext, leastMs: number): void {
    if (context.wheel.nowMs - this.#sentTickMs >= leastMs) this.note(context, Outcome.FAILED);
  }

  noteAnswered(context: ClusterContext, node: Node, status: number): void {
    this.note(context, Outcome.ANSWERED);
    const { answers } = node.stats;
    answers.count(status);
    if (this.#weight > 0) answers.headTime.add(this.#waitedMs, this.#weight);
    context.cluster.noteAnswered(node, this.#stamp, status);
  }

  /** It is the answer that the client gets. */
  notePassedOn(context: ClusterContext, node: Node, status: number): void {
    this.noteAnswered(context, node, status);
    const { answers } = context.stats;
    answers.count(status);
    if (this.#weight > 0) answers.headTime.add(this.#sentMs + this.#waitedMs - this.#arrivedMs, this.#weight);
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
    if (this.#outcome === Outcome.FAILED) node.stats.faults++;
    // A number that is not whole is an object of its own when it is handed on: not for nobody.
    if (cluster.observes) cluster.release(node, this.#stamp, this.#outcome, this.#waitedMs, status);
    else cluster.release(node, this.#stamp);
  }
}
