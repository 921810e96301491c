// Hot path: a head leaves as few runs of copied bytes.
import { CR, copyBytes, equalsIgnoreCase, LF, writeLatin1 } from "./chars.js";
import { Field } from "./fields.js";
import { type HeaderEdits, type PlaceholderValues, writeAddedLines } from "./header-rules.js";
import type { ResponseHead } from "./response-head.js";

/** Upper bound of what `composeResponse` adds to a head besides the line of affinity and the lines of rules, in bytes. */
export const RESPONSE_ADDED_BYTES_MAX = 256;

export interface ResponseEdits extends PlaceholderValues {
  /** Frame a body that lasts until close as chunks. */
  addsChunked: boolean;
  /** Leave Transfer-Encoding and Trailer out: an HTTP/1.0 client knows neither and gets the bare bytes. */
  dropsChunked: boolean;
  /** "" | "close" | "keep-alive" | "Upgrade". */
  connection: string;
  /** Token that the client is switched to, with connection "Upgrade". */
  upgradeToken: string;
  /** One more field, by which the client comes back to its node, without its line end; or "". */
  affinityLine: string;
  /** Rules of the operator; undefined where there are none. */
  headers: HeaderEdits | undefined;
  client: string;
  node: string;
}

/** Writes the head that goes to the client into `out` at `position` and returns the position behind it. */
export function composeResponse(
  head: ResponseHead,
  buffer: Buffer,
  out: Buffer,
  position: number,
  edits: ResponseEdits,
): number {
  const fields = head.fields;
  const { headers } = edits;
  let at = position;
  let runStart: number;
  if (headers !== undefined) for (const name of headers.dropped) head.leaveOut(buffer, name);
  if (head.isPlain && !edits.dropsChunked) {
    at = copyBytes(out, at, buffer, head.start, head.end - 2);
  } else {
    at += writeLatin1(out, "HTTP/1.1 ", at);
    runStart = head.statusStart;
    for (let index = 0; index < fields.count; index++) {
      const id = fields.id[index];
      const stays =
        fields.drop[index] === 1 ||
        (id === Field.CONTENT_LENGTH && head.lengthNeedsRewrite) ||
        (edits.dropsChunked && (id === Field.TRANSFER_ENCODING || isTrailer(head, buffer, index)));
      if (!stays) continue;
      at = copyBytes(out, at, buffer, runStart, fields.lineStart[index]);
      runStart = fields.lineEnd[index];
    }
    at = copyBytes(out, at, buffer, runStart, head.end - 2);
    if (head.lengthNeedsRewrite) at += writeLatin1(out, `Content-Length: ${head.contentLength}\r\n`, at);
  }
  if (headers !== undefined) at = writeAddedLines(headers, out, at, edits);
  if (edits.addsChunked) at += writeLatin1(out, "Transfer-Encoding: chunked\r\n", at);
  if (edits.affinityLine !== "") at += writeLatin1(out, `${edits.affinityLine}\r\n`, at);
  if (edits.upgradeToken !== "") at += writeLatin1(out, `Upgrade: ${edits.upgradeToken}\r\n`, at);
  if (edits.connection === "close") at += writeLatin1(out, "Connection: close\r\n", at);
  else if (edits.connection !== "") at += writeLatin1(out, `Connection: ${edits.connection}\r\n`, at);
  out[at++] = CR;
  out[at++] = LF;
  return at;
}

function isTrailer({ fields }: ResponseHead, buffer: Buffer, index: number): boolean {
  return equalsIgnoreCase(buffer, fields.lineStart[index], fields.nameEnd[index], "trailer");
}
