// Hot path: heads of a client, one exchange at a time, answers in order.
import type { Node } from "../core/node.js";
import type { ByteStream, StreamHandler, TlsSession } from "../core/stream.js";
import { TimerEntry, type TimerOwner } from "../core/timer-wheel.js";
import type { ErrorCode } from "../errors.js";
import { countVia, type ForwardedLines } from "../http1/compose-request.js";
import { Framing } from "../http1/framing.js";
import { optionsResponse, problemResponse } from "../http1/problem.js";
import { parseProxyHeader } from "../http1/proxy-header.js";
import { redirectResponse } from "../http1/redirect.js";
import { HeadResult, type RequestHead } from "../http1/request-head.js";
import type { AccessLog } from "./access-log.js";
import type { ProxyContext } from "./context.js";
import type { Destination, Direct } from "./destination.js";
import { HttpExchange } from "./exchange.js";
import type { ExchangeClient } from "./exchange-client.js";
import { forwardedLines } from "./forwarded.js";
import type { NodeConnection } from "./node-connection.js";
import { Phase } from "./phase.js";
import { Tunnel, type TunnelOwner } from "./tunnel.js";

/** What the connections of one balancer share and report to. */
export interface ClientHost {
  readonly context: ProxyContext;
  readonly direct: Direct;
  /** Any destination that exists now, for a connection that has no request yet and for requests without a route. */
  readonly anyDestination: Destination;
  /** One parser for all connections: it holds nothing between two reads. */
  readonly requestHead: RequestHead;
  readonly isDraining: boolean;
  canOpenTunnel(): boolean;
  /** Counts a connection of that address; false when it has as many as it may. */
  admitClient(address: string): boolean;
  onTunnelOpened(): void;
  onTunnelClosed(): void;
  onConnectionClosed(connection: ClientConnection): void;
}

/** The listener that a connection came by. */
export interface ClientEntry {
  readonly config: { readonly proxyProtocol: boolean };
  /** Requests that begin get 503 and end their connection; what runs goes on. */
  readonly isPaused: boolean;
}

const State = {
  /** The PROXY protocol header is awaited. */
  PREFACE: 0,
  /** Between requests, or in a head. */
  READING: 1,
  /** An exchange runs. */
  BUSY: 2,
  TUNNEL: 3,
  /** Answered and half-closed: what still comes is thrown away for a while (RFC 9112 §9.6). */
  LINGERING: 4,
  CLOSED: 5,
} as const;

const LINGER_MS = 1000;
const LINGER_BYTES_MAX = 64 * 1024;
const PARTIAL_BYTES_MIN = 1024;
/** A head is parsed again when a line has ended or this many bytes have come: bytes one by one must not cost their square. */
const REPARSE_BYTES = 1024;

/** What is wrong with a request itself ends its connection, even when all of it has been read. */
const CLOSING_CODES: ReadonlySet<ErrorCode> = new Set(["ERR_BAD_REQUEST", "ERR_BODY_TOO_LARGE"]);

/** One client connection, from its first byte to its close. */
export class ClientConnection implements StreamHandler, ExchangeClient, TimerOwner, TunnelOwner {
  readonly context: ProxyContext;
  readonly #host: ClientHost;
  readonly #entry: ClientEntry;
  readonly #stream: ByteStream;
  readonly #exchange: HttpExchange;
  readonly #timer = new TimerEntry(this);
  #state: number;
  /** The address that counts: the peer's, or the one a trusted PROXY header gave. */
  clientAddress: string;
  /** The address under which this connection is counted, "" for none. */
  countedAddress: string;
  forwarded: ForwardedLines;

  /** A head that has not ended yet. */
  #partial: Buffer | undefined;
  #partialLength = 0;
  #parsedLength = 0;
  /** Bytes that came before they could be used: the next request, or a body that nobody can take yet. */
  #stash: Buffer | undefined;
  #requests = 0;
  #isPumping = false;
  /** The client reads slower than it is answered. */
  #isBehind = false;
  #hasEnded = false;
  #isBodyWanted = false;
  #lingerBytes = 0;
  #tunnel: Tunnel | undefined;

