// Hot path: the response of a node on its way to the client.
import type { ErrorCode } from "../errors.js";
import { BodyFramer } from "../http1/body.js";
import { equalsIgnoreCase } from "../http1/chars.js";
import { composeResponse, RESPONSE_ADDED_BYTES_MAX, type ResponseEdits } from "../http1/compose-response.js";
import { parseGoDuration } from "../http1/duration.js";
import { Framing } from "../http1/framing.js";
import { addedBytesMax, type HeaderEdits } from "../http1/header-rules.js";
import { HeadResult } from "../http1/request-head.js";
import { outBuffer } from "./buffers.js";
import type { ClusterContext } from "./context.js";
import type { NodeConnection } from "./node-connection.js";

/** The exchange whose response is relayed. */
export interface RelayedExchange {
  readonly context: ClusterContext;
  /** Minor version of the request. */
  readonly minor: number;
  readonly isHead: boolean;
  /** May the client connection be used again, by the request alone? */
  readonly isPersistent: boolean;
  readonly isRequestComplete: boolean;
  /** The token that the node may switch to, or "". */
  readonly upgradeToken: string;
  readonly awaitsContinue: boolean;
  /** Undefined once the exchange is over or has gone elsewhere. */
  readonly connection: NodeConnection | undefined;
  /** The field by which the client comes back to the node that answers, without its line end, or "". */
  affinityLine(): string;
  /** What is changed in the fields of a final response and of 101; undefined: nothing. */
  responseEdits(): HeaderEdits | undefined;
  /** Lower-case name of the field in which nodes say how long calls wait for them, or "". It never reaches a client. */
  loadHeader(): string;
  /** What the node said in it, in milliseconds; 0 where it said nothing that can be read. */
  onLoadWait(waitMs: number): void;
  continueBody(): void;
  /** Another node is asked instead of passing a response with this status on: the exchange has left. */
  repeatsFor(status: number): boolean;
  onResponseBegins(): void;
  onProgress(): void;
  /** Answers with a problem instead of this response. */
  fail(code: ErrorCode): void;
  /** The response has begun and cannot be completed. */
  break(endedBy: "client" | "node" | "balancer", phase: string): void;
  finish(isReusable: boolean, keepAliveMs: number, closesClient: boolean): void;
  /** From now on the connection is a tunnel; `buffer[start, end)` came behind the head. */
  upgrade(buffer: Buffer, start: number, end: number): void;
}

/** The client that the response goes to. */
export interface RelayClient {
  readonly clientAddress: string;
  /** Sends to the client; false: wait for `onClientDrain`. */
  write(buffer: Buffer, start: number, end: number): boolean;
  writeBoth(first: Buffer, firstEnd: number, second: Buffer, secondStart: number, secondEnd: number): boolean;
  /** Must its connection close after the response that is about to begin? */
  mustClose(): boolean;
  canOpenTunnel(): boolean;
}

/** Below this, body bytes join their head in one buffer; above it copying costs more than a vectored write. */
const JOIN_BYTES_MAX = 16 * 1024;
const INTERIM_MAX = 10;
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

