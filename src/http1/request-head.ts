// Hot path: one pass over the bytes, offsets instead of strings, no allocation.

import { finishHash, HASH_SEED, hashByte } from "../core/hash.js";
import type { ErrorCode } from "../errors.js";
import {
  COLON,
  CR,
  DIGIT,
  equalsIgnoreCase,
  HOST,
  LF,
  QUESTION,
  readLatin1,
  SLASH,
  SPACE,
  TARGET,
  TOKEN,
} from "./chars.js";
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

export interface RequestLimits {
  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  readonly targetBytesMax: number;
}

/** What a parse came to. */
export const HeadResult = { DONE: 0, MORE: 1, REFUSED: 2 } as const;

const METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] as const;

/**
 * Strict parser of one request head (RFC 9112 §2–§3, §5–§6). What could be read in two ways is refused, never
 * repaired. One object serves every connection of a process: after DONE the offsets describe the buffer that
 * was handed in and are valid until the next parse.
 */
export class RequestHead {
  readonly #limits: RequestLimits;
  readonly fields: FieldTable;

  /** Why, after REFUSED. */
  refusal: ErrorCode = "ERR_BAD_REQUEST";
  /** Offset of the first byte of the request line: an empty line in front of it is skipped. */
  start = 0;
  /** Offset behind the head. */
  end = 0;
  /** Known as soon as its blank has been read, also after REFUSED; "" before. */
  method = "";
  methodEnd = 0;
  /** The origin-form target: of an absolute-form target the part behind the authority. */
  targetStart = 0;
  targetEnd = 0;
  /** Where the path ends and the query, if any, begins. */
  pathEnd = 0;
  /** Finished hash of the path's bytes as received. */
  pathHash = 0;
  /** Offset behind the request line. */
  lineEnd = 0;
  /** True for `*`, and for an absolute-form OPTIONS without a path, which means the same (RFC 9112 §3.2.4). */
  isAsterisk = false;
  isAbsoluteForm = false;
  /** An absolute-form target without a path: `/` must be put in front of what is forwarded. */
  lacksSlash = false;
  /** The target is no longer the one on the request line: its path lost bytes by `stripPath`. */
  isStripped = false;
  /** 0 for HTTP/1.0, else 1. */
  minor = 1;
  /** True when the version on the line is not the one that is forwarded. */
  isOddVersion = false;
  /** The Host that the node gets; both 0 for an HTTP/1.0 request without one. */
  hostStart = 0;
  hostEnd = 0;
  /** One of `Framing`: NONE, COUNTED or CHUNKED. */
  framing: number = Framing.NONE;
  contentLength = 0;
  /** The Content-Length lines are to be replaced by one plain line. */
  lengthNeedsRewrite = false;
  /** May the client connection be used again, by version and Connection field? */
  isPersistent = true;
  expectsContinue = false;
  acceptsTrailers = false;
  /** `Connection: upgrade` was sent together with an Upgrade field. */
  wantsUpgrade = false;
  upgradeStart = 0;
  upgradeEnd = 0;
  hasForwardedFor = false;
  hasVia = false;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
    this.fields = new FieldTable(limits.headFieldsMax);
  }

  /**
   * Parses `buffer[start, end)`. MORE when the head has not ended (nothing may be read from this object then),
   * REFUSED with `refusal` set when it can never become a good one.
   */
  parse(buffer: Buffer, start: number, end: number): number {
    let at = start;
    this.method = "";
    // RFC 9112 §2.2: one empty line before the request line is ignored.
    if (at < end && buffer[at] === CR) {
      if (at + 1 >= end) return HeadResult.MORE;
      if (buffer[at + 1] !== LF) return this.#refuse("ERR_BAD_REQUEST");
      at += 2;
    }
    this.start = at;
    const first = at;
    while (at < end && TOKEN[buffer[at]] === 1) at++;
    if (at >= end) return this.#more(first, end);
    if (buffer[at] !== SPACE || at === first) return this.#refuse("ERR_BAD_REQUEST");
    this.methodEnd = at;
    this.method = methodName(buffer, first, at);

    const targetStart = ++at;
    const targetStop = Math.min(end, targetStart + this.#limits.targetBytesMax + 1);
    let hash = HASH_SEED;
    while (at < targetStop && TARGET[buffer[at]] === 1 && buffer[at] !== QUESTION) hash = hashByte(hash, buffer[at++]);
    const pathEnd = at;
    while (at < targetStop && TARGET[buffer[at]] === 1) at++;
    if (at - targetStart > this.#limits.targetBytesMax) return this.#refuse("ERR_TARGET_TOO_LONG");
    if (at >= end) return this.#more(first, end);
    if (buffer[at] !== SPACE || at === targetStart) return this.#refuse("ERR_BAD_REQUEST");
    this.targetStart = targetStart;
    this.targetEnd = at;
    this.pathEnd = pathEnd;

    // "HTTP/1.1" CR LF
    at++;
    if (!isVersion(buffer, at, Math.min(end, at + 10))) return this.#refuse("ERR_BAD_REQUEST");
    if (end - at < 10) return this.#more(first, end);
    if (buffer[at + 5] !== 0x31) return this.#refuse("ERR_VERSION");
    this.minor = buffer[at + 7] === 0x30 ? 0 : 1;
    this.isOddVersion = buffer[at + 7] !== 0x31;
    at += 10;
    this.lineEnd = at;

    const parsed = this.fields.parse(buffer, at, end);
    if (parsed === Parsed.MORE) return this.#more(first, end);
    if (parsed === Parsed.BAD) return this.#refuse("ERR_BAD_REQUEST");
    if (parsed === Parsed.TOO_MANY) return this.#refuse("ERR_HEAD_TOO_LARGE");
    this.end = this.fields.end;
    if (this.end - first > this.#limits.headBytesMax) return this.#refuse("ERR_HEAD_TOO_LARGE");

    if (this.method === "TRACE" || this.method === "CONNECT") return this.#refuse("ERR_METHOD");
    this.isAbsoluteForm = false;
    this.lacksSlash = false;
    this.isStripped = false;
    this.isAsterisk = false;
    if (buffer[targetStart] === SLASH) {
      this.pathHash = finishHash(hash, pathEnd - targetStart);
    } else if (!this.#readOtherTarget(buffer)) {
      return this.#refuse("ERR_BAD_REQUEST");
    }
    return this.#readFields(buffer);
  }

  /**
   * Forwards the target without the first `bytes` of its path, which end a segment; the rest stays as received. The
   * hash of the path stays that of the whole: what a node sees says nothing of where a key belongs.
   */
  stripPath(bytes: number): void {
    if (bytes === 0) return;
    this.targetStart += bytes;
    this.lacksSlash = this.targetStart === this.pathEnd;
    this.isStripped = true;
  }

  #refuse(code: ErrorCode): number {
    this.refusal = code;
    return HeadResult.REFUSED;
  }

  #more(start: number, end: number): number {
    return end - start > this.#limits.headBytesMax ? this.#refuse("ERR_HEAD_TOO_LARGE") : HeadResult.MORE;
  }

  /** Absolute-form and asterisk-form (RFC 9112 §3.2.2, §3.2.4); no other target is served. */
  #readOtherTarget(buffer: Buffer): boolean {
    const start = this.targetStart;
    const end = this.targetEnd;
    if (end - start === 1 && buffer[start] === 0x2a) {
      this.isAsterisk = this.method === "OPTIONS";
      return this.isAsterisk;
    }
    const scheme = equalsIgnoreCase(buffer, start, Math.min(end, start + 7), "http://") ? 7 : 0;
    const authority =
      start + (scheme || (equalsIgnoreCase(buffer, start, Math.min(end, start + 8), "https://") ? 8 : 0));
    if (authority === start) return false;
    let at = authority;
    while (at < end && buffer[at] !== SLASH && buffer[at] !== QUESTION) at++;
    if (!isHost(buffer, authority, at)) return false;
    this.isAbsoluteForm = true;
    this.hostStart = authority;
    this.hostEnd = at;
    this.targetStart = at;
    this.lacksSlash = at === end || buffer[at] === QUESTION;
    if (at === end && this.method === "OPTIONS") this.isAsterisk = true;
    let hash = HASH_SEED;
    let length = 0;
    if (this.lacksSlash) {
      hash = hashByte(hash, SLASH);
      length = 1;
    }
    while (at < end && buffer[at] !== QUESTION) {
      hash = hashByte(hash, buffer[at++]);
      length++;
    }
    this.pathEnd = at;
    this.pathHash = finishHash(hash, length);
    return true;
  }

  /** Reads what the fields mean and marks those that stay behind. */
  #readFields(buffer: Buffer): number {
    const fields = this.fields;
    this.framing = Framing.NONE;
    this.contentLength = 0;
    this.lengthNeedsRewrite = false;
    this.isPersistent = this.minor === 1;
    this.expectsContinue = false;
    this.acceptsTrailers = false;
    this.wantsUpgrade = false;
    this.upgradeStart = 0;
    this.upgradeEnd = 0;
    this.hasForwardedFor = false;
    this.hasVia = false;
    let hosts = 0;
    let lengths = 0;
    let length = NO_LENGTH;
    let codings = 0;
    let hasConnection = false;
    let hostStart = 0;
    let hostEnd = 0;

    for (let index = 0; index < fields.count; index++) {
      const id = fields.id[index];
      if (id === Field.OTHER) continue;
      const valueStart = fields.valueStart[index];
      const valueEnd = fields.valueEnd[index];
      switch (id) {
        case Field.HOST:
          if (++hosts > 1 || !isHost(buffer, valueStart, valueEnd)) return this.#refuse("ERR_BAD_REQUEST");
          hostStart = valueStart;
          hostEnd = valueEnd;
          break;
        case Field.CONTENT_LENGTH: {
          const value = parseContentLength(buffer, valueStart, valueEnd);
          if (value === BAD_LENGTH || (lengths > 0 && value !== length)) return this.#refuse("ERR_BAD_REQUEST");
          length = value;
          if (++lengths > 1 || !isPlainLength(buffer, valueStart, valueEnd)) this.lengthNeedsRewrite = true;
          break;
        }
        case Field.TRANSFER_ENCODING: {
          if (++codings > 1 || this.minor === 0) return this.#refuse("ERR_BAD_REQUEST");
          const coding = judgeTransferEncoding(buffer, valueStart, valueEnd);
          if (coding === Coding.BAD) return this.#refuse("ERR_BAD_REQUEST");
          if (coding === Coding.UNSUPPORTED) return this.#refuse("ERR_NOT_IMPLEMENTED");
          break;
        }
        case Field.CONNECTION:
          hasConnection = true;
          fields.drop[index] = 1;
          break;
        case Field.EXPECT:
          if (this.minor === 0) fields.drop[index] = 1;
          else if (equalsIgnoreCase(buffer, valueStart, valueEnd, "100-continue")) this.expectsContinue = true;
          else return this.#refuse("ERR_EXPECTATION");
          break;
        case Field.UPGRADE:
          this.upgradeStart = valueStart;
          this.upgradeEnd = valueEnd;
          fields.drop[index] = 1;
          break;
        case Field.TE:
          eachElement(buffer, valueStart, valueEnd, (first, last) => {
            if (equalsIgnoreCase(buffer, first, last, "trailers")) this.acceptsTrailers = true;
          });
          fields.drop[index] = 1;
          break;
        case Field.X_FORWARDED_FOR:
          this.hasForwardedFor = true;
          break;
        case Field.VIA:
          this.hasVia = true;
          break;
        case Field.KEEP_ALIVE:
        case Field.PROXY_CONNECTION:
        case Field.PROXY_AUTHENTICATE:
        case Field.PROXY_AUTHORIZATION:
        case Field.HTTP2_SETTINGS:
        case Field.FORWARDED_TWIN:
          fields.drop[index] = 1;
          break;
        default:
          break;
      }
    }

    if (hosts === 0 && this.minor === 1) return this.#refuse("ERR_BAD_REQUEST");
    if (codings > 0 && lengths > 0) return this.#refuse("ERR_BAD_REQUEST");
    if (this.isAbsoluteForm) {
      if (hosts > 0 && !equalsHost(buffer, this.hostStart, this.hostEnd, hostStart, hostEnd)) {
        return this.#refuse("ERR_BAD_REQUEST");
      }
    } else {
      this.hostStart = hostStart;
      this.hostEnd = hostEnd;
    }
    if (codings > 0) {
      this.framing = Framing.CHUNKED;
    } else if (lengths > 0) {
      this.framing = length === 0 ? Framing.NONE : Framing.COUNTED;
      this.contentLength = length;
    }
    if (hasConnection) this.#readConnection(buffer);
    if (this.expectsContinue && this.framing === Framing.NONE) this.expectsContinue = false;
    return HeadResult.DONE;
  }

  /** RFC 9110 §7.6.1: what Connection names is for this hop only, except what framing and routing rest on. */
  #readConnection(buffer: Buffer): void {
    const fields = this.fields;
    for (let index = 0; index < fields.count; index++) {
      if (fields.id[index] !== Field.CONNECTION) continue;
      eachElement(buffer, fields.valueStart[index], fields.valueEnd[index], (first, last) => {
        if (equalsIgnoreCase(buffer, first, last, "close")) {
          this.isPersistent = false;
          this.#closeSeen = true;
        } else if (equalsIgnoreCase(buffer, first, last, "keep-alive")) {
          if (this.minor === 0) this.isPersistent = true;
        } else if (equalsIgnoreCase(buffer, first, last, "upgrade")) {
          this.wantsUpgrade = this.upgradeEnd > this.upgradeStart && this.minor === 1;
        } else {
          dropNamed(fields, buffer, first, last);
        }
      });
    }
    if (this.#closeSeen) this.isPersistent = false;
    this.#closeSeen = false;
  }

  #closeSeen = false;
}

