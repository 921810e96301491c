// Hot path: bodies pass through untouched; framing is only counted.
import { CR, HEX, LF, readLatin1, SEMICOLON, VALUE } from "./chars.js";
import { FieldTable, Parsed } from "./fields.js";
import { Framing } from "./framing.js";

const SPANS_MAX = 64;
/** Extensions mean nothing to anybody; a chunk line longer than this is an attack (RFC 9112 §7.1.1). */
const EXTENSION_BYTES_MAX = 4096;
const SIZE_DIGITS_MAX = 16;
const TRAILER_FIELDS_MAX = 100;
const TRAILER_BYTES_MIN = 512;

const State = {
  SIZE_FIRST: 0,
  SIZE: 1,
  EXTENSION: 2,
  SIZE_LF: 3,
  DATA: 4,
  DATA_CR: 5,
  DATA_LF: 6,
  TRAILER_FIRST: 7,
  TRAILER_LF: 8,
  TRAILER: 9,
} as const;

/**
 * Follows one message body through the bytes of a connection (RFC 9112 §6–§7).
 *
 * `feed` reports which bytes go on as spans of the buffer it was given, normally a single one that covers
 * everything. Chunk extensions are left out of the spans; with `dechunk` so is all chunk framing. A trailer
 * section that has fields is collected, cleaned of forbidden ones and given as `tail`, to be sent behind the spans.
 */
export class BodyFramer {
  /** The most that a trailer section may have, with its names and values, from the next body on. */
  trailerBytesMax: number;
  #framing: number = Framing.NONE;
  #state: number = State.SIZE_FIRST;
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;
  #dechunk = false;
  #trailer: Buffer | undefined;
  #trailerLength = 0;

  /** The whole body has been seen. */
  isDone = true;
  /** The framing is broken: both connections are beyond use. */
  isBad = false;
  /** Body bytes seen so far, framing and trailers not counted. */
  bodyBytes = 0;
  /** Pairs of start and end, `spanCount` of them. */
  readonly spans = new Float64Array(SPANS_MAX * 2);
  spanCount = 0;
  /** What follows the spans when a trailer section was rewritten. */
  tail: Buffer | undefined;

  constructor(trailerBytesMax: number) {
    this.trailerBytesMax = trailerBytesMax;
  }

  /** Begins a body. `length` counts for COUNTED only; `dechunk` for CHUNKED only. */
  begin(framing: number, length: number, dechunk: boolean): void {
    this.#framing = framing;
    this.#remaining = framing === Framing.COUNTED ? length : 0;
    this.#state = State.SIZE_FIRST;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#dechunk = dechunk;
    this.#trailer = undefined;
    this.#trailerLength = 0;
    this.isDone = framing === Framing.NONE || (framing === Framing.COUNTED && length === 0);
    this.isBad = false;
    this.bodyBytes = 0;
    this.spanCount = 0;
    this.tail = undefined;
  }

