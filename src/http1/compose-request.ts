// Hot path: a head leaves as few runs of copied bytes and two written strings.
import { COMMA, CR, copyBytes, equalsIgnoreCase, LF, readLatin1, SLASH, SPACE, writeLatin1 } from "./chars.js";
import { Field } from "./fields.js";
import { addedBytesMax, type HeaderEdits, writeAddedLines } from "./header-rules.js";
import type { RequestHead } from "./request-head.js";

/** What one client connection adds to each of its requests, made once per connection. */
export interface ForwardedLines {
  /** The peer's address, "" for a unix socket. */
  readonly clientAddress: string;
  /** The peer's address as X-Forwarded-For has it, or "" to leave that field as it is. */
  readonly forwardedFor: string;
  /** Drop what came in X-Forwarded-For instead of appending to it. */
  readonly replacesFor: boolean;
  /** Send X-Forwarded-Proto, -Host and -Port. */
  readonly sendsXForwarded: boolean;
  /** Send Forwarded (RFC 7239). */
  readonly sendsForwarded: boolean;
  /** The peer is a trusted proxy: its -Proto, -Host, -Port, Forwarded and X-Request-Id are kept. */
  readonly isTrusted: boolean;
  readonly proto: "http" | "https";
  readonly port: number;
  /** `for=` and `by=`-less node identifier of RFC 7239 §6, quoted where needed. */
  readonly forwardedNode: string;
  /** The `Via` line and the empty line that ends the head. */
  readonly viaAndEnd: string;
  /**
   * All of the above in two runs around the value of X-Forwarded-Host, for the request that brings no forwarding
   * fields of its own; undefined where that is not all there is to say.
   */
  readonly plain: { readonly beforeHost: Buffer; readonly afterHost: Buffer } | undefined;
}

/** The runs of `ForwardedLines.plain` for lines that are the same for every request of a connection. */
export function plainLines(lines: Omit<ForwardedLines, "plain">): ForwardedLines["plain"] {
  if (!lines.sendsXForwarded || lines.sendsForwarded || lines.isTrusted) return undefined;
  const forwardedFor = lines.forwardedFor === "" ? "" : `X-Forwarded-For: ${lines.forwardedFor}\r\n`;
  const port = lines.port > 0 ? `X-Forwarded-Port: ${lines.port}\r\n` : "";
  // `Buffer.alloc` instead of `from`: a slice of the shared pool is slower to copy.
  const bytesOf = (text: string) => Buffer.alloc(text.length, text, "latin1");
  return {
    beforeHost: bytesOf(`${forwardedFor}X-Forwarded-Proto: ${lines.proto}\r\nX-Forwarded-Host: `),
    afterHost: bytesOf(`\r\n${port}${lines.viaAndEnd}`),
  };
}

/** Where the pieces of a composed head are, so that it can be aimed at another node without parsing it again. */
export class ComposedRequest {
  targetStart = 0;
  targetEnd = 0;
  pathEnd = 0;
  lineEnd = 0;
  methodEnd = 0;
  length = 0;
  /** No Host came (HTTP/1.0), or a rule says so: the node gets its own, inserted at `lineEnd`. */
  lacksHost = false;
}

/** Upper bound of what `composeRequest` writes, in bytes. */
export function composedBytesMax(head: RequestHead, lines: ForwardedLines, edits?: HeaderEdits): number {
  const hostBytes = head.hostEnd - head.hostStart;
  return (
    head.end -
    head.start +
    2 * hostBytes +
    lines.forwardedFor.length +
    lines.forwardedNode.length +
    lines.viaAndEnd.length +
    (edits === undefined ? 0 : addedBytesMax(edits, lines.clientAddress.length + hostBytes)) +
    512
  );
}

/**
 * Writes the head that goes to a node into `out` from offset 0: the received fields in their order without those
 * of this hop, then what fnlb adds (RFC 9110 §7.6). Base path and missing Host are the node's and inserted on
 * sending. `upgradeToken` "" forwards no upgrade; `requestId` and `traceparent` "" set none. The first `stripBytes` of the path are
 * left out; what is left begins with a slash, which is put in front only where there is none.
 */
