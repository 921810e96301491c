import assert from "node:assert/strict";
import type { ErrorCode } from "../../src/errors.js";
import { BodyFramer } from "../../src/http1/body.js";
import {
  allowedUpgrade,
  ComposedRequest,
  composedBytesMax,
  composeRequest,
  type ForwardedLines,
} from "../../src/http1/compose-request.js";
import { composeResponse, RESPONSE_ADDED_BYTES_MAX } from "../../src/http1/compose-response.js";
import { Framing } from "../../src/http1/framing.js";
import { addedBytesMax, type HeaderEdits } from "../../src/http1/header-rules.js";
import { HeadResult, RequestHead } from "../../src/http1/request-head.js";
import { ResponseHead } from "../../src/http1/response-head.js";
import { forwardedLines } from "../../src/proxy/forwarded.js";
import { DEFAULTS } from "./balancer.js";
import { VIA } from "./wire.js";

/** One request as the pure parts of the engine read and forward it. */
export interface ForwardedRequest {
  readonly method: string;
  readonly target: string;
  /** What goes to the node, framing and trailers included. */
  readonly bytes: Buffer;
  readonly headBytes: number;
  readonly bodyBytes: number;
  readonly isPersistent: boolean;
}

export interface RequestsRead {
  readonly requests: readonly ForwardedRequest[];
  /** Why the connection was refused behind them, if it was. */
  readonly refusal: ErrorCode | undefined;
  /** The last request has begun and not ended. */
  readonly isOpen: boolean;
}

export interface CodecOptions {
  readonly lines?: ForwardedLines;
  readonly nodeHost?: string;
  readonly stripBytes?: number;
  readonly edits?: HeaderEdits | undefined;
}

/** Who talks to whom, as far as placeholders tell. */
export const CLIENT = "127.0.0.1";
export const NODE = "10.0.0.1:8080";

/** Reads requests from the pieces of a connection, with nothing but the modules of `http1/`. */
export function forwardRequests(pieces: readonly Buffer[], options: CodecOptions = {}): RequestsRead {
  const head = new RequestHead(DEFAULTS);
  const framer = new BodyFramer(DEFAULTS.headBytesMax);
  const requests: ForwardedRequest[] = [];
  let current: { readonly request: Omit<ForwardedRequest, "bytes" | "bodyBytes">; readonly out: Buffer[] } | undefined;
  let held = Buffer.alloc(0);
  const refused = (refusal: ErrorCode): RequestsRead => ({ requests, refusal, isOpen: false });

  for (const piece of pieces) {
    const buffer = Buffer.concat([held, piece]);
    held = Buffer.alloc(0);
    let at = 0;
    while (at < buffer.length) {
      if (current === undefined) {
        const result = head.parse(buffer, at, buffer.length);
        if (result === HeadResult.REFUSED) return refused(head.refusal);
        if (result === HeadResult.MORE) {
          held = Buffer.from(buffer.subarray(at));
          break;
        }
        current = { request: requestOf(head, buffer), out: [composed(head, buffer, options)] };
        framer.begin(head.framing, head.contentLength, false);
        assert.ok(head.end > at);
        at = head.end;
      } else {
        const next = framer.feed(buffer, at, buffer.length);
        for (let span = 0; span < framer.spanCount; span++) {
          current.out.push(Buffer.from(buffer.subarray(framer.spans[span * 2], framer.spans[span * 2 + 1])));
        }
        if (framer.tail !== undefined) current.out.push(Buffer.from(framer.tail));
        if (framer.isBad) return refused("ERR_BAD_REQUEST");
        assert.ok(next > at || framer.isDone, "a framer that is not done makes progress");
        at = next;
      }
      if (framer.isDone) {
        const [bytes] = current.out;
        requests.push({
          ...current.request,
          bytes: Buffer.concat(current.out),
          headBytes: bytes.length,
          bodyBytes: framer.bodyBytes,
        });
        current = undefined;
      }
    }
    // As the stream does with its read buffer: whatever still points into it shows.
    buffer.fill(0xee);
  }
  return { requests, refusal: undefined, isOpen: current !== undefined || held.length > 0 };
}

export function linesFor(port: number): ForwardedLines {
  return forwardedLines({
    config: DEFAULTS,
    isTrusted: false,
    address: CLIENT,
    port,
    isEncrypted: false,
    viaName: VIA,
  });
}

function requestOf(head: RequestHead, buffer: Buffer): Omit<ForwardedRequest, "bytes" | "bodyBytes"> {
  const target = buffer.toString("latin1", head.targetStart, head.targetEnd);
  return {
    method: head.method,
    target: head.isAsterisk ? "*" : (head.lacksSlash ? "/" : "") + target,
    headBytes: 0,
    isPersistent: head.isPersistent,
  };
}

