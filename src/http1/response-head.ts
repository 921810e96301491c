// Hot path: one pass over the bytes, offsets instead of strings, no allocation.
import { CR, DIGIT, equalsIgnoreCase, LF, SPACE, VALUE } from "./chars.js";
import { eachElement, Field, FieldTable, Parsed } from "./fields.js";
import {
  BAD_LENGTH,
  Coding,
  Framing,
  isPlainLength,
  judgeTransferEncoding,
  NO_LENGTH,
  parseContentLength,
} from "./framing.js";
import { dropNamed, HeadResult } from "./request-head.js";

export interface ResponseLimits {
  readonly responseHeadBytesMax: number;
}

/** Many more fields than any node sends; above it the response is refused like one that is too large. */
const FIELDS_MAX = 500;

/**
 * Strict parser of one response head (RFC 9112 §4, §6). REFUSED means that the node does not speak HTTP/1 as a
 * client would understand it in one way only; the exchange ends with 502. One object serves every connection.
 */
export class ResponseHead {
  readonly #headBytesMax: number;
  readonly fields = new FieldTable(FIELDS_MAX);

  start = 0;
  end = 0;
  status = 0;
  /** Offset of the three digits. */
  statusStart = 0;
  /** Offset behind the status line. */
  lineEnd = 0;
  minor = 1;
  /** One of `Framing`, for the request method that `parse` was told. */
  framing: number = Framing.NONE;
  contentLength = 0;
  lengthNeedsRewrite = false;
  /** May the node connection be used again after this response? */
  isPersistent = true;
  /** `Keep-Alive: timeout=N` in milliseconds, or -1. */
  keepAliveMs = -1;
  upgradeStart = 0;
  upgradeEnd = 0;
  /** True when every line may pass as it came. */
  isPlain = true;
  /** After REFUSED: for its bytes or its number of fields. */
  isTooLarge = false;

  constructor(limits: ResponseLimits) {
    this.#headBytesMax = limits.responseHeadBytesMax;
  }

  /** Parses `buffer[start, end)`; `isHead` says that the request was HEAD, whose response has no body. */
  parse(buffer: Buffer, start: number, end: number, isHead: boolean): number {
    this.start = start;
    this.isTooLarge = false;
    let at = start;
    const line = "HTTP/1.";
    const known = Math.min(end - at, line.length);
    for (let index = 0; index < known; index++) {
      if (buffer[at + index] !== line.charCodeAt(index)) return HeadResult.REFUSED;
    }
    if (end - at < 14) return this.#more(start, end);
    at += line.length;
    if (DIGIT[buffer[at]] === 0) return HeadResult.REFUSED;
    this.minor = buffer[at] === 0x30 ? 0 : 1;
    const isOddVersion = buffer[at] !== 0x31;
    at++;
    if (buffer[at] !== SPACE) return HeadResult.REFUSED;
    at++;
    this.statusStart = at;
    let status = 0;
    for (let index = 0; index < 3; index++) {
      if (DIGIT[buffer[at]] === 0) return HeadResult.REFUSED;
      status = status * 10 + (buffer[at++] - 0x30);
    }
    if (status < 100 || status > 599) return HeadResult.REFUSED;
    this.status = status;
    // The space is required even before an empty reason (RFC 9112 §4), but many servers leave both out.
    if (buffer[at] !== SPACE && buffer[at] !== CR) return HeadResult.REFUSED;
    while (at < end && VALUE[buffer[at]] === 1) at++;
    if (at + 1 >= end) return this.#more(start, end);
    if (buffer[at] !== CR || buffer[at + 1] !== LF) return HeadResult.REFUSED;
    at += 2;
    this.lineEnd = at;

    const parsed = this.fields.parse(buffer, at, end);
    if (parsed === Parsed.MORE) return this.#more(start, end);
    if (parsed === Parsed.TOO_MANY) return this.#refuseLarge();
    if (parsed !== Parsed.DONE) return HeadResult.REFUSED;
    this.end = this.fields.end;
    if (this.end - start > this.#headBytesMax) return this.#refuseLarge();
    this.isPlain = !isOddVersion;
    return this.#readFields(buffer, isHead);
  }

  /** Marks every field called `lowerName` as not forwarded. */
  leaveOut(buffer: Buffer, lowerName: string): void {
    if (this.fields.leaveOut(buffer, lowerName)) this.isPlain = false;
  }

  #more(start: number, end: number): number {
    return end - start > this.#headBytesMax ? this.#refuseLarge() : HeadResult.MORE;
  }