  constructor(host: ClientHost, stream: ByteStream, entry: ClientEntry) {
    const expectsProxyHeader = entry.config.proxyProtocol;
    this.#host = host;
    this.#entry = entry;
    this.context = host.context;
    this.#stream = stream;
    this.#state = expectsProxyHeader ? State.PREFACE : State.READING;
    this.countedAddress = expectsProxyHeader ? "" : stream.remoteAddress;
    this.clientAddress = stream.remoteAddress;
    this.forwarded = this.#linesFor(stream.remoteAddress, stream.localPort);
    this.#exchange = new HttpExchange(this, host.anyDestination);
    stream.handler = this;
  }

  start(): void {
    this.#schedule(this.context.config.headTimeoutMs);
    this.#stream.resume();
  }

  #linesFor(address: string, port: number): ForwardedLines {
    const { config, isTrusted, viaName } = this.context;
    const { isEncrypted } = this.#stream;
    return forwardedLines({ config, isTrusted: isTrusted(address), address, port, isEncrypted, viaName });
  }

  get isIdle(): boolean {
    return this.#state === State.READING && this.#partial === undefined && !this.#isBehind;
  }

  get isBusy(): boolean {
    return this.#state === State.BUSY;
  }

  onData(buffer: Buffer, start: number, end: number): void {
    this.context.counters.bytesIn += end - start;
    switch (this.#state) {
      case State.READING:
        if (this.#isBehind) {
          // It has not read its last answer: no further one is made for it.
          this.#keep(buffer, start, end);
          return;
        }
        this.#isPumping = true;
        this.#readHead(buffer, start, end);
        this.#isPumping = false;
        if (this.#stash !== undefined) this.#pump();
        return;
      case State.BUSY:
        this.#onBusyData(buffer, start, end);
        return;
      case State.LINGERING:
        this.#lingerBytes += end - start;
        if (this.#lingerBytes > LINGER_BYTES_MAX) this.#stream.destroy();
        return;
      case State.PREFACE:
        this.#readPreface(buffer, start, end);
        return;
      default:
        return;
    }
  }

  #onBusyData(buffer: Buffer, start: number, end: number): void {
    if (!this.#isBodyWanted || this.#exchange.isRequestComplete) {
      this.#keep(buffer, start, end);
      return;
    }
    this.#isPumping = true;
    const consumed = this.#exchange.onRequestData(buffer, start, end);
    if (consumed < end) this.#keep(buffer, consumed, end);
    this.#isPumping = false;
    if (this.#state === State.READING) this.#pump();
  }

  /** Keeps bytes for later and reads no more until they have been used: at most one read's worth is held. */
  #keep(buffer: Buffer, start: number, end: number): void {
    if (this.#state >= State.LINGERING) return;
    const rest = buffer.subarray(start, end);
    this.#stash = this.#stash === undefined ? Buffer.from(rest) : Buffer.concat([this.#stash, rest]);
    this.#stream.pause();
  }

  /** Goes on with what was kept, request after request, without recursion. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#stash !== undefined) {
      const stash = this.#stash;
      if (this.#state === State.READING && !this.#isBehind) {
        this.#stash = undefined;
        this.#readHead(stash, 0, stash.length);
      } else if (this.#state === State.BUSY && this.#isBodyWanted && !this.#exchange.isRequestComplete) {
        this.#stash = undefined;
        const consumed = this.#exchange.onRequestData(stash, 0, stash.length);
        if (consumed < stash.length) this.#keep(stash, consumed, stash.length);
        if (consumed === 0) break;
      } else break;
    }
    this.#isPumping = false;
    if (this.#stash === undefined && this.#hasEnded) {
      // Half a head or half a body, and nothing will complete it.
      if (this.#state === State.READING) this.#linger();
      else if (this.#state === State.BUSY && !this.#exchange.isRequestComplete) this.#abort();
      return;
    }
    if (
      this.#stash === undefined &&
      (this.#state === State.READING || (this.#state === State.BUSY && this.#mayRead()))
    ) {
      this.#stream.resume();
    }
  }

  /** While an exchange runs: its body is wanted, or nothing but the client's leaving is to be noticed. */
  #mayRead(): boolean {
    return this.#isBodyWanted || this.#exchange.isRequestComplete;
  }

  #readHead(buffer: Buffer, start: number, end: number): void {
    if (this.#partial !== undefined) {
      this.#readPartial(buffer, start, end);
      return;
    }
    const head = this.#host.requestHead;
    const result = head.parse(buffer, start, end);
    if (result === HeadResult.DONE) this.#onHead(head, buffer, end);
    else if (result === HeadResult.REFUSED) this.#refuse(head.refusal, head.method === "HEAD");
    else {
      this.#partial = Buffer.allocUnsafeSlow(Math.max(PARTIAL_BYTES_MIN, 2 * (end - start)));
      this.#partialLength = buffer.copy(this.#partial, 0, start, end);
      this.#parsedLength = this.#partialLength;
      // The limit is on the whole head: further bytes do not start it again.
      if (this.#requests > 0 || !this.#timer.isScheduled) this.#schedule(this.context.config.headTimeoutMs);
    }
  }

  #readPartial(buffer: Buffer, start: number, end: number): void {
    let partial = this.#partial as Buffer;
    const length = this.#partialLength + end - start;
    if (length > partial.length) {
      partial = Buffer.allocUnsafeSlow(2 * length);
      (this.#partial as Buffer).copy(partial, 0, 0, this.#partialLength);
      this.#partial = partial;
    }
    buffer.copy(partial, this.#partialLength, start, end);
    const hasLine = partial.subarray(this.#partialLength, length).includes(0x0a);
    this.#partialLength = length;
    if (!hasLine && length - this.#parsedLength < REPARSE_BYTES) return;
    this.#parsedLength = length;
    const head = this.#host.requestHead;
    const result = head.parse(partial, 0, length);
    if (result === HeadResult.MORE) return;
    this.#partial = undefined;
    if (result === HeadResult.DONE) this.#onHead(head, partial, length);
    else this.#refuse(head.refusal, head.method === "HEAD");
  }

  #onHead(head: RequestHead, buffer: Buffer, end: number): void {
    const { config, counters, viaName } = this.context;
    this.#requests++;
    if (this.#entry.isPaused) {
      counters.requestsRefusedByPause++;
      this.#refuse("ERR_DRAINING", head.method === "HEAD");
      return;
    }
    if (head.hasVia && countVia(head, buffer, viaName) >= 2) {
      this.#refuse("ERR_LOOP", head.method === "HEAD");
      return;
    }
    if (this.#requests === config.requestsPerConnectionMax) counters.connectionsEndedByRequestLimit++;
    if (head.isAsterisk) {
      this.#answerOptions(head, buffer, end);
      return;
    }
    this.#state = State.BUSY;
    this.#isBodyWanted = false;
    this.context.wheel.cancel(this.#timer);
    const consumed = this.#exchange.begin(head, buffer, end);
    if (consumed < end) this.#keep(buffer, consumed, end);
  }

  /** `OPTIONS *` asks about the balancer itself; a health check needs no node. */
  #answerOptions(head: RequestHead, buffer: Buffer, end: number): void {
    if (this.#host.isDraining) {
      // How whoever routes traffic here notices in time, while all else is still served.
      this.#answerProblem("ERR_DRAINING", true, false);
      this.#linger();
      return;
    }
    const hasBody = head.framing !== Framing.NONE;
    // An HTTP/1.0 client takes a connection for closed that is not said to be kept.
    const closes = hasBody || head.minor === 0 || !head.isPersistent || this.mustClose();
    const rest = head.end;
    const answer = optionsResponse(closes, this.context.date());
    this.context.counters.responses2xx++;
    this.#send(answer);
    if (closes) this.#linger();
    else {
      this.#schedule(this.context.config.keepAliveTimeoutMs);
      if (rest < end) this.#keep(buffer, rest, end);
    }
  }

  /** Answers something that never became an exchange, and closes: what follows cannot be told apart. */
  #refuse(code: ErrorCode, isHead: boolean): void {
    const { counters, accessLog } = this.context;
    if (code === "ERR_HEAD_TOO_LARGE") counters.headsTooLarge++;
    if (code === "ERR_TARGET_TOO_LONG") counters.targetsTooLong++;
    accessLog?.refused(this.clientAddress, code);
    this.#answerProblem(code, true, isHead);
    this.#linger();
  }

  #answerProblem(code: ErrorCode, closes: boolean, isHead: boolean): void {
    this.context.counters.problems++;
    this.#send(problemResponse(code, { closes, isHead, date: this.context.date() }));
  }

  #send(message: Buffer): void {
    this.write(message, 0, message.length);
  }

  // What the exchange asks of its client.

  write(buffer: Buffer, start: number, end: number): boolean {
    this.context.counters.bytesOut += end - start;
    const isFlowing = this.#stream.write(buffer, start, end);
    if (!isFlowing) this.#isBehind = true;
    return isFlowing;
  }

  writeBoth(first: Buffer, firstEnd: number, second: Buffer, secondStart: number, secondEnd: number): boolean {
    this.context.counters.bytesOut += firstEnd + secondEnd - secondStart;
    const isFlowing = this.#stream.writeBoth(first, firstEnd, second, secondStart, secondEnd);
    if (!isFlowing) this.#isBehind = true;
    return isFlowing;
  }

  get tls(): TlsSession | undefined {
    return this.#stream.tls;
  }

  get accessLog(): AccessLog | undefined {
    return this.context.accessLog;
  }

  direct(head: RequestHead, buffer: Buffer): Destination | undefined {
    return this.#host.direct(head, buffer);
  }

  get anyDestination(): Destination {
    return this.#host.anyDestination;
  }

  pauseReading(): void {
    this.#isBodyWanted = false;
    this.#stream.pause();
  }

  resumeReading(): void {
    this.#isBodyWanted = true;
    if (this.#stash === undefined) this.#stream.resume();
    else this.#pump();
  }

  mustClose(): boolean {
    const max = this.context.config.requestsPerConnectionMax;
    // Behind a FIN no further request comes, but one that came before it may still wait.
    const isLast = this.#hasEnded && this.#stash === undefined;
    return this.#host.isDraining || this.#entry.isPaused || isLast || (max > 0 && this.#requests >= max);
  }

  canOpenTunnel(): boolean {
    return this.#host.canOpenTunnel();
  }

  onExchangeDone(closes: boolean): void {
    if (this.#state !== State.BUSY) return;
    if (closes) this.#linger();
    else this.#next();
  }

  onExchangeFailed(code: ErrorCode): void {
    if (this.#state !== State.BUSY) return;
    const exchange = this.#exchange;
    exchange.context.stats.noteProblem(code);
    const closes =
      !exchange.isRequestComplete ||
      !exchange.isPersistent ||
      exchange.minor === 0 ||
      this.mustClose() ||
      CLOSING_CODES.has(code);
    this.#answerProblem(code, closes, exchange.isHead);
    if (closes) this.#linger();
    else this.#next();
  }

  onExchangeRedirected(location: string): void {
    const exchange = this.#exchange;
    const closes = !exchange.isRequestComplete || !exchange.isPersistent || exchange.minor === 0 || this.mustClose();
    this.context.counters.responses3xx++;
    const { isHead } = exchange;
    this.#send(redirectResponse({ status: 308, location, closes, isHead, date: this.context.date() }));
    if (closes) this.#linger();
    else this.#next();
  }

  onExchangeBroken(): void {
    this.#stream.reset();
  }

  #next(): void {
    this.#state = State.READING;
    this.#schedule(this.context.config.keepAliveTimeoutMs);
    if (this.#stash === undefined) this.#stream.resume();
    else this.#pump();
  }

  onUpgraded(connection: NodeConnection, node: Node, buffer: Buffer, start: number, end: number): void {
    this.#state = State.TUNNEL;
    this.#host.onTunnelOpened();
    const fromClient = this.#stash;
    this.#stash = undefined;
    const { context, stamp } = this.#exchange;
    this.#tunnel = new Tunnel(context, this.#stream, connection.stream, {
      onTunnelClosed: () => {
        connection.pool.forget(connection);
        context.cluster.release(node, stamp);
        this.#host.onTunnelClosed();
        this.onTunnelClosed();
      },
    });
    this.#tunnel.start(fromClient, start < end ? Buffer.from(buffer.subarray(start, end)) : undefined);
    if (this.#hasEnded) this.#stream.handler.onEnd();
  }

  onTunnelClosed(): void {
    this.#onClosed();
  }

  /** Answered for good: half-close, throw away what still comes for a while, then close. */
  #linger(): void {
    if (this.#state >= State.LINGERING) return;
    this.#state = State.LINGERING;
    this.#stash = undefined;
    this.#partial = undefined;
    this.#stream.end();
    if (this.#hasEnded && !this.#isBehind) {
      this.#stream.destroy();
      return;
    }
    this.#schedule(this.#isBehind ? this.#exchange.context.config.bodyIdleTimeoutMs : LINGER_MS);
    this.#stream.resume();
  }

  #readPreface(buffer: Buffer, start: number, end: number): void {
    const bytes =
      this.#partial === undefined
        ? Buffer.from(buffer.subarray(start, end))
        : Buffer.concat([this.#partial, buffer.subarray(start, end)]);
    const header = parseProxyHeader(bytes, bytes.length);
    switch (header.kind) {
      case "more":
        this.#partial = bytes;
        return;
      case "bad":
        this.context.counters.connectionsRefusedByProxyHeader++;
        this.#stream.destroy();
        return;
      case "done":
        this.#partial = undefined;
        if (header.address !== "") {
          this.clientAddress = header.address;
          this.forwarded = this.#linesFor(header.address, header.localPort);
          if (!this.#host.admitClient(header.address)) {
            this.#refuse("ERR_CLIENT_LIMIT", false);
            return;
          }
          this.countedAddress = header.address;
        }
        this.#state = State.READING;
        if (header.end < bytes.length) {
          this.#isPumping = true;
          this.#readHead(bytes, header.end, bytes.length);
          this.#isPumping = false;
          this.#pump();
        }
        return;
      default:
        header satisfies never;
    }
  }

  onDrain(): void {
    this.#isBehind = false;
    if (this.#state === State.BUSY) this.#exchange.onClientDrain();
    else if (this.#state === State.READING) {
      if (this.#host.isDraining && this.isIdle && this.#stash === undefined) this.#linger();
      else this.#pump();
    } else if (this.#state === State.LINGERING) {
      if (this.#hasEnded) this.#stream.destroy();
      else this.#schedule(LINGER_MS);
    }
  }

  /** The client's FIN. Behind a complete request it only says that no other will follow. */
  onEnd(): void {
    this.#hasEnded = true;
    switch (this.#state) {
      case State.BUSY:
        // What came before the FIN may still wait to be used: then it decides, see `#pump`.
        if (this.context.config.abortOnClose || (!this.#exchange.isRequestComplete && this.#stash === undefined)) {
          this.#abort();
        }
        return;
      case State.LINGERING:
        if (!this.#isBehind) this.#stream.destroy();
        return;
      default:
        if (this.#isBehind) this.#linger();
        else this.#stream.destroy();
    }
  }

  #abort(): void {
    this.#exchange.abort("client");
    this.#stream.destroy();
  }

  onClose(): void {
    if (this.#exchange.phase !== Phase.IDLE) this.#exchange.abort("client");
    this.#onClosed();
  }

  #onClosed(): void {
    if (this.#state === State.CLOSED) return;
    this.#state = State.CLOSED;
    this.context.wheel.cancel(this.#timer);
    this.#stash = undefined;
    this.#partial = undefined;
    this.#host.onConnectionClosed(this);
  }

  onTimer(): void {
    switch (this.#state) {
      case State.PREFACE:
        this.context.counters.headTimeouts++;
        this.#stream.destroy();
        return;
      case State.READING:
        if (this.#partial !== undefined || this.#requests === 0) {
          this.context.counters.headTimeouts++;
          if (this.#partial !== undefined) this.#refuse("ERR_REQUEST_TIMEOUT", false);
          else this.#linger();
        } else this.#linger();
        return;
      case State.LINGERING:
        this.#stream.destroy();
        return;
      default:
        return;
    }
  }

  #schedule(delayMs: number): void {
    if (delayMs > 0) this.context.wheel.schedule(this.#timer, delayMs);
    else this.context.wheel.cancel(this.#timer);
  }

  /** Draining: an idle connection has nothing to lose. */
  closeIfIdle(): void {
    if (this.isIdle && this.#stash === undefined) this.#linger();
  }

  /** Ends whatever runs, now, and says whether something was cut. */
  cut(): boolean {
    const isCut = this.#state === State.BUSY || this.#state === State.TUNNEL;
    if (this.#exchange.phase !== Phase.IDLE) this.#exchange.abort("balancer");
    if (this.#tunnel !== undefined && this.#state === State.TUNNEL) this.#tunnel.close();
    else if (isCut) this.#stream.reset();
    else this.#stream.destroy();
    return isCut;
  }
}
