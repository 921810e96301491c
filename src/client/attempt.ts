import { type Dispatcher, errors } from "undici";
import type { RetryOn } from "../config/retry-on.js";
import type { Clock } from "../core/clock.js";
import type { Cluster } from "../core/cluster.js";
import { type DeadHosts, isDialFault } from "../core/dead-hosts.js";
import type { Node } from "../core/node.js";
import { Outcome, type OutcomeCode } from "../core/policies/policy.js";
import { decideRepeat, type RepeatDecision, type RetryBudget } from "../core/retry.js";
import { FnlbError } from "../errors.js";
import type { Call } from "./call.js";
import { isDialError, type NodeClient, type WaitingAttempt } from "./node-client.js";

/** What the attempts of one dispatcher share. */
export interface AttemptContext {
  readonly clock: Clock;
  readonly cluster: Cluster;
  readonly deadHosts: DeadHosts;
  readonly budget: RetryBudget;
  readonly attemptsMax: number;
  readonly retryOn: RetryOn;
  /** Goes on with the search for a node that can be reached, or ends the call. */
  next(call: Call): void;
  /** Begins a new one. */
  search(call: Call): void;
  /** Goes on at a node that has been acquired. */
  moveTo(call: Call, node: Node): void;
  /** Something came from the node. */
  onByte(client: NodeClient): void;
  /** The node accepts, and that is all it does. */
  onSuspicion(client: NodeClient, reason: string): void;
}

/** Closes or resets before a byte on fresh connections, in a row, that make a node suspect. */
const EARLY_CLOSES_MAX = 3;

/** Faults of connections by undici's codes; a system error such as ECONNRESET is one too. */
const CLOSED = "UND_ERR_SOCKET";
const HEAD_TIMEOUT = "UND_ERR_HEADERS_TIMEOUT";
const NODE_FAULTS = new Set([
  CLOSED,
  HEAD_TIMEOUT,
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
]);

/** One try of a call at one node: tells the caller what comes, and decides what follows when nothing does. */
export class Attempt implements Dispatcher.DispatchHandler, WaitingAttempt {
  readonly #context: AttemptContext;
  readonly #call: Call;
  readonly #client: NodeClient;
  /** That of the acquisition: the call may acquire its next node before this one is released. */
  readonly #stamp: number;
  #controller: Dispatcher.DispatchController | undefined;
  #isFresh = false;
  /** The node was dead, and is asked because all are. */
  #isLastResort = false;
  /** A byte of a response is known of. */
  #hasSpoken = false;
  /** Of the final response, once its head is in. */
  #status = 0;
  #outcome: OutcomeCode = Outcome.NONE;
  #waitedMs = 0;
  /** Given up for another one. */
  #isLeft = false;
  #isReleased = false;
  sentMs = 0;