export function composeRequest(
  head: RequestHead,
  buffer: Buffer,
  out: Buffer,
  lines: ForwardedLines,
  upgradeToken: string,
  requestId: string,
  composed: ComposedRequest,
  stripBytes = 0,
  edits: HeaderEdits | undefined = undefined,
  traceparent = "",
): void {
  const fields = head.fields;
  const hostLine = edits === undefined ? undefined : edits.hostLine;
  let at: number;
  let runStart: number;
  if (edits !== undefined) for (const name of edits.dropped) fields.leaveOutWithTwins(buffer, name);
  composed.methodEnd = head.methodEnd - head.start;
  if (!head.isAbsoluteForm && !head.isOddVersion && stripBytes === 0 && hostLine === undefined) {
    // The request line leaves as it came, in one run with the fields behind it.
    at = 0;
    runStart = head.start;
    composed.targetStart = head.targetStart - head.start;
    composed.pathEnd = head.pathEnd - head.start;
    composed.targetEnd = head.targetEnd - head.start;
    composed.lineEnd = head.lineEnd - head.start;
  } else {
    at = copyBytes(out, 0, buffer, head.start, head.methodEnd);
    out[at++] = SPACE;
    composed.targetStart = at;
    const restStart = Math.min(head.targetStart + stripBytes, head.pathEnd);
    // Behind the path stands a blank or a question mark.
    if (buffer[restStart] !== SLASH) out[at++] = SLASH;
    composed.pathEnd = at + head.pathEnd - restStart;
    at = copyBytes(out, at, buffer, restStart, head.targetEnd);
    composed.targetEnd = at;
    at += writeLatin1(out, " HTTP/1.1\r\n", at);
    composed.lineEnd = at;
    if (hostLine !== undefined) at = copyBytes(out, at, hostLine, 0, hostLine.length);
    else if (head.isAbsoluteForm) {
      at += writeLatin1(out, "Host: ", at);
      at = copyBytes(out, at, buffer, head.hostStart, head.hostEnd);
      out[at++] = CR;
      out[at++] = LF;
    }
    runStart = head.lineEnd;
  }

  for (let index = 0; index < fields.count; index++) {
    if (fields.drop[index] === 0 && !staysBehind(fields.id[index], head, lines, requestId)) continue;
    at = copyBytes(out, at, buffer, runStart, fields.lineStart[index]);
    runStart = fields.lineEnd[index];
  }
  at = copyBytes(out, at, buffer, runStart, head.end - 2);

  if (edits !== undefined) {
    const host = edits.placeholderCount === 0 ? "" : readLatin1(buffer, head.hostStart, head.hostEnd);
    at = writeAddedLines(edits, out, at, { client: lines.clientAddress, host });
  }
  if (traceparent !== "") at += writeLatin1(out, `traceparent: ${traceparent}\r\n`, at);
  if (head.lengthNeedsRewrite) at += writeLatin1(out, `Content-Length: ${head.contentLength}\r\n`, at);
  if (upgradeToken !== "") at += writeLatin1(out, `Upgrade: ${upgradeToken}\r\n`, at);
  if (head.acceptsTrailers) at += writeLatin1(out, "TE: trailers\r\n", at);
  if (upgradeToken !== "")
    at += writeLatin1(out, head.acceptsTrailers ? "Connection: Upgrade, TE\r\n" : "Connection: Upgrade\r\n", at);
  else if (head.acceptsTrailers) at += writeLatin1(out, "Connection: TE\r\n", at);
  const hasHost = head.hostEnd > head.hostStart;
  composed.lacksHost = hostLine === undefined ? !hasHost : hostLine.length === 0;
  const { plain } = lines;
  if (plain !== undefined && !head.hasForwardedFor && requestId === "" && hasHost) {
    out.set(plain.beforeHost, at);
    at = copyBytes(out, at + plain.beforeHost.length, buffer, head.hostStart, head.hostEnd);
    out.set(plain.afterHost, at);
    composed.length = at + plain.afterHost.length;
    return;
  }
  if (lines.forwardedFor !== "") {
    at += writeLatin1(out, "X-Forwarded-For: ", at);
    if (head.hasForwardedFor && !lines.replacesFor) at = joinForwardedFor(head, buffer, out, at);
    at += writeLatin1(out, lines.forwardedFor, at);
    out[at++] = CR;
    out[at++] = LF;
  }
  if (lines.sendsXForwarded) {
    if (!lines.isTrusted || !head.fields.has(Field.X_FORWARDED_PROTO)) {
      at += writeLatin1(
        out,
        lines.proto === "http" ? "X-Forwarded-Proto: http\r\n" : "X-Forwarded-Proto: https\r\n",
        at,
      );
    }
    if (hasHost && (!lines.isTrusted || !head.fields.has(Field.X_FORWARDED_HOST))) {
      at += writeLatin1(out, "X-Forwarded-Host: ", at);
      at = copyBytes(out, at, buffer, head.hostStart, head.hostEnd);
      out[at++] = CR;
      out[at++] = LF;
    }
    if (lines.port > 0 && (!lines.isTrusted || !head.fields.has(Field.X_FORWARDED_PORT))) {
      at += writeLatin1(out, `X-Forwarded-Port: ${lines.port}\r\n`, at);
    }
  }
  if (lines.sendsForwarded) {
    at += writeLatin1(out, `Forwarded: for=${lines.forwardedNode};proto=${lines.proto}`, at);
    if (hasHost) {
      at += writeLatin1(out, `;host="`, at);
      at = copyBytes(out, at, buffer, head.hostStart, head.hostEnd);
      out[at++] = 0x22;
    }
    out[at++] = CR;
    out[at++] = LF;
  }
  if (requestId !== "") at += writeLatin1(out, `X-Request-Id: ${requestId}\r\n`, at);
  at += writeLatin1(out, lines.viaAndEnd, at);
  composed.length = at;
}

