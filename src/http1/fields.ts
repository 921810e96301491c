// Hot path: plain loops over bytes and integer arrays, no object a field. bench/ holds it to its cost.
import { COLON, COMMA, CR, equalsIgnoreCase, FOLD, LF, SPACE, TAB, TOKEN, UNDERSCORE, VALUE } from "./chars.js";

/** The fields that the balancer reads, removes or adds; everything else is OTHER and passes untouched. */
export const Field = {
  OTHER: 0,
  HOST: 1,
  CONNECTION: 2,
  CONTENT_LENGTH: 3,
  TRANSFER_ENCODING: 4,
  EXPECT: 5,
  UPGRADE: 6,
  TE: 7,
  KEEP_ALIVE: 8,
  PROXY_CONNECTION: 9,
  PROXY_AUTHENTICATE: 10,
  PROXY_AUTHORIZATION: 11,
  HTTP2_SETTINGS: 12,
  X_FORWARDED_FOR: 13,
  X_FORWARDED_PROTO: 14,
  X_FORWARDED_HOST: 15,
  X_FORWARDED_PORT: 16,
  FORWARDED: 17,
  VIA: 18,
  X_REQUEST_ID: 19,
  /** `X_Forwarded_For` and its like: some servers merge them with the real field, so they never pass. */
  FORWARDED_TWIN: 20,
} as const;

const KNOWN: readonly (readonly [string, number])[] = [
  ["host", Field.HOST],
  ["connection", Field.CONNECTION],
  ["content-length", Field.CONTENT_LENGTH],
  ["transfer-encoding", Field.TRANSFER_ENCODING],
  ["expect", Field.EXPECT],
  ["upgrade", Field.UPGRADE],
  ["te", Field.TE],
  ["keep-alive", Field.KEEP_ALIVE],
  ["proxy-connection", Field.PROXY_CONNECTION],
  ["proxy-authenticate", Field.PROXY_AUTHENTICATE],
  ["proxy-authorization", Field.PROXY_AUTHORIZATION],
  ["http2-settings", Field.HTTP2_SETTINGS],
  ["x-forwarded-for", Field.X_FORWARDED_FOR],
  ["x-forwarded-proto", Field.X_FORWARDED_PROTO],
  ["x-forwarded-host", Field.X_FORWARDED_HOST],
  ["x-forwarded-port", Field.X_FORWARDED_PORT],
  ["forwarded", Field.FORWARDED],
  ["via", Field.VIA],
  ["x-request-id", Field.X_REQUEST_ID],
];

const LONGEST = 24;
/** Known names by length: most names of a request meet no candidate at all. */
const BY_LENGTH: readonly (readonly { readonly name: Uint8Array; readonly id: number }[])[] = Array.from(
  { length: LONGEST + 1 },
  (_, length) =>
    KNOWN.filter(([name]) => name.length === length).map(([name, id]) => ({ name: Buffer.from(name, "latin1"), id })),
);

function isForwarding(id: number): boolean {
  return id >= Field.X_FORWARDED_FOR && id <= Field.FORWARDED;
}

function identify(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length > LONGEST) return Field.OTHER;
  const candidates = BY_LENGTH[length];
  for (let candidate = 0; candidate < candidates.length; candidate++) {
    const { name, id } = candidates[candidate];
    let index = 0;
    let hasUnderscore = false;
    while (index < length && FOLD[buffer[start + index]] === name[index]) {
      if (buffer[start + index] === UNDERSCORE) hasUnderscore = true;
      index++;
    }
    if (index < length) continue;
    if (!hasUnderscore) return id;
    return isForwarding(id) ? Field.FORWARDED_TWIN : Field.OTHER;
  }
  return Field.OTHER;
}

/** How far a parser came. */
export const Parsed = { DONE: 0, MORE: 1, BAD: 2, TOO_MANY: 3 } as const;

/**
 * The field lines of one head as offsets into the buffer that was parsed. Reused from message to message;
 * the offsets are valid as long as that buffer is.
 */
export class FieldTable {
  readonly #max: number;
  count = 0;
  /** Offset behind the empty line that ends the section. */
  end = 0;
  readonly lineStart: Int32Array;
  readonly nameEnd: Int32Array;
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;
  readonly lineEnd: Int32Array;
  /** One of `Field`. */
  readonly id: Uint8Array;
  /** 1: not forwarded. */
  readonly drop: Uint8Array;

