// Hot path: the request of a client on its way to a node.
import type { Node } from "../core/node.js";
import type { ByteStream } from "../core/stream.js";
import type { ErrorCode } from "../errors.js";
import type { ForwardedLines } from "../http1/compose-request.js";
import { Field } from "../http1/fields.js";
import type { RequestHead } from "../http1/request-head.js";
import type { ExchangeRecord } from "./access-log.js";
import type { ClusterContext } from "./context.js";
import { HeldRequest } from "./held-request.js";
import type { NodeConnection } from "./node-connection.js";
import { Phase } from "./phase.js";
import { traceparentFor } from "./trace.js";

/** The exchange whose request is relayed. */
export interface SendingExchange {
  readonly context: ClusterContext;
  /** One of `Phase`. */
  readonly phase: number;
  readonly idempotent: boolean;
  /** Undefined while none stands. */
  readonly connection: NodeConnection | undefined;
  /** Bytes moved: the idle limit starts again. */
  onProgress(): void;
  /** The last byte has left while its node has not answered. */
  onRequestSent(): void;
  /** The body is malformed, or too long. */
  onBodyRefused(code: ErrorCode): void;
}

/** The client that the request comes from. */
export interface SendingClient {
  readonly forwarded: ForwardedLines;
  pauseReading(): void;
  resumeReading(): void;
  write(buffer: Buffer, start: number, end: number): boolean;
}

const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1");

/** Passes one request on, head first and then body, and keeps what may have to be sent again. */
export class RequestRelay {
  readonly #exchange: SendingExchange;
  readonly #client: SendingClient;
  readonly #held: HeldRequest;
  /** The client waits for a 100 before it sends its body. */
  awaitsContinue = false;
  /** The node takes no more for now. */
  isNodeBlocked = false;
  /** All of the body that was read is held. */
  isHeld = true;

  constructor(exchange: SendingExchange, client: SendingClient) {
    this.#exchange = exchange;
    this.#client = client;
    this.#held = new HeldRequest(exchange.context.config.headBytesMax);
  }

  /** The request has been read completely. */
  get isDone(): boolean {
    return this.#held.isDone;
  }

  /** Body bytes seen so far, framing not counted. */
  get bodyBytes(): number {
    return this.#held.bodyBytes;
  }

  /** The path as received, one character a byte. */
  path(): string {
    return this.#held.path();
  }

  begin(head: RequestHead): void {
    this.awaitsContinue = head.expectsContinue;
    this.isNodeBlocked = false;
    this.isHeld = true;
    this.#held.begin(head);
  }

  /** Makes of the head what nodes get; `end` is that of the bytes which came with it. */
  compose(
    head: RequestHead,
    buffer: Buffer,
    end: number,
    upgradeToken: string,
    stripBytes: number,
    record: ExchangeRecord | undefined,
  ): void {
    const { context } = this.#exchange;
    const { config, requestEdits } = context;
    const { forwarded } = this.#client;
    const isIdKept = !config.requestId || (forwarded.isTrusted && head.fields.has(Field.X_REQUEST_ID));
    const requestId = isIdKept ? "" : context.requestId();
    const bodyBytes = this.isDone ? 0 : end - head.end;
    const trace = config.traceparent === "pass" ? "" : traceparentFor(head, buffer, context, record);
    this.#held.compose(head, buffer, forwarded, upgradeToken, requestId, bodyBytes, stripBytes, requestEdits, trace);
  }

  /** Holds what came with the head: nothing is sent before a connection stands. Returns the offset behind it. */
  hold(buffer: Buffer, start: number, end: number): number {
    if (this.isDone || this.awaitsContinue) return start;
    const at = this.#held.hold(buffer, start, end);
    this.#isRefused();
    return at;
  }

  /** Reads no more of the body while no connection stands: what was read is held, and goes first. */
  pause(): void {
    if (!this.isDone) this.#client.pauseReading();
  }

  /** Sends what is held in one write. */
  sendTo(stream: ByteStream, node: Node): void {
    this.isNodeBlocked = !this.#held.sendTo(stream, node);
  }

  /** Bytes of the body. Returns the offset behind the last one that belongs to it. */
  onData(buffer: Buffer, start: number, end: number): number {
    const held = this.#held;
    const exchange = this.#exchange;
    let at = start;
    while (at < end && !held.isDone) {
      at = held.feed(buffer, at, end);
      if (this.#isRefused()) return at;
      this.#keep(buffer);
      const { connection } = exchange;
      if (connection !== undefined && !held.passTo(connection.stream, buffer)) this.isNodeBlocked = true;
      if (exchange.phase === Phase.IDLE) return at;
    }
    if (!held.isDone) {
      exchange.onProgress();
      if (this.isNodeBlocked) this.#client.pauseReading();
    } else if (exchange.phase === Phase.WAITING) exchange.onRequestSent();
    return at;
  }

  /** A request that may be repeated keeps its body up to a limit, above which that right is given up. */
  #keep(buffer: Buffer): void {
    if (!this.isHeld) return;
    const { context, idempotent, phase } = this.#exchange;
    if (!idempotent || phase === Phase.RELAYING) {
      this.isHeld = false;
    } else if (!this.#held.keep(buffer, context.config.replayBytesMax)) {
      this.isHeld = false;
      context.counters.replayBytesExceeded++;
    }
  }

  /** Broken framing or too many bytes: says so, and true. */
  #isRefused(): boolean {
    const { config, counters } = this.#exchange.context;
    if (this.#held.isBad) {
      this.#exchange.onBodyRefused("ERR_BAD_REQUEST");
      return true;
    }
    if (config.bodyBytesMax > 0 && this.bodyBytes > config.bodyBytesMax) {
      counters.bodiesTooLarge++;
      this.#exchange.onBodyRefused("ERR_BODY_TOO_LARGE");
      return true;
    }
    return false;
  }

  /** The node takes more again. */
  onNodeDrain(): void {
    this.isNodeBlocked = false;
    if (!this.isDone && !this.awaitsContinue) this.#readOn();
  }

  /** The node's 100 (Continue), or our patience with its silence: the body may come. */
  continue(): void {
    this.awaitsContinue = false;
    this.#client.write(CONTINUE, 0, CONTINUE.length);
    this.#readOn();
  }

  #readOn(): void {
    this.#exchange.onProgress();
    this.#client.resumeReading();
  }

  /** The request is over: its memory goes to the next one. */
  drop(): void {
    this.#held.drop();
  }
}
