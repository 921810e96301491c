// Hot path: one object per client connection, reused for its requests. Nothing is allocated for a plain request
// that finds an idle connection to its node.
import type { Exchange, Refusal } from "../core/exchange.js";
import type { Node } from "../core/node.js";
import { NodeSet } from "../core/node-set.js";
import { Outcome } from "../core/policies/policy.js";
import { decideRepeat, isIdempotent } from "../core/retry.js";
import { TimerEntry, type TimerOwner } from "../core/timer-wheel.js";
import type { ErrorCode, FnlbError } from "../errors.js";
import { allowedUpgrade } from "../http1/compose-request.js";
import { Framing } from "../http1/framing.js";
import type { HeaderEdits } from "../http1/header-rules.js";
import type { RequestHead } from "../http1/request-head.js";
import { blameOf, type ExchangeRecord } from "./access-log.js";
import { Attempt, countRetry, decideNext } from "./attempt.js";
import type { ClusterContext } from "./context.js";
import type { Destination } from "./destination.js";
import type { ExchangeClient } from "./exchange-client.js";
import type { Caller } from "./fallback-round-tripper.js";
import { pathOf, readField, readKey, readKeyHash } from "./key.js";
import type { NodeConnection, NodeConnectionUser } from "./node-connection.js";
import { Phase } from "./phase.js";
import { RequestRelay, type SendingExchange } from "./request-relay.js";
import { type RelayedExchange, ResponseRelay } from "./response-relay.js";
import type { WaitingLink } from "./waiting-list.js";

/** How long a node may be silent about `Expect: 100-continue` before it gets the body anyway. */
const CONTINUE_WAIT_MS = 1000;