  constructor(max: number) {
    this.#max = max;
    this.lineStart = new Int32Array(max);
    this.nameEnd = new Int32Array(max);
    this.valueStart = new Int32Array(max);
    this.valueEnd = new Int32Array(max);
    this.lineEnd = new Int32Array(max);
    this.id = new Uint8Array(max);
    this.drop = new Uint8Array(max);
  }

  /**
   * Parses field lines from `position` up to and with the empty line (RFC 9112 §5). A space before the colon,
   * obs-fold, a bare CR or LF and control bytes are BAD: two servers may read them in two ways.
   */
  parse(buffer: Buffer, position: number, end: number): number {
    const max = this.#max;
    let count = 0;
    this.count = 0;
    let at = position;
    for (;;) {
      if (at >= end) return Parsed.MORE;
      if (buffer[at] === CR) {
        if (at + 1 >= end) return Parsed.MORE;
        if (buffer[at + 1] !== LF) return Parsed.BAD;
        this.count = count;
        this.end = at + 2;
        return Parsed.DONE;
      }
      const lineStart = at;
      while (at < end && TOKEN[buffer[at]] === 1) at++;
      if (at >= end) return Parsed.MORE;
      if (buffer[at] !== COLON || at === lineStart) return Parsed.BAD;
      const nameEnd = at++;
      while (at < end && (buffer[at] === SPACE || buffer[at] === TAB)) at++;
      const valueStart = at;
      while (at < end && VALUE[buffer[at]] === 1) at++;
      if (at >= end) return Parsed.MORE;
      if (buffer[at] !== CR) return Parsed.BAD;
      if (at + 1 >= end) return Parsed.MORE;
      if (buffer[at + 1] !== LF) return Parsed.BAD;
      let valueEnd = at;
      while (valueEnd > valueStart && (buffer[valueEnd - 1] === SPACE || buffer[valueEnd - 1] === TAB)) valueEnd--;
      at += 2;
      if (count === max) return Parsed.TOO_MANY;
      this.lineStart[count] = lineStart;
      this.nameEnd[count] = nameEnd;
      this.valueStart[count] = valueStart;
      this.valueEnd[count] = valueEnd;
      this.lineEnd[count] = at;
      this.id[count] = identify(buffer, lineStart, nameEnd);
      this.drop[count] = 0;
      count++;
    }
  }

  /** Is there a field of this kind, one of `Field`? */
  has(id: number): boolean {
    for (let index = 0; index < this.count; index++) if (this.id[index] === id) return true;
    return false;
  }

  /** Index of the first field called `lowerName`, or -1. */
  find(buffer: Buffer, lowerName: string, from = 0): number {
    for (let index = from; index < this.count; index++) {
      if (equalsIgnoreCase(buffer, this.lineStart[index], this.nameEnd[index], lowerName)) return index;
    }
    return -1;
  }

  /** As `leaveOut`, with `_` in the place of any `-`, too: some servers take `X_Y` for `X-Y`. `foldedName` has none. */
  leaveOutWithTwins(buffer: Buffer, foldedName: string): void {
    for (let index = 0; index < this.count; index++) {
      const start = this.lineStart[index];
      if (this.nameEnd[index] - start !== foldedName.length) continue;
      let at = 0;
      while (at < foldedName.length && FOLD[buffer[start + at]] === foldedName.charCodeAt(at)) at++;
      if (at === foldedName.length) this.drop[index] = 1;
    }
  }

  /** Marks every field called `lowerName` as not forwarded; true if there was one. */
  leaveOut(buffer: Buffer, lowerName: string): boolean {
    let isThere = false;
    for (let index = this.find(buffer, lowerName); index >= 0; index = this.find(buffer, lowerName, index + 1)) {
      this.drop[index] = 1;
      isThere = true;
    }
    return isThere;
  }
}

/**
 * Calls back with each element of a comma-separated value (RFC 9110 §5.6.1), empty ones left out, trimmed.
 * Returns the number of elements.
 */
export function eachElement(
  buffer: Buffer,
  start: number,
  end: number,
  visit: (start: number, end: number) => void,
): number {
  let count = 0;
  let at = start;
  while (at < end) {
    let stop = at;
    while (stop < end && buffer[stop] !== COMMA) stop++;
    let first = at;
    let last = stop;
    while (first < last && (buffer[first] === SPACE || buffer[first] === TAB)) first++;
    while (last > first && (buffer[last - 1] === SPACE || buffer[last - 1] === TAB)) last--;
    if (last > first) {
      visit(first, last);
      count++;
    }
    at = stop + 1;
  }
  return count;
}
