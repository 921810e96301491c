// Hot path: one object per client connection, reused for its requests. Nothing is allocated for a plain request
// that finds an idle connection to its node.
import type { Exchange, Refusal } from "../core/exchange.js";
import type { Node } from "../core/node.js";
import { NodeSet } from "../core/node-set.js";
import { Outcome, type OutcomeCode } from "../core/policies/policy.js";
import { decideRepeat, isIdempotent } from "../core/retry.js";
import { TimerEntry, type TimerOwner } from "../core/timer-wheel.js";
import type { ErrorCode, FnlbError } from "../errors.js";
import { allowedUpgrade, type ForwardedLines } from "../http1/compose-request.js";
import { Field } from "../http1/fields.js";
import { Framing } from "../http1/framing.js";
import type { RequestHead } from "../http1/request-head.js";
import type { ExchangeRecord } from "./access-log.js";
import type { ClusterContext } from "./context.js";
import type { Destination } from "./destination.js";
import type { Caller, FallbackRoundTripper } from "./fallback-round-tripper.js";
import { HeldRequest } from "./held-request.js";
import { readCookies, readKey, readKeyHash } from "./key.js";
import type { NodeConnection, NodeConnectionUser } from "./node-connection.js";

import { type RelayClient, type RelayedExchange, ResponseRelay } from "./response-relay.js";
import type { WaitingLink } from "./waiting-list.js";

/** What an exchange needs of the client connection it belongs to. */
export interface ExchangeClient extends RelayClient {
  readonly forwarded: ForwardedLines;
  readonly clientAddress: string;
  /** Where the request goes; undefined where no route matches it. */
  direct(head: RequestHead, buffer: Buffer): Destination | undefined;
  pauseReading(): void;
  resumeReading(): void;
  /** The exchange is over and the response complete. */
  onExchangeDone(closes: boolean): void;
  /** Answer with a problem; closes where the rest of the request makes the connection useless. */
  onExchangeFailed(code: ErrorCode): void;
  /** The response cannot be completed: the client must see that it was cut. */
  onExchangeBroken(): void;
  /** The node switched protocols: from now on bytes pass in both directions. */
  onUpgraded(connection: NodeConnection, node: Node, buffer: Buffer, start: number, end: number): void;
}

/** Where an exchange stands. */
export const Phase = { IDLE: 0, CONNECTING: 1, WAITING: 2, RELAYING: 3 } as const;

/** How long a node may be silent about `Expect: 100-continue` before it gets the body anyway. */
const CONTINUE_WAIT_MS = 1000;

const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
const Continue = { NONE: 0, AWAITED: 1 } as const;

/** One request and its response through the balancer, over as many attempts as it takes. */
export class HttpExchange implements Exchange, Caller, NodeConnectionUser, RelayedExchange, WaitingLink, TimerOwner {
  readonly #client: ExchangeClient;
  #context: ClusterContext;
  #roundTripper: FallbackRoundTripper;
  readonly #response: ResponseRelay;
  readonly #request: HeldRequest;
  readonly #timer = new TimerEntry(this);
  readonly #wholeTimer = new TimerEntry(this);
  readonly tried = new NodeSet();

  phase: number = Phase.IDLE;
  keyHash = 0;
  #keyText = "";
  refusal: Refusal = "none";
  cookieHeader: string | undefined;
  dialDeadlineMs = 0;
  needsFreshConnection = false;
  cancelSearch: (() => void) | undefined;
  waitingSinceMs = 0;
  previousWaiting: WaitingLink | undefined;
  nextWaiting: WaitingLink | undefined;
  #isWaiting = false;

  method = "";
  minor = 1;
  upgradeToken = "";
  isPersistent = true;
  idempotent = false;
  bodyHeld = true;
  reached = false;
  attempts = 0;
  /** Why the last attempt failed, while a repetition of a request that has reached a node looks for another. */
  #repeatCode: ErrorCode | undefined;
  #continue: number = Continue.NONE;
  #hasMoved = false;
  #isNodeBlocked = false;
  connection: NodeConnection | undefined;
  /** What the attempt says of its node, once it is known; for policies that go by latency. */
  #outcome: OutcomeCode = Outcome.NONE;
  #sentMs = 0;
  #waitedMs = 0;
  #record: ExchangeRecord | undefined;