  /** Ends a body that lasts until the connection closes. */
  finish(): void {
    if (this.#framing === Framing.UNTIL_CLOSE) this.isDone = true;
  }

  get framing(): number {
    return this.#framing;
  }

  /**
   * Takes the bytes `buffer[start, end)` and returns the offset behind the last one that belongs to this body or
   * could be handled: call again while it is below `end` and neither `isDone` nor `isBad`.
   */
  feed(buffer: Buffer, start: number, end: number): number {
    this.spanCount = 0;
    this.tail = undefined;
    if (this.isDone || start >= end) return start;
    if (this.#framing === Framing.CHUNKED) return this.#feedChunked(buffer, start, end);
    let stop = end;
    if (this.#framing === Framing.COUNTED) {
      if (end - start > this.#remaining) stop = start + this.#remaining;
      this.#remaining -= stop - start;
      this.isDone = this.#remaining === 0;
    }
    this.bodyBytes += stop - start;
    this.#addSpan(start, stop);
    return stop;
  }

  #addSpan(start: number, end: number): void {
    if (end <= start) return;
    const last = this.spanCount * 2 - 1;
    if (this.spanCount > 0 && this.spans[last] === start) {
      this.spans[last] = end;
      return;
    }
    this.spans[this.spanCount * 2] = start;
    this.spans[this.spanCount * 2 + 1] = end;
    this.spanCount++;
  }

  #fail(at: number): number {
    this.isBad = true;
    return at;
  }

  #feedChunked(buffer: Buffer, start: number, end: number): number {
    const framingPasses = !this.#dechunk;
    let at = start;
    while (at < end) {
      if (this.spanCount === SPANS_MAX) return at;
      switch (this.#state) {
        case State.SIZE_FIRST:
        case State.SIZE: {
          const byte = buffer[at];
          const digit = HEX[byte];
          if (digit !== 255) {
            if (++this.#digits > SIZE_DIGITS_MAX) return this.#fail(at);
            this.#remaining = this.#remaining * 16 + digit;
            if (this.#remaining > Number.MAX_SAFE_INTEGER) return this.#fail(at);
            this.#state = State.SIZE;
          } else {
            if (this.#state === State.SIZE_FIRST) return this.#fail(at);
            if (byte === CR) this.#state = State.SIZE_LF;
            else if (byte === SEMICOLON) {
              this.#state = State.EXTENSION;
              this.#extensionBytes = 0;
              at++;
              break;
            } else return this.#fail(at);
          }
          if (framingPasses) this.#addSpan(at, at + 1);
          at++;
          break;
        }
        case State.EXTENSION: {
          const byte = buffer[at];
          if (byte === CR) {
            this.#state = State.SIZE_LF;
            if (framingPasses) this.#addSpan(at, at + 1);
          } else if (VALUE[byte] === 0 || ++this.#extensionBytes > EXTENSION_BYTES_MAX) return this.#fail(at);
          at++;
          break;
        }
        case State.SIZE_LF:
          if (buffer[at] !== LF) return this.#fail(at);
          if (framingPasses) this.#addSpan(at, at + 1);
          at++;
          this.#state = this.#remaining > 0 ? State.DATA : State.TRAILER_FIRST;
          break;
        case State.DATA: {
          const stop = end - at > this.#remaining ? at + this.#remaining : end;
          this.#addSpan(at, stop);
          this.bodyBytes += stop - at;
          this.#remaining -= stop - at;
          at = stop;
          if (this.#remaining === 0) this.#state = State.DATA_CR;
          break;
        }
        case State.DATA_CR:
          if (buffer[at] !== CR) return this.#fail(at);
          if (framingPasses) this.#addSpan(at, at + 1);
          at++;
          this.#state = State.DATA_LF;
          break;
        case State.DATA_LF:
          if (buffer[at] !== LF) return this.#fail(at);
          if (framingPasses) this.#addSpan(at, at + 1);
          at++;
          this.#digits = 0;
          this.#remaining = 0;
          this.#state = State.SIZE_FIRST;
          break;
        case State.TRAILER_FIRST:
          if (buffer[at] !== CR) {
            this.#state = State.TRAILER;
            break;
          }
          if (framingPasses) this.#addSpan(at, at + 1);
          at++;
          this.#state = State.TRAILER_LF;
          break;
        case State.TRAILER_LF:
          if (buffer[at] !== LF) return this.#fail(at);
          if (framingPasses) this.#addSpan(at, at + 1);
          this.isDone = true;
          return at + 1;
        default:
          return this.#collectTrailer(buffer, at, end);
      }
    }
    return at;
  }

  /** Holds the trailer section until it is complete: a field that must not pass is known only with its line. */
  #collectTrailer(buffer: Buffer, start: number, end: number): number {
    const room = this.trailerBytesMax - this.#trailerLength;
    const taken = Math.min(room, end - start);
    const length = this.#trailerLength + taken;
    const held = this.#trailerRoom(length);
    buffer.copy(held, this.#trailerLength, start, start + taken);
    if (!buffer.subarray(start, start + taken).includes(LF)) {
      // Nothing ends within a line. Bytes one by one must not cost their square.
      if (taken < end - start) return this.#fail(start);
      this.#trailerLength = length;
      return end;
    }
    const fields = new FieldTable(TRAILER_FIELDS_MAX);
    const parsed = fields.parse(held, 0, length);
    if (parsed === Parsed.MORE) {
      if (taken < end - start) return this.#fail(start);
      this.#trailerLength = length;
      return end;
    }
    if (parsed !== Parsed.DONE) return this.#fail(start);
    this.isDone = true;
    if (!this.#dechunk) this.tail = keptTrailers(fields, held);
    const consumed = fields.end - this.#trailerLength;
    this.#trailer = undefined;
    return start + consumed;
  }

  /** The buffer of the trailer section, with room for so many bytes. */
  #trailerRoom(bytes: number): Buffer {
    let trailer = this.#trailer;
    if (trailer === undefined || trailer.length < bytes) {
      const grown = Buffer.allocUnsafeSlow(Math.max(TRAILER_BYTES_MIN, 2 * bytes));
      trailer?.copy(grown, 0, 0, this.#trailerLength);
      trailer = grown;
      this.#trailer = grown;
    }
    return trailer;
  }
}

/**
 * Fields that decide about framing, routing, authentication or content and so have no place behind a body
 * (RFC 9110 §6.5.1).
 */
const FORBIDDEN_TRAILERS = new Set([
  "transfer-encoding",
  "content-length",
  "host",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "max-forwards",
  "cache-control",
  "pragma",
  "range",
  "authorization",
  "proxy-authorization",
  "proxy-authenticate",
  "www-authenticate",
  "cookie",
  "set-cookie",
  "content-encoding",
  "content-type",
  "content-range",
  "location",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "via",
  "date",
  "age",
  "expires",
  "vary",
  "retry-after",
]);

function keptTrailers(fields: FieldTable, buffer: Buffer): Buffer {
  const kept: Buffer[] = [];
  for (let index = 0; index < fields.count; index++) {
    const name = readLatin1(buffer, fields.lineStart[index], fields.nameEnd[index]).toLowerCase().replaceAll("_", "-");
    if (!FORBIDDEN_TRAILERS.has(name)) kept.push(buffer.subarray(fields.lineStart[index], fields.lineEnd[index]));
  }
  kept.push(Buffer.from("\r\n", "latin1"));
  return Buffer.concat(kept);
}