/** One request and its response through the balancer, over as many attempts as it takes. */
export class HttpExchange
  implements Exchange, Caller, NodeConnectionUser, SendingExchange, RelayedExchange, WaitingLink, TimerOwner
{
  readonly #client: ExchangeClient;
  #context: ClusterContext;
  #destination: Destination;
  readonly #response: ResponseRelay;
  readonly #request: RequestRelay;
  readonly #timer = new TimerEntry(this);
  readonly #wholeTimer = new TimerEntry(this);
  readonly tried = new NodeSet();

  phase: number = Phase.IDLE;
  keyHash = 0;
  #keyText = "";
  refusal: Refusal = "none";
  stamp = 0;
  affinity: string | undefined;
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
  reached = false;
  attempts = 0;
  /** Why the last attempt failed, while a repetition of a request that has reached a node looks for another. */
  #repeatCode: ErrorCode | undefined;
  #hasMoved = false;
  connection: NodeConnection | undefined;
  readonly #attempt = new Attempt();
  #record: ExchangeRecord | undefined;

  /** `destination` is any one, until a request has its own. */
  constructor(client: ExchangeClient, destination: Destination) {
    this.#client = client;
    this.#context = destination.context;
    this.#destination = destination;
    this.#request = new RequestRelay(this, client);
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

  get bodyHeld(): boolean {
    return this.#request.isHeld;
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
    this.#destination = destination ?? client.anyDestination;
    this.#context = this.#destination.context;
    const { config, counters, retryBudget } = this.#context;
    counters.requests++;
    this.phase = Phase.CONNECTING;
    this.tried.clear();
    this.method = head.method;
    this.minor = head.minor;
    this.isPersistent = head.isPersistent;
    this.idempotent = isIdempotent(head.method);
    this.reached = false;
    this.attempts = 0;
    this.needsFreshConnection = false;
    this.#hasMoved = false;
    this.#repeatCode = undefined;
    this.#response.reset();
    this.#request.begin(head);
    this.#keyText = "";
    this.#record = client.accessLog?.begin(client, head, buffer, config.accessLogFields);
    if (config.exchangeTimeoutMs > 0) this.#context.wheel.schedule(this.#wholeTimer, config.exchangeTimeoutMs);

    if (destination === undefined) {
      counters.requestsWithoutRoute++;
      this.fail("ERR_NO_ROUTE");
      return headEnd;
    }
    const { route } = destination;
    if (this.#record !== undefined) this.#client.accessLog?.noteRoute(this.#record, route.config);
    const location = route.slashLocation(head, buffer);
    if (location !== undefined) {
      this.#redirect(location);
      return headEnd;
    }
    retryBudget.earn();
    this.#attempt.arrive(this.#context);
    if (config.bodyBytesMax > 0 && head.contentLength > config.bodyBytesMax) {
      counters.bodiesTooLarge++;
      this.fail("ERR_BODY_TOO_LARGE");
      return headEnd;
    }
    if (!this.#findKey(head, buffer)) {
      this.fail("ERR_NO_KEY");
      return headEnd;
    }
    const { affinity } = this.#context;
    if (affinity !== undefined) this.affinity = readField(head, buffer, affinity.field, affinity.separator);
    this.upgradeToken =
      head.wantsUpgrade && head.framing === Framing.NONE ? allowedUpgrade(head, buffer, config.upgradeTokens) : "";
    if (this.upgradeToken !== "" && !client.canOpenTunnel()) {
      counters.requestsRefusedAtTunnelLimit++;
      this.fail("ERR_AT_CAPACITY");
      return headEnd;
    }
    this.#request.compose(head, buffer, end, this.upgradeToken, route.stripBytes, this.#record);
    const consumed = this.#request.hold(buffer, headEnd, end);
    if (this.phase === Phase.IDLE) return consumed;
    this.#request.pause();
    this.#destination.roundTripper.begin(this);
    this.#attempt.settle();
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
    this.#keyText = key ?? pathOf(head, buffer);
    this.keyHash = readKeyHash(this.#keyText, config.hash);
    return true;
  }

  onBodyRefused(code: ErrorCode): void {
    if (this.phase === Phase.RELAYING) this.break("client", "request-body");
    else this.fail(code);
  }

  onUnreachable(error: FnlbError): void {
    // Nobody is left to repeat it: what the node that it reached did is the news, not what became of the others.
    this.fail(this.#repeatCode ?? error.code);
  }

  onPicked(node: Node): void {
    if (this.#record !== undefined) this.#client.accessLog?.notePick(this.#record, node.id);
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
      countRetry(counters, this.#repeatCode);
      this.#repeatCode = undefined;
      retryBudget.spend();
    }
    this.attempts++;
    this.waitingSinceMs = this.#context.wheel.nowMs;
    this.#attempt.begin(this.#context, node, this.stamp);
    counters.attempts++;
    this.#response.reset();
    if (this.#record !== undefined) this.#client.accessLog?.noteAttempt(this.#record, this.attempts);
    this.#request.sendTo(connection.stream, node);
    if (!connection.stream.isOpen) {
      // Nothing was written: a connection that had already closed is like a dial that failed.
      this.reached = false;
      this.attempts--;
      this.#retreat("ERR_NODE_CLOSED");
      return;
    }
    connection.stream.resume();
    if (this.#request.isDone) this.#awaitResponse();
    else if (this.awaitsContinue) this.#schedule(CONTINUE_WAIT_MS);
    else {
      this.onProgress();
      if (!this.#request.isNodeBlocked) this.#client.resumeReading();
    }
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
    return this.#request.onData(buffer, start, end);
  }

  onRequestSent(): void {
    this.#attempt.noteSent(this.#context);
    this.#awaitResponse();
  }

  onNodeDrain(): void {
    this.#request.onNodeDrain();
  }

  onNodeData(buffer: Buffer, start: number, end: number): void {
    this.connection?.pool.noteByte();
    if (this.phase === Phase.WAITING) this.#response.onHeadBytes(buffer, start, end);
    else this.#response.onBodyBytes(buffer, start, end);
  }

  onClientDrain(): void {
    this.#response.onClientDrain();
  }

  continueBody(): void {
    this.#request.continue();
  }

  get awaitsContinue(): boolean {
    return this.#request.awaitsContinue;
  }

  affinityLine(): string {
    const { affinity, cluster } = this.#context;
    if (affinity === undefined || this.connection === undefined) return "";
    return affinity.line(this.affinity, cluster.nodes, this.connection.pool.node);
  }

  responseEdits(): HeaderEdits | undefined {
    return this.#context.responseEdits;
  }

  loadHeader(): string {
    return this.#context.config.loadHeader;
  }

  onLoadWait(waitMs: number): void {
    if (this.connection !== undefined) this.#context.cluster.noteLoadWait(this.connection.pool.node, this, waitMs);
  }

  /** The final head is in: from here on nothing is repeated. */
  onResponseBegins(): void {
    this.#stopWaiting();
    if (this.connection !== undefined) {
      this.#attempt.notePassedOn(this.#context, this.connection.pool.node, this.#response.status);
    }
    this.phase = Phase.RELAYING;
    if (this.#record !== undefined) this.#client.accessLog?.noteFirstByte(this.#record, this.#response.status);
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
      this.break("node", "response-body");
      return;
    }
    if (this.phase !== Phase.WAITING || this.connection === undefined) return;
    // First: a node that becomes suspect here releases those who wait for it, and this exchange goes anyway.
    this.#stopWaiting();
    if (this.connection.isFresh && this.#response.bytesSeen === 0) this.connection.pool.noteEarlyClose();
    this.#retreat(this.#response.bytesSeen > 0 ? "ERR_BAD_RESPONSE" : "ERR_NODE_CLOSED");
  }

  /** The attempt failed before its response: another node, the same one again, or the end. */
  #retreat(code: ErrorCode): void {
    const connection = this.connection;
    if (connection === undefined) return;
    const node = connection.pool.node;
    const wasFresh = connection.isFresh;
    if (wasFresh) this.#attempt.note(this.#context, Outcome.FAILED);
    // A node that has seen only the head of a request that waits for its 100 has been asked, not told.
    if (this.awaitsContinue && this.#response.bytesSeen === 0) this.reached = false;
    const next = decideNext(this.#context, this);
    if (next === "fail" || (next === "repeat" && !this.#context.config.retryOn.closed)) {
      this.fail(code);
      return;
    }
    this.#repeatCode = next === "repeat" ? code : undefined;
    this.#leaveConnection();
    // A stale idle connection says nothing about its node: it gets one fresh chance.
    if (wasFresh) this.tried.add(node.index);
    this.needsFreshConnection = true;
    this.phase = Phase.CONNECTING;
    this.#schedule(0);
    this.#request.pause();
    this.#destination.roundTripper.beginAgain(this);
  }

  /** The node has become suspect while this exchange waits for it. */
  leaveSuspect(): void {
    const { config, retryBudget } = this.#context;
    if (this.phase !== Phase.WAITING || this.#hasMoved || !config.retryOn.silent) return;
    if (decideRepeat(this, config.attemptsMax, retryBudget).kind !== "repeat") return;
    const next = this.#acquireNext();
    if (next === undefined) return;
    this.#hasMoved = true;
    this.#attempt.note(this.#context, Outcome.FAILED);
    this.#moveTo(next, "ERR_NODE_TIMEOUT");
  }

  /** The head of a response is in, and nothing of it has been sent. True: another node is asked instead. */
  repeatsFor(status: number): boolean {
    const { config } = this.#context;
    if (!config.retryOn.statuses.includes(status) || this.connection === undefined || !this.#request.isDone)
      return false;
    const { reached, idempotent, bodyHeld, attempts } = this;
    const attempt = { reached, idempotent, bodyHeld, attempts, responseBytesSeen: 0 };
    // Without another node this answer is the best there is.
    const next = decideNext(this.#context, attempt) === "repeat" ? this.#acquireNext() : undefined;
    if (next === undefined) return false;
    this.#stopWaiting();
    this.#attempt.noteAnswered(this.#context, this.connection.pool.node, status);
    this.#moveTo(next, "ERR_NO_HEALTHY_NODE");
    return true;
  }

  /** A node for one more attempt, while the last one still has its connection. */
  #acquireNext(): Node | undefined {
    if (this.connection === undefined) return undefined;
    this.tried.add(this.connection.pool.node.index);
    return this.#context.cluster.acquireNext(this);
  }

  /** `code` is for the client if neither that node nor another one can be dialled. */
  #moveTo(next: Node, code: ErrorCode): void {
    const { config, wheel } = this.#context;
    this.#repeatCode = code;
    this.#leaveConnection();
    this.phase = Phase.CONNECTING;
    this.#schedule(0);
    this.dialDeadlineMs = wheel.nowMs + config.dialDeadlineMs;
    this.#destination.roundTripper.connectTo(this, next);
  }

  /** Gives the current connection up, unfinished. */
  #leaveConnection(): void {
    const connection = this.connection;
    if (connection === undefined) return;
    this.#stopWaiting();
    this.connection = undefined;
    connection.user = undefined;
    connection.stream.destroy();
    this.#attempt.release(this.#context, connection.pool.node, this.#response.status);
  }

  onTimer(entry: TimerEntry): void {
    const { counters } = this.#context;
    if (entry === this.#wholeTimer) {
      counters.exchangeTimeouts++;
      if (this.phase === Phase.RELAYING) this.break("balancer", "response-body");
      else {
        // Not if most of it was spent in the queue, in an upload or at another node.
        if (this.#request.isDone) this.#attempt.noteTimeUp(this.#context, this.#context.config.exchangeTimeoutMs / 2);
        this.fail("ERR_NODE_TIMEOUT");
      }
      return;
    }
    if (this.phase === Phase.RELAYING) {
      counters.bodyTimeouts++;
      // No fault of the node: a stream may have nothing to say for a while.
      this.#breakOff(this.#response.isClientBlocked || !this.#request.isDone ? "client" : "node", "response-body");
    } else if (this.phase === Phase.WAITING) this.#onWaitTimeout();
  }

  #onWaitTimeout(): void {
    const { counters } = this.#context;
    if (this.awaitsContinue) {
      this.continueBody();
      return;
    }
    if (!this.#request.isDone && !this.#request.isNodeBlocked) {
      counters.bodyTimeouts++;
      this.fail("ERR_REQUEST_TIMEOUT");
      return;
    }
    counters.responseTimeouts++;
    // First, as above.
    this.#stopWaiting();
    this.connection?.pool.noteTimeout(this);
    this.#attempt.note(this.#context, Outcome.FAILED);
    this.fail("ERR_NODE_TIMEOUT");
  }

  /** The client is gone or was cut: nothing is answered, and the node is not to blame. */
  abort(endedBy: "client" | "balancer"): void {
    if (this.phase === Phase.IDLE) return;
    if (endedBy === "client") {
      this.#context.counters.clientAborts++;
      if (this.#request.isDone) this.#attempt.note(this.#context, Outcome.LEFT);
    } else this.#context.counters.exchangesCut++;
    this.#close(endedBy, this.#phaseName());
  }

  #phaseName(): string {
    if (this.phase === Phase.RELAYING) return "response-body";
    if (this.phase === Phase.CONNECTING) return "connect";
    return this.#request.isDone ? "wait" : "request-body";
  }

  /** Ends with a response of our own. */
  fail(code: ErrorCode): void {
    const phase = this.#phaseName();
    const record = this.#record;
    if (record !== undefined) this.#client.accessLog?.noteProblem(record, code);
    // What spoke against the node before, and what a stale connection did not say, stands.
    if (code === "ERR_BAD_RESPONSE") this.#attempt.note(this.#context, Outcome.FAILED);
    this.#close(blameOf(code), phase);
    this.#client.onExchangeFailed(code);
  }

  #redirect(location: string): void {
    if (this.#record !== undefined) this.#record.status = 308;
    this.#close("-", "redirect");
    this.#client.onExchangeRedirected(location);
  }

  /** The response has begun and cannot be completed. */
  break(endedBy: "client" | "node" | "balancer", phase: string): void {
    if (endedBy === "node") this.#attempt.noteBroken();
    this.#breakOff(endedBy, phase);
  }

  #breakOff(endedBy: string, phase: string): void {
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
      this.#attempt.release(this.#context, connection.pool.node, this.#response.status);
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
    this.#attempt.noteUpgraded(this.#context, connection.pool.node, this.#response.status);
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
      this.#client.accessLog?.end(this.#record, endedBy, phase, this.#request.bodyBytes, this.#response.bodyBytes);
      this.#record = undefined;
    }
    this.#request.drop();
  }
}