  #refuseLarge(): number {
    this.isTooLarge = true;
    return HeadResult.REFUSED;
  }

  #readFields(buffer: Buffer, isHead: boolean): number {
    const fields = this.fields;
    this.isPersistent = this.minor === 1;
    this.keepAliveMs = -1;
    this.upgradeStart = 0;
    this.upgradeEnd = 0;
    this.lengthNeedsRewrite = false;
    let lengths = 0;
    let length = NO_LENGTH;
    let codings = 0;
    let hasConnection = false;
    for (let index = 0; index < fields.count; index++) {
      const id = fields.id[index];
      if (id === Field.OTHER) continue;
      const valueStart = fields.valueStart[index];
      const valueEnd = fields.valueEnd[index];
      switch (id) {
        case Field.CONTENT_LENGTH: {
          const value = parseContentLength(buffer, valueStart, valueEnd);
          if (value === BAD_LENGTH || (lengths > 0 && value !== length)) return HeadResult.REFUSED;
          length = value;
          if (++lengths > 1 || !isPlainLength(buffer, valueStart, valueEnd)) this.lengthNeedsRewrite = true;
          break;
        }
        case Field.TRANSFER_ENCODING:
          if (++codings > 1 || this.minor === 0) return HeadResult.REFUSED;
          if (judgeTransferEncoding(buffer, valueStart, valueEnd) !== Coding.CHUNKED) return HeadResult.REFUSED;
          break;
        case Field.CONNECTION:
          hasConnection = true;
          fields.drop[index] = 1;
          break;
        case Field.KEEP_ALIVE:
          this.keepAliveMs = readTimeout(buffer, valueStart, valueEnd);
          fields.drop[index] = 1;
          break;
        case Field.UPGRADE:
          this.upgradeStart = valueStart;
          this.upgradeEnd = valueEnd;
          fields.drop[index] = 1;
          break;
        case Field.TE:
        case Field.PROXY_CONNECTION:
        case Field.PROXY_AUTHENTICATE:
        case Field.PROXY_AUTHORIZATION:
          fields.drop[index] = 1;
          break;
        default:
          break;
      }
      if (fields.drop[index] === 1) this.isPlain = false;
    }
    if (lengths > 0 && codings > 0) return HeadResult.REFUSED;
    if (hasConnection) this.#readConnection(buffer);

    const status = this.status;
    this.contentLength = length;
    if (isHead || status === 204 || status === 304 || status < 200) {
      this.framing = Framing.NONE;
      if ((status === 204 || status < 200) && lengths + codings > 0) this.#dropFraming();
      else if (this.lengthNeedsRewrite) this.isPlain = false;
      return HeadResult.DONE;
    }
    if (this.lengthNeedsRewrite) this.isPlain = false;
    if (codings > 0) this.framing = Framing.CHUNKED;
    else if (lengths > 0) this.framing = length === 0 ? Framing.NONE : Framing.COUNTED;
    else {
      this.framing = Framing.UNTIL_CLOSE;
      this.isPersistent = false;
    }
    return HeadResult.DONE;
  }

  /** RFC 9110 §8.6, RFC 9112 §6.1: neither length field has a meaning on 1xx and 204. */
  #dropFraming(): void {
    const fields = this.fields;
    for (let index = 0; index < fields.count; index++) {
      const id = fields.id[index];
      if (id === Field.CONTENT_LENGTH || id === Field.TRANSFER_ENCODING) fields.drop[index] = 1;
    }
    this.lengthNeedsRewrite = false;
    this.isPlain = false;
  }

  #readConnection(buffer: Buffer): void {
    const fields = this.fields;
    let isClosing = false;
    for (let index = 0; index < fields.count; index++) {
      if (fields.id[index] !== Field.CONNECTION) continue;
      const start = fields.valueStart[index];
      const end = fields.valueEnd[index];
      if (equalsIgnoreCase(buffer, start, end, "keep-alive")) {
        this.isPersistent = true;
        continue;
      }
      eachElement(buffer, start, end, (first, last) => {
        if (equalsIgnoreCase(buffer, first, last, "close")) isClosing = true;
        else if (equalsIgnoreCase(buffer, first, last, "keep-alive")) this.isPersistent = true;
        else if (!equalsIgnoreCase(buffer, first, last, "upgrade")) dropNamed(fields, buffer, first, last);
      });
    }
    if (isClosing) this.isPersistent = false;
  }
}

/** The timeout parameter of a Keep-Alive field, in milliseconds, or -1. */
function readTimeout(buffer: Buffer, start: number, end: number): number {
  let timeoutMs = -1;
  eachElement(buffer, start, end, (first, last) => {
    if (last - first < 9 || !equalsIgnoreCase(buffer, first, first + 8, "timeout=")) return;
    let seconds = 0;
    for (let at = first + 8; at < last; at++) {
      if (DIGIT[buffer[at]] === 0 || seconds > 86_400) return;
      seconds = seconds * 10 + (buffer[at] - 0x30);
    }
    timeoutMs = seconds * 1000;
  });
  return timeoutMs;
}