  /** `destination` is any one, until a request has its own. */
  constructor(client: ExchangeClient, { context, roundTripper }: Destination) {
    this.#client = client;
    this.#context = context;
    this.#roundTripper = roundTripper;
    this.#request = new HeldRequest(context.config.headBytesMax);
    this.#response = new ResponseRelay(this, client);
  }

  /** That of the cluster which the last request went to. */
  get context(): ClusterContext {
    return this.#context;
  }

  get responseBytesSeen(): number {
    return this.#response.bytesSeen;
  }

  /** The request has been read completely. */
  get isRequestComplete(): boolean {
    return this.#request.isDone;
  }

  get isHead(): boolean {
    return this.method === "HEAD";
  }

  get record(): ExchangeRecord | undefined {
    return this.#record;
  }

  key(): string {
    return this.#keyText !== "" ? this.#keyText : this.#request.path();
  }

  /**
   * Starts with a parsed head in `buffer` and the bytes behind it up to `end`. Returns the offset behind the last
   * byte that belongs to this request, so far.
   */
  begin(head: RequestHead, buffer: Buffer, end: number): number {
    const client = this.#client;
    const headEnd = head.end;
    const destination = client.direct(head, buffer);
    if (destination !== undefined) {
      this.#context = destination.context;
      this.#roundTripper = destination.roundTripper;
    }
    const { config, counters, retryBudget } = this.#context;
    counters.requests++;
    this.phase = Phase.CONNECTING;
    this.tried.clear();
    this.method = head.method;
    this.minor = head.minor;
    this.isPersistent = head.isPersistent;
    this.idempotent = isIdempotent(head.method);
    this.bodyHeld = true;
    this.reached = false;
    this.attempts = 0;
    this.needsFreshConnection = false;
    this.#hasMoved = false;
    this.#repeatCode = undefined;
    this.#isNodeBlocked = false;
    this.#continue = head.expectsContinue ? Continue.AWAITED : Continue.NONE;
    this.#response.reset();
    this.#request.begin(head);
    this.#keyText = "";
    this.#record = this.#context.accessLog?.begin(client.clientAddress, head, buffer);
    if (config.exchangeTimeoutMs > 0) this.#context.wheel.schedule(this.#wholeTimer, config.exchangeTimeoutMs);

    if (destination === undefined) {
      counters.requestsWithoutRoute++;
      this.fail("ERR_NO_ROUTE");
      return headEnd;
    }
    retryBudget.earn();
    if (config.bodyBytesMax > 0 && head.contentLength > config.bodyBytesMax) {
      counters.bodiesTooLarge++;
      this.fail("ERR_BODY_TOO_LARGE");
      return headEnd;
    }
    if (!this.#findKey(head, buffer)) {
      this.fail("ERR_NO_KEY");
      return headEnd;
    }
    if (this.#context.sticky !== undefined) this.cookieHeader = readCookies(head, buffer);
    this.upgradeToken =
      head.wantsUpgrade && head.framing === Framing.NONE ? allowedUpgrade(head, buffer, config.upgradeTokens) : "";
    if (this.upgradeToken !== "" && !client.canOpenTunnel()) {
      counters.requestsRefusedAtTunnelLimit++;
      this.fail("ERR_AT_CAPACITY");
      return headEnd;
    }
    const { forwarded } = client;
    const isIdKept = !config.requestId || (forwarded.isTrusted && head.fields.count > 0 && hasRequestId(head));
    const requestId = isIdKept ? "" : this.#context.requestId();
    this.#request.compose(
      head,
      buffer,
      forwarded,
      this.upgradeToken,
      requestId,
      this.#request.isDone ? 0 : end - headEnd,
    );

    let consumed = headEnd;
    if (!this.#request.isDone && this.#continue === Continue.NONE) {
      // Nothing is sent before a connection stands.
      consumed = this.#request.hold(buffer, consumed, end);
      if (this.#isBodyRefused()) return consumed;
    }
    if (!this.#request.isDone) client.pauseReading();
    this.#roundTripper.begin(this);
    return consumed;
  }

  #findKey(head: RequestHead, buffer: Buffer): boolean {
    const { config } = this.#context;
    if (config.key.length === 1 && config.key[0].kind === "path" && config.hash === "fast") {
      this.keyHash = head.pathHash;
      return true;
    }
    const key = readKey(config.key, head, buffer, this.#client.clientAddress);
    if (key === undefined && config.keyRequired) return false;
    this.#keyText = key ?? buffer.toString("latin1", head.targetStart, head.pathEnd);
    this.keyHash = readKeyHash(this.#keyText, config.hash);
    return true;
  }

  /** Broken framing or too many bytes: answers and says true. */
  #isBodyRefused(): boolean {
    const { config, counters } = this.#context;
    if (this.#request.isBad) {
      this.#refuseBody("ERR_BAD_REQUEST");
      return true;
    }
    if (config.bodyBytesMax > 0 && this.#request.bodyBytes > config.bodyBytesMax) {
      counters.bodiesTooLarge++;
      this.#refuseBody("ERR_BODY_TOO_LARGE");
      return true;
    }
    return false;
  }

  #refuseBody(code: ErrorCode): void {
    if (this.phase === Phase.RELAYING) this.break("client", "request-body");
    else this.fail(code);
  }

  onUnreachable(error: FnlbError): void {
    // Nobody is left to repeat it: what the node that it reached did is the news, not that the others are gone.
    this.fail(error.code === "ERR_NO_FALLBACK_NODE_FOUND" ? (this.#repeatCode ?? error.code) : error.code);
  }

  onPicked(node: Node): void {
    if (this.#record !== undefined) this.#context.accessLog?.notePick(this.#record, node.id);
  }

  /** A connection stands: one write carries the head and what is held of the body. */
  onConnection(connection: NodeConnection): void {
    const { counters, retryBudget } = this.#context;
    const node = connection.pool.node;
    this.cancelSearch = undefined;
    this.connection = connection;
    connection.user = this;
    this.phase = Phase.WAITING;
    this.reached = true;
    if (this.#repeatCode !== undefined) {
      // Paid for only now: looking for a node in vain is no repetition.
      this.#repeatCode = undefined;
      retryBudget.spend();
      counters.retries++;
    }
    this.attempts++;
    this.waitingSinceMs = this.#context.wheel.nowMs;
    this.#noteSent();
    counters.attempts++;
    this.#response.reset();
    if (this.#record !== undefined) this.#context.accessLog?.noteAttempt(this.#record, this.attempts);
    const isFlowing = this.#request.sendTo(connection.stream, node);
    if (!connection.stream.isOpen) {
      // Nothing was written: a connection that had already closed is like a dial that failed.
      this.reached = false;
      this.attempts--;
      this.#retreat("ERR_NODE_CLOSED");
      return;
    }
    connection.stream.resume();
    this.#isNodeBlocked = !isFlowing;
    if (this.#request.isDone) this.#awaitResponse();
    else if (this.#continue === Continue.AWAITED) this.#schedule(CONTINUE_WAIT_MS);
    else {
      this.#schedule(this.#context.config.bodyIdleTimeoutMs);
      if (isFlowing) this.#client.resumeReading();
    }
  }

  /** From now on the node is waited for. */
  #noteSent(): void {
    this.#outcome = Outcome.NONE;
    if (this.#context.cluster.observesLatency) this.#sentMs = this.#context.clock.now();
  }

  #noteOutcome(outcome: OutcomeCode): void {
    if (!this.#context.cluster.observesLatency || this.#outcome !== Outcome.NONE) return;
    this.#outcome = outcome;
    this.#waitedMs = this.#context.clock.now() - this.#sentMs;
  }

  /** The whole request is on its way. */
  #awaitResponse(): void {
    this.#schedule(this.#context.config.responseTimeoutMs);
    if (this.phase === Phase.WAITING && this.connection !== undefined && !this.#isWaiting) {
      this.#isWaiting = true;
      this.connection.pool.addWaiting(this);
    }
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.connection?.pool.removeWaiting(this);
  }

  #schedule(delayMs: number): void {
    if (delayMs > 0) this.#context.wheel.schedule(this.#timer, delayMs);
    else this.#context.wheel.cancel(this.#timer);
  }

  /** Bytes from the client behind the head. Returns the offset behind the last one that belongs to this request. */
  onRequestData(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.#request.isDone) {
      at = this.#request.feed(buffer, at, end);
      if (this.#isBodyRefused()) return at;
      this.#keepForReplay(buffer);
      if (this.connection !== undefined && !this.#request.passTo(this.connection.stream, buffer))
        this.#isNodeBlocked = true;
      if (this.phase === Phase.IDLE) return at;
    }
    if (this.#request.isDone) {
      if (this.phase === Phase.WAITING) {
        this.#noteSent();
        this.#awaitResponse();
      }
    } else {
      this.#schedule(this.#context.config.bodyIdleTimeoutMs);
      if (this.#isNodeBlocked) this.#client.pauseReading();
    }
    return at;
  }

  /** A request that may be repeated keeps its body up to a limit, above which that right is given up. */
  #keepForReplay(buffer: Buffer): void {
    if (!this.bodyHeld) return;
    const { config, counters } = this.#context;
    if (!this.idempotent || this.phase === Phase.RELAYING) {
      this.bodyHeld = false;
    } else if (!this.#request.keep(buffer, config.replayBytesMax)) {
      this.bodyHeld = false;
      counters.replayBytesExceeded++;
    }
  }

  onNodeDrain(): void {
    this.#isNodeBlocked = false;
    if (!this.#request.isDone && this.#continue === Continue.NONE) {
      this.#schedule(this.#context.config.bodyIdleTimeoutMs);
      this.#client.resumeReading();
    }
  }

  onNodeData(buffer: Buffer, start: number, end: number): void {
    this.connection?.pool.noteByte();
    if (this.phase === Phase.WAITING) this.#response.onHeadBytes(buffer, start, end);
    else this.#response.onBodyBytes(buffer, start, end);
  }

  onClientDrain(): void {
    this.#response.onClientDrain();
  }

  /** The node's 100 (Continue), or our patience with its silence: the body may come. */
  continueBody(): void {
    this.#continue = Continue.NONE;
    this.#client.write(CONTINUE, 0, CONTINUE.length);
    this.#schedule(this.#context.config.bodyIdleTimeoutMs);
    this.#client.resumeReading();
  }

  get awaitsContinue(): boolean {
    return this.#continue === Continue.AWAITED;
  }

  newCookie(): string {
    const { sticky, cluster } = this.#context;
    if (sticky === undefined || this.connection === undefined) return "";
    return (
      sticky.setCookie({ cookieHeader: this.cookieHeader, members: cluster.nodes }, this.connection.pool.node) ?? ""
    );
  }

  responseEdits(): undefined {}

  loadHeader(): string {
    return "";
  }

  onLoadWait(): void {}

  /** The final head is in: from here on nothing is repeated. */
  onResponseBegins(): void {
    this.#stopWaiting();
    this.#noteOutcome(Outcome.ANSWERED);
    this.phase = Phase.RELAYING;
    if (this.#record !== undefined) this.#context.accessLog?.noteFirstByte(this.#record, this.#response.status);
    this.onProgress();
  }

  /** Bytes moved: the idle limit starts again. */
  onProgress(): void {
    this.#schedule(this.#context.config.bodyIdleTimeoutMs);
  }

  /** The node's connection ended or broke. */
  onNodeEnd(): void {
    this.#nodeGone(undefined);
  }

  onNodeClose(code: string | undefined): void {
    this.#nodeGone(code);
  }

  #nodeGone(code: string | undefined): void {
    if (this.phase === Phase.RELAYING) {
      if (code === undefined && this.#response.endByClose()) return;
      this.#context.counters.nodeAborts++;
      this.#outcome = Outcome.FAILED;
      this.break("node", "response-body");
      return;
    }
    if (this.phase !== Phase.WAITING || this.connection === undefined) return;
    if (this.connection.isFresh && this.#response.bytesSeen === 0) this.connection.pool.noteEarlyClose();
    this.#retreat(this.#response.bytesSeen > 0 ? "ERR_BAD_RESPONSE" : "ERR_NODE_CLOSED");
  }

  /** The attempt failed before its response: another node, the same one again, or the end. */
  #retreat(code: ErrorCode): void {
    const { config, counters, retryBudget } = this.#context;
    const connection = this.connection;
    if (connection === undefined) return;
    const node = connection.pool.node;
    const wasFresh = connection.isFresh;
    // A stale idle connection says nothing about its node.
    if (wasFresh) this.#noteOutcome(Outcome.FAILED);
    // A node that has seen only the head of a request that waits for its 100 has been asked, not told.
    if (this.awaitsContinue && this.#response.bytesSeen === 0) this.reached = false;
    const decision = decideRepeat(this, config.attemptsMax, retryBudget);
    if (decision.kind === "fail") {
      if (decision.reason === "budget-spent") counters.retriesRefusedByBudget++;
      this.fail(code);
      return;
    }
    this.#repeatCode = decision.kind === "repeat" ? code : undefined;
    this.#leaveConnection();
    // A stale idle connection says nothing about its node: it gets one fresh chance.
    if (wasFresh) this.tried.add(node.index);
    this.needsFreshConnection = true;
    this.phase = Phase.CONNECTING;
    this.#schedule(0);
    // Nothing more is read before a connection stands: what has been read is held and goes first.
    if (!this.#request.isDone) this.#client.pauseReading();
    this.#roundTripper.begin(this);
  }

  /** The node has become suspect while this exchange waits for it. */
  leaveSuspect(): void {
    const { config, cluster, counters, retryBudget } = this.#context;
    const connection = this.connection;
    if (this.phase !== Phase.WAITING || connection === undefined || this.#hasMoved) return;
    if (decideRepeat(this, config.attemptsMax, retryBudget).kind !== "repeat") return;
    this.tried.add(connection.pool.node.index);
    const next = cluster.acquire(this);
    if (next === undefined) return;
    if (next.suspect) {
      cluster.release(next);
      return;
    }
    retryBudget.spend();
    counters.retries++;
    counters.exchangesMovedOffSuspects++;
    this.#hasMoved = true;
    this.#noteOutcome(Outcome.FAILED);
    this.#leaveConnection();
    this.phase = Phase.CONNECTING;
    this.#schedule(0);
    this.dialDeadlineMs = this.#context.wheel.nowMs + config.dialDeadlineMs;
    this.#roundTripper.connectTo(this, next);
  }

  /** Gives the current connection up, unfinished. */
  #leaveConnection(): void {
    const connection = this.connection;
    if (connection === undefined) return;
    this.#stopWaiting();
    this.connection = undefined;
    connection.user = undefined;
    connection.stream.destroy();
    this.#context.cluster.release(connection.pool.node, this.#outcome, this.#waitedMs, this.#response.status);
  }

  onTimer(entry: TimerEntry): void {
    const { counters } = this.#context;
    if (entry === this.#wholeTimer) {
      counters.exchangeTimeouts++;
      if (this.phase === Phase.RELAYING) this.break("balancer", "response-body");
      else this.fail("ERR_NODE_TIMEOUT");
      return;
    }
    if (this.phase === Phase.RELAYING) {
      counters.bodyTimeouts++;
      this.break(this.#response.isClientBlocked || !this.#request.isDone ? "client" : "node", "response-body");
    } else if (this.phase === Phase.WAITING) this.#onWaitTimeout();
  }

  #onWaitTimeout(): void {
    const { counters } = this.#context;
    if (this.awaitsContinue) {
      this.continueBody();
      return;
    }
    if (!this.#request.isDone && !this.#isNodeBlocked) {
      counters.bodyTimeouts++;
      this.fail("ERR_REQUEST_TIMEOUT");
      return;
    }
    counters.responseTimeouts++;
    // First: a node that becomes suspect here releases those who wait for it, and this exchange is over.
    this.#stopWaiting();
    this.connection?.pool.noteTimeout(this);
    this.fail("ERR_NODE_TIMEOUT");
  }

  /** The client is gone or was cut: nothing is answered, and the node is not to blame. */
  abort(endedBy: "client" | "balancer"): void {
    if (this.phase === Phase.IDLE) return;
    if (endedBy === "client") {
      this.#context.counters.clientAborts++;
      if (this.#request.isDone) this.#noteOutcome(Outcome.LEFT);
    } else this.#context.counters.exchangesCut++;
    const phase =
      this.phase === Phase.CONNECTING
        ? "connect"
        : this.phase === Phase.WAITING
          ? this.#request.isDone
            ? "wait"
            : "request-body"
          : "response-body";
    this.#close(endedBy, phase);
  }

  /** Ends with a response of our own. */
  fail(code: ErrorCode): void {
    const phase = this.phase === Phase.CONNECTING ? "connect" : this.#request.isDone ? "wait" : "request-body";
    const endedBy = FAULTS_OF_NODES.has(code) ? "node" : FAULTS_OF_CLIENTS.has(code) ? "client" : "balancer";
    const record = this.#record;
    if (record !== undefined) this.#context.accessLog?.noteProblem(record, code);
    // What spoke against the node before, and what a stale connection did not say, stands.
    if (code === "ERR_NODE_TIMEOUT" || code === "ERR_BAD_RESPONSE") this.#noteOutcome(Outcome.FAILED);
    this.#close(endedBy, phase);
    this.#client.onExchangeFailed(code);
  }

  /** The response has begun and cannot be completed. */
  break(endedBy: "client" | "node" | "balancer", phase: string): void {
    this.#close(endedBy, phase);
    this.#client.onExchangeBroken();
  }

  /** The response is complete. `leftover`: the node sent more than its response, or its connection is spent. */
  finish(isReusable: boolean, keepAliveMs: number, closesClient: boolean): void {
    const connection = this.connection;
    const isClean = isReusable && this.#request.isDone;
    if (connection !== undefined) {
      this.#stopWaiting();
      this.connection = undefined;
      connection.user = undefined;
      if (isClean) connection.pool.giveBack(connection, keepAliveMs);
      else connection.stream.destroy();
      this.#context.cluster.release(connection.pool.node, this.#outcome, this.#waitedMs, this.#response.status);
    }
    const closes = closesClient || !this.#request.isDone;
    this.#close("-", "done");
    this.#client.onExchangeDone(closes);
  }

  /** The node switched protocols: its connection leaves with the tunnel. */
  upgrade(buffer: Buffer, start: number, end: number): void {
    const connection = this.connection;
    if (connection === undefined) return;
    this.#stopWaiting();
    this.connection = undefined;
    connection.user = undefined;
    this.#close("-", "upgraded");
    this.#client.onUpgraded(connection, connection.pool.node, buffer, start, end);
  }

  #close(endedBy: string, phase: string): void {
    this.cancelSearch?.();
    this.cancelSearch = undefined;
    this.#leaveConnection();
    this.#context.wheel.cancel(this.#wholeTimer);
    this.#schedule(0);
    this.phase = Phase.IDLE;
    if (this.#record !== undefined) {
      this.#context.accessLog?.end(this.#record, endedBy, phase, this.#request.bodyBytes, this.#response.bodyBytes);
      this.#record = undefined;
    }
    this.#request.drop();
  }
}

const FAULTS_OF_NODES: ReadonlySet<ErrorCode> = new Set([
  "ERR_BAD_RESPONSE",
  "ERR_NODE_CLOSED",
  "ERR_NODE_TIMEOUT",
  "ERR_NO_FALLBACK_NODE_FOUND",
]);
const FAULTS_OF_CLIENTS: ReadonlySet<ErrorCode> = new Set([
  "ERR_BAD_REQUEST",
  "ERR_BODY_TOO_LARGE",
  "ERR_REQUEST_TIMEOUT",
  "ERR_NO_KEY",
]);

function hasRequestId(head: RequestHead): boolean {
  for (let index = 0; index < head.fields.count; index++) if (head.fields.id[index] === Field.X_REQUEST_ID) return true;
  return false;
}