/** Marks every field whose name is `buffer[first, last)` as staying behind, unless fnlb or the framing needs it. */
export function dropNamed(fields: FieldTable, buffer: Buffer, first: number, last: number): void {
  const name = readLatin1(buffer, first, last).toLowerCase();
  for (let index = 0; index < fields.count; index++) {
    if (!equalsIgnoreCase(buffer, fields.lineStart[index], fields.nameEnd[index], name)) continue;
    const id = fields.id[index];
    const isKept =
      id === Field.HOST ||
      id === Field.CONTENT_LENGTH ||
      id === Field.TRANSFER_ENCODING ||
      id === Field.VIA ||
      id === Field.EXPECT ||
      id === Field.X_REQUEST_ID ||
      (id >= Field.X_FORWARDED_FOR && id <= Field.FORWARDED);
    if (!isKept) fields.drop[index] = 1;
  }
}

/** Is this `HTTP/` digit `.` digit CR LF, or the beginning of it? */
function isVersion(buffer: Buffer, start: number, end: number): boolean {
  const pattern = "HTTP/0.0\r\n";
  for (let index = 0; index < end - start; index++) {
    const expected = pattern.charCodeAt(index);
    const byte = buffer[start + index];
    if (expected === 0x30 ? DIGIT[byte] === 0 : byte !== expected) return false;
  }
  return true;
}