function composed(
  head: RequestHead,
  buffer: Buffer,
  { lines = linesFor(8081), nodeHost = "node", stripBytes = 0, edits }: CodecOptions,
): Buffer {
  // Asked about the balancer itself: nothing is forwarded.
  if (head.isAsterisk) return Buffer.alloc(0);
  const out = Buffer.alloc(composedBytesMax(head, lines, edits) + 64, 0xee);
  const pieces = new ComposedRequest();
  const token = head.framing === Framing.NONE ? allowedUpgrade(head, buffer, DEFAULTS.upgradeTokens) : "";
  composeRequest(head, buffer, out, lines, token, "", pieces, stripBytes, edits);
  assert.ok(pieces.length <= out.length - 64, "never longer than announced");
  const line = out.subarray(0, pieces.lineEnd);
  const host = pieces.lacksHost ? Buffer.from(`Host: ${nodeHost}\r\n`) : Buffer.alloc(0);
  return Buffer.concat([line, host, out.subarray(pieces.lineEnd, pieces.length)]);
}

export interface ResponseRelayed {
  readonly kind: "refused" | "truncated" | "complete";
  /** What reached the client: interim heads, the final head, and the body unless it lasts until close. */
  readonly bytes: Buffer;
  /** The final head among them. */
  readonly head: Buffer;
  readonly bodyBytes: number;
  readonly isUntilClose: boolean;
  /** Body bytes of a response that lasts until close, without the chunks they were put into. */
  readonly untilClose: Buffer;
  readonly isReusable: boolean;
  /** Bytes behind the response. */
  readonly leftover: number;
}

/** Reads one response from the pieces of a connection that then closes, for an HTTP/1.1 client. */
export function relayResponse(
  pieces: readonly Buffer[],
  isHead: boolean,
  edits: HeaderEdits | undefined = undefined,
  node = NODE,
): ResponseRelayed {
  const head = new ResponseHead(DEFAULTS);
  const framer = new BodyFramer(DEFAULTS.responseHeadBytesMax);
  const out: Buffer[] = [];
  const untilClose: Buffer[] = [];
  let held = Buffer.alloc(0);
  let hasHead = false;
  let final: Buffer = Buffer.alloc(0);
  let isReusable = false;
  let leftover = 0;
  const done = (kind: ResponseRelayed["kind"]): ResponseRelayed => ({
    kind,
    bytes: Buffer.concat(out),
    head: final,
    bodyBytes: hasHead ? framer.bodyBytes : 0,
    isUntilClose: hasHead && framer.framing === Framing.UNTIL_CLOSE,
    untilClose: Buffer.concat(untilClose),
    isReusable: isReusable && leftover === 0,
    leftover,
  });

  for (const piece of pieces) {
    const buffer = Buffer.concat([held, piece]);
    held = Buffer.alloc(0);
    let at = 0;
    while (at < buffer.length) {
      if (!hasHead) {
        const result = head.parse(buffer, at, buffer.length, isHead);
        if (result === HeadResult.REFUSED || (result === HeadResult.DONE && head.status === 101))
          return done("refused");
        if (result === HeadResult.MORE) {
          held = Buffer.from(buffer.subarray(at));
          break;
        }
        at = head.end;
        if (head.status === 100) continue;
        final = composedResponse(head, buffer, head.status < 200 ? undefined : edits, node);
        out.push(final);
        if (head.status < 200) continue;
        hasHead = true;
        isReusable = head.isPersistent;
        framer.begin(head.framing, head.contentLength, false);
      } else if (framer.isDone) {
        leftover += buffer.length - at;
        break;
      } else {
        at = framer.feed(buffer, at, buffer.length);
        for (let span = 0; span < framer.spanCount; span++) {
          const bytes = Buffer.from(buffer.subarray(framer.spans[span * 2], framer.spans[span * 2 + 1]));
          (framer.framing === Framing.UNTIL_CLOSE ? untilClose : out).push(bytes);
        }
        if (framer.tail !== undefined) out.push(Buffer.from(framer.tail));
        if (framer.isBad) return done("truncated");
      }
    }
    buffer.fill(0xee);
  }
  framer.finish();
  if (!hasHead) return done("refused");
  return done(framer.isDone ? "complete" : "truncated");
}

function composedResponse(head: ResponseHead, buffer: Buffer, headers: HeaderEdits | undefined, node: string): Buffer {
  const addedBytes = headers === undefined ? 0 : addedBytesMax(headers, CLIENT.length + node.length);
  const out = Buffer.alloc(head.end - head.start + RESPONSE_ADDED_BYTES_MAX + addedBytes + 64, 0xee);
  const addsChunked = head.status >= 200 && head.framing === Framing.UNTIL_CLOSE;
  const length = composeResponse(head, buffer, out, 0, {
    addsChunked,
    dropsChunked: false,
    connection: "",
    upgradeToken: "",
    affinityLine: "",
    headers,
    client: CLIENT,
    node,
  });
  assert.ok(length <= out.length - 64, "never longer than announced");
  return out.subarray(0, length);
}