/** Reads one response from a node and passes it on, head first and then body, framed for this client. */
export class ResponseRelay {
  readonly #exchange: RelayedExchange;
  readonly #client: RelayClient;
  readonly #body: BodyFramer;
  readonly #edits: ResponseEdits = {
    addsChunked: false,
    dropsChunked: false,
    connection: "",
    upgradeToken: "",
    affinityLine: "",
    headers: undefined,
    client: "",
    node: "",
  };
  #partial: Buffer | undefined;
  #interims = 0;
  #closesClient = false;
  #isReusable = false;
  #keepAliveMs = -1;
  /** Bytes of this attempt's response, of any kind. */
  bytesSeen = 0;
  status = 0;
  isClientBlocked = false;

  constructor(exchange: RelayedExchange, client: RelayClient) {
    this.#exchange = exchange;
    this.#client = client;
    this.#body = new BodyFramer(exchange.context.config.responseHeadBytesMax);
  }

  get bodyBytes(): number {
    return this.#body.bodyBytes;
  }

  /** Before each attempt. */
  reset(): void {
    this.#partial = undefined;
    this.#interims = 0;
    this.bytesSeen = 0;
    this.status = 0;
    this.isClientBlocked = false;
    this.#body.begin(Framing.NONE, 0, false);
  }

  onHeadBytes(buffer: Buffer, start: number, end: number): void {
    this.bytesSeen += end - start;
    if (this.#partial === undefined) {
      this.#parse(buffer, start, end);
      return;
    }
    const joined = Buffer.concat([this.#partial, buffer.subarray(start, end)]);
    this.#partial = undefined;
    this.#parse(joined, 0, joined.length);
  }

  #parse(buffer: Buffer, start: number, end: number): void {
    const { responseHead: head, counters } = this.#exchange.context;
    let at = start;
    for (;;) {
      const result = head.parse(buffer, at, end, this.#exchange.isHead);
      if (result === HeadResult.MORE) {
        // The bytes are the stream's again after this call.
        this.#partial = Buffer.from(buffer.subarray(at, end));
        return;
      }
      if (result === HeadResult.REFUSED) {
        if (head.isTooLarge) counters.responseHeadsTooLarge++;
        this.#exchange.fail("ERR_BAD_RESPONSE");
        return;
      }
      if (head.status >= 200) break;
      if (head.status === 101) {
        this.#switchProtocols(buffer, end);
        return;
      }
      if (!this.#relayInterim(buffer)) return;
      at = head.end;
      if (at === end) return;
    }
    this.#begin(buffer, end);
  }

  /** 100 answers an expectation or is dropped; other interim responses pass, up to a limit (RFC 9110 §15.2). */
  #relayInterim(buffer: Buffer): boolean {
    const { responseHead: head, counters } = this.#exchange.context;
    if (head.status === 100) {
      if (this.#exchange.awaitsContinue) this.#exchange.continueBody();
      // The body that now flows may have ended the exchange, if it was malformed.
      return this.#exchange.connection !== undefined;
    }
    if (this.#exchange.minor === 0 || ++this.#interims > INTERIM_MAX) {
      counters.interimResponsesDropped++;
      return true;
    }
    const edits = this.#edits;
    edits.addsChunked = false;
    edits.dropsChunked = false;
    edits.connection = "";
    edits.upgradeToken = "";
    edits.affinityLine = "";
    edits.headers = undefined;
    this.#leaveOutOurs(buffer);
    const out = outBuffer(head.end - head.start + RESPONSE_ADDED_BYTES_MAX);
    counters.responses1xx++;
    this.#client.write(out, 0, composeResponse(head, buffer, out, 0, edits));
    return true;
  }

  #switchProtocols(buffer: Buffer, end: number): void {
    const { responseHead: head, counters } = this.#exchange.context;
    const { upgradeToken } = this.#exchange;
    if (upgradeToken === "" || !equalsIgnoreCase(buffer, head.upgradeStart, head.upgradeEnd, upgradeToken)) {
      this.#exchange.fail("ERR_BAD_RESPONSE");
      return;
    }
    if (!this.#client.canOpenTunnel()) {
      // There was room when the request was sent; others were faster.
      counters.requestsRefusedAtTunnelLimit++;
      this.#exchange.fail("ERR_AT_CAPACITY");
      return;
    }
    const edits = this.#edits;
    edits.addsChunked = false;
    edits.dropsChunked = false;
    edits.connection = "Upgrade";
    edits.upgradeToken = buffer.toString("latin1", head.upgradeStart, head.upgradeEnd);
    edits.affinityLine = this.#exchange.affinityLine();
    this.#applyRules(buffer);
    const out = outBuffer(this.#prepareHead());
    this.status = 101;
    counters.responses1xx++;
    const rest = head.end;
    this.#exchange.onResponseBegins();
    this.#client.write(out, 0, composeResponse(head, buffer, out, 0, edits));
    this.#exchange.upgrade(buffer, rest, end);
  }

  /** Fields between nodes and fnlb, and those between fnlb and clients, are not for nodes to say to clients. */
  #leaveOutOurs(buffer: Buffer): void {
    const { affinity, responseHead: head } = this.#exchange.context;
    const loadHeader = this.#exchange.loadHeader();
    if (loadHeader !== "") head.leaveOut(buffer, loadHeader);
    if (affinity !== undefined && affinity.field !== "cookie") head.leaveOut(buffer, affinity.field);
  }

  /** Reads the load header, removes what is not for the client, and gets the rules ready. */
  #applyRules(buffer: Buffer): void {
    const exchange = this.#exchange;
    const loadHeader = exchange.loadHeader();
    if (loadHeader !== "") this.#takeLoadWait(buffer, loadHeader);
    this.#leaveOutOurs(buffer);
    this.#edits.headers = exchange.responseEdits();
  }

  #takeLoadWait(buffer: Buffer, loadHeader: string): void {
    const { fields } = this.#exchange.context.responseHead;
    const index = fields.find(buffer, loadHeader);
    const waitMs = index < 0 ? 0 : parseGoDuration(buffer, fields.valueStart[index], fields.valueEnd[index]);
    this.#exchange.onLoadWait(Math.max(0, waitMs));
  }

  /** Says who talks to whom where rules may ask, and how long the head for the client can become, in bytes. */
  #prepareHead(): number {
    const edits = this.#edits;
    const { responseHead: head } = this.#exchange.context;
    const bytes = head.end - head.start + RESPONSE_ADDED_BYTES_MAX + edits.affinityLine.length;
    if (edits.headers === undefined) return bytes;
    edits.client = this.#client.clientAddress;
    edits.node = this.#exchange.connection?.pool.node.id ?? "";
    return bytes + addedBytesMax(edits.headers, edits.client.length + edits.node.length);
  }

  /** The final head, and the body bytes that came with it, leave in one write. */
  #begin(buffer: Buffer, end: number): void {
    const exchange = this.#exchange;
    const { responseHead: head } = exchange.context;
    const client = this.#client;
    const edits = this.#edits;
    this.status = head.status;
    if (head.status >= 400 && exchange.repeatsFor(head.status)) return;
    const isOld = exchange.minor === 0;
    const isChunked = head.framing === Framing.CHUNKED;
    const isUntilClose = head.framing === Framing.UNTIL_CLOSE;
    this.#countStatus();
    this.#isReusable = head.isPersistent;
    this.#keepAliveMs = head.keepAliveMs;
    edits.addsChunked = isUntilClose && !isOld;
    edits.dropsChunked = isOld;
    edits.upgradeToken = "";
    edits.affinityLine = exchange.affinityLine();
    this.#closesClient =
      !exchange.isPersistent ||
      !exchange.isRequestComplete ||
      client.mustClose() ||
      (isOld && (isChunked || isUntilClose));
    edits.connection = this.#closesClient ? "close" : isOld ? "keep-alive" : "";
    this.#applyRules(buffer);
    // Not that of the cluster which the connection's last request went to.
    this.#body.trailerBytesMax = exchange.context.config.responseHeadBytesMax;
    this.#body.begin(head.framing, head.contentLength, edits.dropsChunked);
    exchange.onResponseBegins();

    // Nothing to change: head and body leave from where they were read, without a copy.
    const isUntouched =
      head.isPlain &&
      !isOld &&
      !edits.addsChunked &&
      edits.connection === "" &&
      edits.affinityLine === "" &&
      edits.headers === undefined;
    const bodyStart = head.end;
    const out = isUntouched ? buffer : outBuffer(this.#prepareHead() + JOIN_BYTES_MAX);
    const outStart = isUntouched ? head.start : 0;
    const outEnd = isUntouched ? bodyStart : composeResponse(head, buffer, out, 0, edits);
    if (bodyStart === end || this.#body.isDone) {
      this.#settle(client.write(out, outStart, outEnd));
      if (this.#body.isDone) this.#finish(bodyStart < end);
      return;
    }
    if (edits.addsChunked) {
      client.write(out, outStart, outEnd);
      this.#relayBody(buffer, bodyStart, end);
      return;
    }
    const body = this.#body;
    const stop = body.feed(buffer, bodyStart, end);
    if (body.isBad) {
      client.write(out, outStart, outEnd);
      exchange.break("node", "response-body");
      return;
    }
    const first = body.spans[0];
    const last = body.spans[1];
    if (body.spanCount !== 1 || body.tail !== undefined || (isUntouched && first !== bodyStart)) {
      client.write(out, outStart, outEnd);
      this.#writeSpans(buffer);
    } else if (isUntouched) {
      this.#settle(client.write(buffer, outStart, last));
    } else if (last - first <= JOIN_BYTES_MAX) {
      buffer.copy(out, outEnd, first, last);
      this.#settle(client.write(out, 0, outEnd + last - first));
    } else this.#settle(client.writeBoth(out, outEnd, buffer, first, last));
    this.#afterFeed(buffer, stop, end);
  }

  #countStatus(): void {
    const { counters } = this.#exchange.context;
    if (this.status < 300) counters.responses2xx++;
    else if (this.status < 400) counters.responses3xx++;
    else if (this.status < 500) counters.responses4xx++;
    else counters.responses5xx++;
  }

  onBodyBytes(buffer: Buffer, start: number, end: number): void {
    this.bytesSeen += end - start;
    this.#exchange.onProgress();
    this.#relayBody(buffer, start, end);
  }

  #relayBody(buffer: Buffer, start: number, end: number): void {
    const body = this.#body;
    const stop = body.feed(buffer, start, end);
    if (body.isBad) {
      this.#exchange.break("node", "response-body");
      return;
    }
    this.#writeSpans(buffer);
    this.#afterFeed(buffer, stop, end);
  }

  #afterFeed(buffer: Buffer, stop: number, end: number): void {
    if (this.#body.isDone) this.#finish(stop < end);
    else if (stop < end && this.#exchange.connection !== undefined) this.#relayBody(buffer, stop, end);
  }

  #writeSpans(buffer: Buffer): void {
    const { spans, spanCount, tail } = this.#body;
    if (spanCount === 0 && tail === undefined) return;
    if (this.#edits.addsChunked) {
      this.#writeChunk(buffer, spans[0], spans[1]);
      return;
    }
    if (spanCount === 1 && tail === undefined) {
      this.#settle(this.#client.write(buffer, spans[0], spans[1]));
      return;
    }
    const out = outBuffer();
    let at = 0;
    for (let index = 0; index < spanCount; index++) at += buffer.copy(out, at, spans[index * 2], spans[index * 2 + 1]);
    if (tail === undefined) this.#settle(this.#client.write(out, 0, at));
    else this.#settle(this.#client.writeBoth(out, at, tail, 0, tail.length));
  }

  #writeChunk(buffer: Buffer, start: number, end: number): void {
    const out = outBuffer();
    let at = out.write(`${(end - start).toString(16)}\r\n`, 0, "latin1");
    at += buffer.copy(out, at, start, end);
    at += out.write("\r\n", at, "latin1");
    this.#settle(this.#client.write(out, 0, at));
  }

  /** Waits with the node while the client is behind. */
  #settle(isFlowing: boolean): void {
    if (isFlowing || this.isClientBlocked) return;
    this.isClientBlocked = true;
    this.#exchange.connection?.stream.pause();
  }

  onClientDrain(): void {
    if (!this.isClientBlocked) return;
    this.isClientBlocked = false;
    this.#exchange.onProgress();
    this.#exchange.connection?.stream.resume();
  }

  /** The node closed cleanly. True when that is how its body was meant to end. */
  endByClose(): boolean {
    if (this.#body.framing !== Framing.UNTIL_CLOSE || this.#body.isDone) return false;
    this.#body.finish();
    if (this.#edits.addsChunked) this.#client.write(LAST_CHUNK, 0, LAST_CHUNK.length);
    this.#finish(false);
    return true;
  }

  /** `hasLeftover`: bytes follow that are no part of any response; they must never reach a client. */
  #finish(hasLeftover: boolean): void {
    this.#exchange.finish(this.#isReusable && !hasLeftover, this.#keepAliveMs, this.#closesClient);
  }
}
