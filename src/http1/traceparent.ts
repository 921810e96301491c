import { HEX, readLatin1 } from "./chars.js";

/** Offsets in `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. */
const TRACE_START = 3;
const PARENT_START = 36;
const FLAGS_START = 53;
const LENGTH = 55;
const DASH = 0x2d;
const LETTER_F = 0x66;
const LETTER_A = 0x61;

const SAMPLED = 1;
/** At least the last seven bytes of the trace id are random (level 2, §3.2.2.5.2). */
const RANDOM = 2;
const RANDOM_DIGITS = 14;
/** As many digits as a number holds exactly. */
const SHARE_DIGITS = 13;

/**
 * The trace id of a `traceparent` value, or "" for a bad one: of a higher version what version 00 has is read, and more
 * may follow behind a dash.
 *
 * @see W3C Trace Context, level 2, §3.2
 */
export function parseTraceparent(buffer: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length < LENGTH) return "";
  const isFirstVersion = buffer[start] === 0x30 && buffer[start + 1] === 0x30;
  if (length > LENGTH && (isFirstVersion || buffer[start + LENGTH] !== DASH)) return "";
  // ff is no version.
  if (buffer[start] === LETTER_F && buffer[start + 1] === LETTER_F) return "";
  const isWell =
    isLowerHex(buffer, start, start + 2) &&
    buffer[start + TRACE_START - 1] === DASH &&
    isId(buffer, start + TRACE_START, start + PARENT_START - 1) &&
    buffer[start + PARENT_START - 1] === DASH &&
    isId(buffer, start + PARENT_START, start + FLAGS_START - 1) &&
    buffer[start + FLAGS_START - 1] === DASH &&
    isLowerHex(buffer, start + FLAGS_START, start + LENGTH);
  if (!isWell) return "";
  return readLatin1(buffer, start + TRACE_START, start + PARENT_START - 1);
}

/** Hexadecimal digits without capitals. */
function isLowerHex(buffer: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const value = HEX[buffer[at]];
    if (value === 255 || (value > 9 && buffer[at] < LETTER_A)) return false;
  }
  return true;
}

/** Such digits, and not all of them zero. */
function isId(buffer: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (buffer[at] !== 0x30) return isLowerHex(buffer, start, end);
  return false;
}

/**
 * A `traceparent` that begins a trace, made of two random UUIDs (version 4). Whether it is marked as sampled follows from
 * its trace id, as with any consistent sampler: `sampledShare` is from 0 to 1.
 */
export function beginTrace(uuid: () => string, sampledShare: number): string {
  // The fixed bits of a UUID keep both ids from being zero and leave the last seven bytes random.
  const traceId = uuid().replaceAll("-", "");
  const parentId = uuid().replaceAll("-", "").slice(16);
  const randomness = Number.parseInt(traceId.slice(-RANDOM_DIGITS).slice(0, SHARE_DIGITS), 16) / 16 ** SHARE_DIGITS;
  const isSampled = randomness >= 1 - sampledShare;
  return `00-${traceId}-${parentId}-0${RANDOM | (isSampled ? SAMPLED : 0)}`;
}

/** The trace id in a value of `beginTrace`. */
export function traceIdOf(traceparent: string): string {
  return traceparent.slice(TRACE_START, PARENT_START - 1);
}
