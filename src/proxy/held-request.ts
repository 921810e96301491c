// Hot path: one per client connection, filled and dropped once a request.
import { hostOf, type Node } from "../core/node.js";
import type { ByteStream } from "../core/stream.js";
import { BodyFramer } from "../http1/body.js";
import { readLatin1 } from "../http1/chars.js";
import { ComposedRequest, composedBytesMax, composeRequest, type ForwardedLines } from "../http1/compose-request.js";
import type { HeaderEdits } from "../http1/header-rules.js";
import type { RequestHead } from "../http1/request-head.js";
import { HeldBuffers, outBuffer } from "./buffers.js";

/** A request as it goes to any node: the composed head, its body as it comes, and what has been kept of that. */
export class HeldRequest {
  readonly #composed = new ComposedRequest();
  readonly #body: BodyFramer;
  #bytes: Buffer = HeldBuffers.EMPTY;
  #length = 0;
  /** The path as received where a part of it is left out; "": it is in the head as it came. */
  #receivedPath = "";

  constructor(trailerBytesMax: number) {
    this.#body = new BodyFramer(trailerBytesMax);
  }

  /** The body has been read completely. */
  get isDone(): boolean {
    return this.#body.isDone;
  }

  /** The body's framing is broken. */
  get isBad(): boolean {
    return this.#body.isBad;
  }

  /** Body bytes seen so far, framing not counted. */
  get bodyBytes(): number {
    return this.#body.bodyBytes;
  }

  /** Body bytes held behind the head, framing included. */
  get bodyLength(): number {
    return this.#length - this.#composed.length;
  }

  /** The path as received, one character a byte. */
  path(): string {
    if (this.#receivedPath !== "") return this.#receivedPath;
    return this.#bytes.toString("latin1", this.#composed.targetStart, this.#composed.pathEnd);
  }

  /** A request begins: how its body will be framed. */
  begin(head: RequestHead): void {
    this.#body.begin(head.framing, head.contentLength, false);
  }

  /**
   * Holds its head; `bodyBytes` are known to follow. The first `stripBytes` of its path do not go to a node, and
   * `edits` are made to its fields.
   */
  compose(
    head: RequestHead,
    buffer: Buffer,
    lines: ForwardedLines,
    upgradeToken: string,
    requestId: string,
    bodyBytes: number,
    stripBytes = 0,
    edits: HeaderEdits | undefined = undefined,
    traceparent = "",
  ): void {
    this.#bytes = HeldBuffers.take(composedBytesMax(head, lines, edits) + bodyBytes);
    this.#receivedPath =
      stripBytes === 0 ? "" : (head.lacksSlash ? "/" : "") + readLatin1(buffer, head.targetStart, head.pathEnd);
    const composed = this.#composed;
    composeRequest(head, buffer, this.#bytes, lines, upgradeToken, requestId, composed, stripBytes, edits, traceparent);
    this.#length = this.#composed.length;
  }

  /** Reads on in the body; what has been read last can be kept or passed on. Returns the offset behind it. */
  feed(buffer: Buffer, start: number, end: number): number {
    return this.#body.feed(buffer, start, end);
  }

  /** Reads the bytes that came with the head and keeps all of them. */
  hold(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.#body.isDone && !this.#body.isBad) {
      at = this.#body.feed(buffer, at, end);
      this.#append(buffer);
    }
    return at;
  }

  /** Keeps what was read last, unless more than `bytesMax` of the body would be held: then it says false. */
  keep(buffer: Buffer, bytesMax: number): boolean {
    const { spans, spanCount, tail } = this.#body;
    let bytes = tail?.length ?? 0;
    for (let index = 0; index < spanCount; index++) bytes += spans[index * 2 + 1] - spans[index * 2];
    if (this.bodyLength + bytes > bytesMax) return false;
    this.#append(buffer);
    return true;
  }

  /** Sends what was read last; false: wait for the stream to drain. */
  passTo(stream: ByteStream, buffer: Buffer): boolean {
    const { spans, spanCount, tail } = this.#body;
    if (spanCount === 1 && tail === undefined) return stream.write(buffer, spans[0], spans[1]);
    const out = outBuffer();
    let isFlowing = true;
    let at = 0;
    for (let index = 0; index < spanCount; index++) at += buffer.copy(out, at, spans[index * 2], spans[index * 2 + 1]);
    if (at > 0) isFlowing = stream.write(out, 0, at);
    if (tail !== undefined) isFlowing = stream.write(tail, 0, tail.length) && isFlowing;
    return isFlowing;
  }

  #append(buffer: Buffer): void {
    const { spans, spanCount, tail } = this.#body;
    for (let index = 0; index < spanCount; index++) {
      const first = spans[index * 2];
      const last = spans[index * 2 + 1];
      this.#grow(last - first);
      buffer.copy(this.#bytes, this.#length, first, last);
      this.#length += last - first;
    }
    if (tail !== undefined) {
      this.#grow(tail.length);
      tail.copy(this.#bytes, this.#length);
      this.#length += tail.length;
    }
  }

  #grow(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = HeldBuffers.take(Math.max(this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(grown, 0, 0, this.#length);
    HeldBuffers.giveBack(this.#bytes);
    this.#bytes = grown;
  }

  /** Sends everything in one write, put under the node's base path; false: wait for the stream to drain. */
  sendTo(stream: ByteStream, node: Node): boolean {
    const { basePath } = node.address;
    const composed = this.#composed;
    if (basePath === "" && !composed.lacksHost) return stream.write(this.#bytes, 0, this.#length);
    let at = 0;
    const out = Buffer.allocUnsafe(this.#length + basePath.length + node.id.length + 16);
    at += this.#bytes.copy(out, at, 0, composed.targetStart);
    at += out.write(basePath, at, "latin1");
    at += this.#bytes.copy(out, at, composed.targetStart, composed.lineEnd);
    if (composed.lacksHost) at += out.write(`Host: ${hostOf(node)}\r\n`, at, "latin1");
    at += this.#bytes.copy(out, at, composed.lineEnd, this.#length);
    return stream.write(out, 0, at);
  }

  /** The request is over: its memory goes to the next one. */
  drop(): void {
    HeldBuffers.giveBack(this.#bytes);
    this.#bytes = HeldBuffers.EMPTY;
    this.#length = 0;
  }
}
