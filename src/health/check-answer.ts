import { compareVersions, parseVersion, type Version } from "../core/version.js";
import { BodyFramer } from "../http1/body.js";
import { Framing } from "../http1/framing.js";
import { HeadResult } from "../http1/request-head.js";
import { ResponseHead } from "../http1/response-head.js";

/** What became of one check. Reasons are short and stable; docs/health-checks.md lists them. */
export type CheckResult =
  | { readonly passed: true }
  | { readonly passed: false; readonly reason: string }
  /** It says nothing about the node: it was stopped, or the system had no socket for it. */
  | { readonly passed: undefined; readonly reason: string };

/** What must be so of an answer. */
export interface Expectation {
  /** The request was HEAD: there is no body behind the head. */
  readonly isHead: boolean;
  /** Ranges with both ends included. */
  readonly statuses: readonly (readonly [number, number])[];
  /** Undefined where the body is not looked at for it. */
  readonly bodyIncludes: Buffer | undefined;
  readonly minVersion: Version | undefined;
  readonly bodyBytesMax: number;
}

export const PASSED: CheckResult = { passed: true };

const HEAD_BYTES_MAX = 64 * 1024;
const TRAILER_BYTES_MAX = 16 * 1024;
/** A node that says no more than "wait" is not answering. */
const INTERIMS_MAX = 10;
/** Up to here a head is parsed with each piece, so that what is no HTTP is known at once. */
const EAGER_BYTES = 64;
const LF = 0x0a;

export function failed(reason: string): CheckResult {
  return { passed: false, reason };
}

/**
 * Judges the answer to one check as its bytes come. The status decides first and, where the body is not looked at,
 * alone; else the body is read to its end or its limit. A body that breaks off fails the check even if what was looked
 * for had come: a node that cannot finish an answer is not well.
 */
export class CheckAnswer {
  readonly #expectation: Expectation;
  readonly #head = new ResponseHead({ responseHeadBytesMax: HEAD_BYTES_MAX });
  readonly #framer = new BodyFramer(TRAILER_BYTES_MAX);
  /** Pieces of the head, then of the body: joined only when that can lead on. */
  #pieces: Buffer[] = [];
  #length = 0;
  #interims = 0;
  #isInBody = false;

  constructor(expectation: Expectation) {
    this.#expectation = expectation;
  }

  /** Takes the next bytes; gives the result as soon as there is one. */
  feed(buffer: Buffer, start: number, end: number): CheckResult | undefined {
    if (this.#isInBody) return this.#feedBody(buffer, start, end);
    this.#keep(buffer, start, end);
    // Nothing ends within a line. Bytes one by one must not cost their square.
    const isWorthParsing = this.#length <= EAGER_BYTES || this.#length > HEAD_BYTES_MAX;
    if (!isWorthParsing && !buffer.subarray(start, end).includes(LF)) return undefined;
    return this.#parse(Buffer.concat(this.#pieces));
  }

  /** The node has sent all that it will send. */
  finish(): CheckResult {
    if (!this.#isInBody || this.#framer.framing !== Framing.UNTIL_CLOSE) return failed("closed");
    return this.#judgeBody();
  }

  #keep(buffer: Buffer, start: number, end: number): void {
    // The buffer is shared by all streams and valid during the call only.
    this.#pieces.push(Buffer.from(buffer.subarray(start, end)));
    this.#length += end - start;
  }

  #parse(buffer: Buffer): CheckResult | undefined {
    const head = this.#head;
    let at = 0;
    for (;;) {
      const result = head.parse(buffer, at, buffer.length, this.#expectation.isHead);
      if (result === HeadResult.MORE) {
        this.#pieces = [buffer.subarray(at)];
        this.#length = buffer.length - at;
        return undefined;
      }
      if (result === HeadResult.REFUSED) return failed(head.isTooLarge ? "head too large" : "malformed");
      // RFC 9110 §15.2: several interim responses may come first; 101 is the last word on this connection.
      if (head.status >= 200 || head.status === 101) break;
      if (++this.#interims > INTERIMS_MAX) return failed("malformed");
      at = head.end;
    }
    return this.#judgeHead(buffer);
  }

  #judgeHead(buffer: Buffer): CheckResult | undefined {
    const { status, framing, contentLength, end } = this.#head;
    const { statuses, bodyIncludes, minVersion } = this.#expectation;
    if (!statuses.some(([first, last]) => first <= status && status <= last)) return failed(`status ${status}`);
    if (bodyIncludes === undefined && minVersion === undefined) return PASSED;
    this.#isInBody = true;
    this.#pieces = [];
    this.#length = 0;
    this.#framer.begin(framing, contentLength, true);
    return this.#feedBody(buffer, end, buffer.length);
  }

  #feedBody(buffer: Buffer, start: number, end: number): CheckResult | undefined {
    const framer = this.#framer;
    let at = start;
    while (at < end && !framer.isDone && !framer.isBad) {
      at = framer.feed(buffer, at, end);
      for (let index = 0; index < framer.spanCount; index++)
        this.#keep(buffer, framer.spans[index * 2], framer.spans[index * 2 + 1]);
    }
    if (framer.isBad) return failed("malformed");
    return framer.isDone || this.#length > this.#expectation.bodyBytesMax ? this.#judgeBody() : undefined;
  }

  #judgeBody(): CheckResult {
    const { bodyIncludes, minVersion, bodyBytesMax } = this.#expectation;
    const isTooLarge = this.#length > bodyBytesMax;
    const body = Buffer.concat(this.#pieces).subarray(0, bodyBytesMax);
    if (bodyIncludes !== undefined && !body.includes(bodyIncludes))
      return failed(isTooLarge ? "body too large" : "body");
    if (minVersion === undefined) return PASSED;
    // Half of a JSON text is none.
    return isTooLarge ? failed("body too large") : judgeVersion(body.toString(), minVersion);
  }
}

function judgeVersion(body: string, minVersion: Version): CheckResult {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // Why it is no JSON is the node's affair.
    return failed("not JSON");
  }
  const text = typeof value === "object" && value !== null && "version" in value ? value.version : undefined;
  const version = typeof text === "string" ? parseVersion(text) : undefined;
  if (version === undefined) return failed("no version");
  return compareVersions(version, minVersion) < 0 ? failed(`version ${text}`) : PASSED;
}