  constructor(context: AttemptContext, call: Call, client: NodeClient) {
    this.#context = context;
    this.#call = call;
    this.#client = client;
    this.#stamp = call.stamp;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const { budget, clock, deadHosts } = this.#context;
    const call = this.#call;
    this.#isFresh = this.#client.isConnecting;
    if (this.#isFresh) deadHosts.revive(this.#client.node);
    this.#isLastResort = !this.#client.node.alive;
    // Given up while it was dialled for: the node has nothing to say to it.
    if (call.isOver) {
      controller.abort(call.reason ?? new Error("the request is over"));
      return;
    }
    this.#controller = controller;
    if (call.repeatedFor !== undefined) {
      // Paid for only now: looking for a node in vain is no repetition.
      call.repeatedFor = undefined;
      budget.spend();
    }
    this.sentMs = clock.now();
    // How much of a stream has gone is not known, and so not who waits for whom.
    if (call.isBodyHeld) this.#client.addWaiting(this);
    call.beginAttempt(controller);
  }

  onRequestUpgrade(
    ...[, status, headers, socket]: Parameters<Required<Dispatcher.DispatchHandler>["onRequestUpgrade"]>
  ) {
    this.#answer(status);
    // The tunnel is the node's work until its socket closes.
    socket.once("close", () => this.#release());
    this.#call.upgrade(status, headers, socket);
  }

  onResponseStart(
    ...[, status, headers, message]: Parameters<Required<Dispatcher.DispatchHandler>["onResponseStart"]>
  ): void {
    if (status >= 200) {
      if (this.#repeatsFor(status)) return;
      this.#answer(status);
    } else this.#hear();
    this.#call.startResponse(status, headers, message ?? "");
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#context.onByte(this.#client);
    this.#call.passData(chunk);
  }

  onResponseEnd(...[, trailers]: Parameters<Required<Dispatcher.DispatchHandler>["onResponseEnd"]>): void {
    this.#release();
    this.#call.finish(trailers);
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#isLeft) return;
    this.#client.removeWaiting(this);
    if (this.#controller === undefined) this.#onUnreached(error);
    else if (this.#call.isOver || this.#call.aborted) {
      // Whoever gives up says nothing about the node, but for how long it has kept a whole request waiting.
      if (this.#call.aborted && this.#call.isBodyHeld) this.#note(Outcome.LEFT);
      this.#release();
      this.#call.fail(error);
    } else this.#onBroken(error);
  }

  /** The node has become suspect while this attempt waits for it. */
  leaveSuspect(): void {
    const call = this.#call;
    if (call.hasMoved || !this.#context.retryOn.silent || this.#decide().kind !== "repeat") return;
    const next = this.#acquireNext();
    if (next === undefined) return;
    call.hasMoved = true;
    call.repeatedFor = new FnlbError("ERR_NODE_TIMEOUT", "the node is silent, and no other could be reached");
    this.#moveTo(next, Outcome.FAILED);
  }

  #hear(): void {
    this.#hasSpoken = true;
    this.#context.onByte(this.#client);
  }

  /** The final head is in: from here on nothing is repeated. */
  #answer(status: number): void {
    const { cluster, deadHosts } = this.#context;
    const { node } = this.#client;
    this.#hear();
    this.#client.removeWaiting(this);
    // Not for every response: one may still be under way from a node that has stopped to listen.
    if (this.#isLastResort) deadHosts.revive(node);
    this.#status = status;
    this.#note(Outcome.ANSWERED);
    cluster.noteAnswered(node, this.#stamp, status);
  }

  /** Nothing of the response has been told yet. True: another node is asked instead. */
  #repeatsFor(status: number): boolean {
    if (!this.#context.retryOn.statuses.includes(status) || this.#decide().kind !== "repeat") return false;
    // Without another node this answer is the best there is.
    const next = this.#acquireNext();
    if (next === undefined) return false;
    this.#answer(status);
    const message = `the node has answered ${status}, and no other could be reached`;
    this.#call.repeatedFor = new FnlbError("ERR_NO_HEALTHY_NODE", message);
    this.#moveTo(next, Outcome.ANSWERED);
    return true;
  }

  #decide(): RepeatDecision {
    const { isIdempotent: idempotent, isBodyHeld, attempts } = this.#call;
    const reached = this.#controller !== undefined;
    const responseBytesSeen = this.#hasSpoken ? 1 : 0;
    // What was not sent has not been read either.
    const attempt = { reached, responseBytesSeen, idempotent, bodyHeld: !reached || isBodyHeld, attempts };
    return decideRepeat(attempt, this.#context.attemptsMax, this.#context.budget);
  }

  /** A node for one more attempt while this one still has its own; none that is silent itself. */
  #acquireNext(): Node | undefined {
    const { cluster } = this.#context;
    this.#call.tried.add(this.#client.node.index);
    const next = cluster.acquire(this.#call);
    if (next === undefined || !next.suspect) return next;
    cluster.release(next, this.#call.stamp);
    return undefined;
  }

  #moveTo(next: Node, outcome: OutcomeCode): void {
    this.#isLeft = true;
    this.#client.removeWaiting(this);
    this.#note(outcome);
    this.#release();
    this.#controller?.abort(new Error("another node is asked"));
    this.#context.moveTo(this.#call, next);
  }

  /** No connection came about, or undici or the body itself refused the request before there was one. */
  #onUnreached(error: Error): void {
    const { cluster, deadHosts } = this.#context;
    const { node } = this.#client;
    const code = codeOf(error);
    if (!isDialError(error) || !isDialFault(code)) {
      this.#release();
      this.#call.fail(error);
      return;
    }
    this.#call.tried.add(node.index);
    cluster.releaseUndialled(node, this.#stamp);
    deadHosts.mark(node, code);
    if (!this.#call.isOver) this.#context.next(this.#call);
  }

  /** The connection broke, or somebody's handler or body did. */
  #onBroken(error: Error): void {
    const { retryOn } = this.#context;
    const call = this.#call;
    const client = this.#client;
    const code = codeOf(error);
    const isClosed = code === CLOSED || isSystemError(error);
    const isFault = isNodeFault(error, code) && !isErrorOf(call.options.body, error);
    if (this.#status > 0) {
      if (isFault) this.#outcome = Outcome.FAILED;
      this.#release();
      call.fail(error);
      return;
    }
    // A stale idle connection says nothing about its node.
    if (isFault && (this.#isFresh || !isClosed)) this.#note(Outcome.FAILED);
    if (isClosed && this.#isFresh && !this.#hasSpoken && ++client.earlyCloses >= EARLY_CLOSES_MAX)
      this.#context.onSuspicion(client, "closes before answering");
    // If nobody else heard of the node in that time, it is not merely slow.
    if (code === HEAD_TIMEOUT && !client.wasHeardSince(this.sentMs))
      this.#context.onSuspicion(client, "response timeout");
    this.#release();
    // A node that took too long has been asked; what it garbled it has answered.
    if (!isClosed || !retryOn.closed || this.#decide().kind !== "repeat") {
      call.fail(error);
      return;
    }
    call.repeatedFor = error;
    // One fresh chance: the other connections of a node that has restarted are gone as well by now.
    if (this.#isFresh || call.hasMetStale) call.tried.add(client.node.index);
    else call.hasMetStale = true;
    this.#context.search(call);
  }

  /** The first word counts. */
  #note(outcome: OutcomeCode): void {
    if (this.#outcome !== Outcome.NONE) return;
    this.#outcome = outcome;
    this.#waitedMs = this.#context.clock.now() - this.sentMs;
  }

  /** Of what comes behind the end of a response, a handler that fails there, the node knows nothing. */
  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#context.cluster.release(this.#client.node, this.#stamp, this.#outcome, this.#waitedMs, this.#status);
  }
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "EIO";
}

/** From the operating system, and not from a body or a handler that happens to have a code. */
function isSystemError(error: Error): boolean {
  return "syscall" in error;
}

/** A file that cannot be read, or a client whose upload breaks off, is a body that fails like a connection. */
function isErrorOf(body: unknown, error: Error): boolean {
  return typeof body === "object" && body !== null && "errored" in body && body.errored === error;
}

/** Does what broke the attempt speak against the node? Bodies and handlers of the caller break it too. */
function isNodeFault(error: Error, code: string): boolean {
  return NODE_FAULTS.has(code) || error instanceof errors.HTTPParserError || isSystemError(error);
}