function methodName(buffer: Buffer, start: number, end: number): string {
  for (const method of METHODS) {
    if (end - start !== method.length || buffer[start] !== method.charCodeAt(0)) continue;
    let index = 1;
    while (index < method.length && buffer[start + index] === method.charCodeAt(index)) index++;
    if (index === method.length) return method;
  }
  return readLatin1(buffer, start, end);
}

/** uri-host [":" port] without userinfo, lists or blanks (RFC 9110 §7.2). */
function isHost(buffer: Buffer, start: number, end: number): boolean {
  let at = start;
  if (at < end && buffer[at] === 0x5b) {
    at++;
    const first = at;
    while (at < end && (HOST[buffer[at]] === 1 || buffer[at] === COLON)) at++;
    if (at >= end || buffer[at] !== 0x5d || at === first) return false;
    at++;
  } else {
    while (at < end && HOST[buffer[at]] === 1) at++;
    if (at === start) return false;
  }
  if (at < end && buffer[at] === COLON) {
    at++;
    while (at < end && DIGIT[buffer[at]] === 1) at++;
  }
  return at === end;
}

function equalsHost(buffer: Buffer, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  if (end - start !== otherEnd - otherStart) return false;
  for (let index = 0; index < end - start; index++) {
    let a = buffer[start + index];
    let b = buffer[otherStart + index];
    if (a >= 0x41 && a <= 0x5a) a += 0x20;
    if (b >= 0x41 && b <= 0x5a) b += 0x20;
    if (a !== b) return false;
  }
  return true;
}
