import { COMMA, DIGIT, equalsIgnoreCase, SPACE, TAB } from "./chars.js";
import { eachElement } from "./fields.js";

/** How the length of a body is known (RFC 9112 §6.3). */
export const Framing = { NONE: 0, COUNTED: 1, CHUNKED: 2, UNTIL_CLOSE: 3 } as const;

/** A Content-Length that is no length, or two that differ. */
export const BAD_LENGTH = -2;
/** No Content-Length. */
export const NO_LENGTH = -1;

/**
 * The value of a Content-Length field: digits, or a list of equal numbers (RFC 9110 §8.6). Signs, blanks inside,
 * other bases and numbers above 2^53 − 1 are BAD_LENGTH.
 */
export function parseContentLength(buffer: Buffer, start: number, end: number): number {
  let length = NO_LENGTH;
  let at = start;
  if (at >= end) return BAD_LENGTH;
  while (at < end) {
    if (length !== NO_LENGTH) {
      while (at < end && (buffer[at] === SPACE || buffer[at] === TAB)) at++;
    }
    const first = at;
    let value = 0;
    while (at < end && DIGIT[buffer[at]] === 1) {
      value = value * 10 + (buffer[at] - 0x30);
      if (value > Number.MAX_SAFE_INTEGER) return BAD_LENGTH;
      at++;
    }
    if (at === first) return BAD_LENGTH;
    if (length !== NO_LENGTH && length !== value) return BAD_LENGTH;
    length = value;
    while (at < end && (buffer[at] === SPACE || buffer[at] === TAB)) at++;
    if (at >= end) return length;
    if (buffer[at] !== COMMA) return BAD_LENGTH;
    at++;
  }
  return BAD_LENGTH;
}

/** Is the value exactly the digits that `String(length)` gives, so that it may pass as it came? */
export function isPlainLength(buffer: Buffer, start: number, end: number): boolean {
  if (end - start > 1 && buffer[start] === 0x30) return false;
  for (let at = start; at < end; at++) if (DIGIT[buffer[at]] === 0) return false;
  return end > start;
}

export const Coding = { CHUNKED: 0, UNSUPPORTED: 1, BAD: 2 } as const;

const OTHER_CODINGS = ["gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"];

/**
 * Judges a Transfer-Encoding value. Only `chunked` alone is spoken; a known coding before a final `chunked` is
 * UNSUPPORTED (501), everything else, obfuscations first among them, is BAD (400).
 */
export function judgeTransferEncoding(buffer: Buffer, start: number, end: number): number {
  if (equalsIgnoreCase(buffer, start, end, "chunked")) return Coding.CHUNKED;
  let isChunkedLast = false;
  let chunkedSeen = 0;
  let isKnown = true;
  eachElement(buffer, start, end, (first, last) => {
    isChunkedLast = equalsIgnoreCase(buffer, first, last, "chunked");
    if (isChunkedLast) chunkedSeen++;
    else if (!OTHER_CODINGS.some((name) => equalsIgnoreCase(buffer, first, last, name))) isKnown = false;
  });
  // A comma in front of `chunked` or behind it names no other coding: it is there to be read in two ways.
  const isList = end > start && buffer[start] !== COMMA && buffer[end - 1] !== COMMA;
  return isList && isChunkedLast && chunkedSeen === 1 && isKnown ? Coding.UNSUPPORTED : Coding.BAD;
}