/** Fields that pass or stay by what is configured and who sent them. */
function staysBehind(id: number, head: RequestHead, lines: ForwardedLines, requestId: string): boolean {
  switch (id) {
    case Field.OTHER:
      return false;
    case Field.HOST:
      return head.isAbsoluteForm;
    case Field.CONTENT_LENGTH:
      return head.lengthNeedsRewrite;
    case Field.X_FORWARDED_FOR:
      return lines.forwardedFor !== "";
    case Field.X_FORWARDED_PROTO:
    case Field.X_FORWARDED_HOST:
    case Field.X_FORWARDED_PORT:
    case Field.FORWARDED:
      return !lines.isTrusted;
    case Field.X_REQUEST_ID:
      return requestId !== "";
    default:
      return false;
  }
}

function joinForwardedFor(head: RequestHead, buffer: Buffer, out: Buffer, start: number): number {
  const fields = head.fields;
  let at = start;
  for (let index = 0; index < fields.count; index++) {
    if (fields.id[index] !== Field.X_FORWARDED_FOR || fields.valueEnd[index] === fields.valueStart[index]) continue;
    at = copyBytes(out, at, buffer, fields.valueStart[index], fields.valueEnd[index]);
    out[at++] = COMMA;
    out[at++] = SPACE;
  }
  return at;
}

/** How often `name` stands as a recipient in the Via fields (RFC 9110 §7.6.3). */
export function countVia(head: RequestHead, buffer: Buffer, name: string): number {
  const fields = head.fields;
  let count = 0;
  for (let index = 0; index < fields.count; index++) {
    if (fields.id[index] !== Field.VIA) continue;
    const value = readLatin1(buffer, fields.valueStart[index], fields.valueEnd[index]).toLowerCase();
    for (const element of value.split(",")) if (element.trim().split(/[ \t]+/)[1] === name) count++;
  }
  return count;
}

/** The offered token of an Upgrade field that is allowed, in lower case, or "". h2c is never one (RFC 9113 §3.1). */
export function allowedUpgrade(head: RequestHead, buffer: Buffer, allowed: readonly string[]): string {
  if (!head.wantsUpgrade || head.method !== "GET") return "";
  for (const token of allowed) {
    if (token !== "h2c" && equalsIgnoreCase(buffer, head.upgradeStart, head.upgradeEnd, token)) return token;
  }
  return "";
}
