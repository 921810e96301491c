import { DIGIT } from "./chars.js";

const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
/** What 63 bits of nanoseconds hold: almost 300 years. */
const DURATION_MS_MAX = 2 ** 63 / 1e6;
/** Behind these, digits of a fraction no longer change the number. */
const FRACTION_MAX = 1e15;

/**
 * A duration as Go's `time.ParseDuration` reads it, in milliseconds: `300ms`, `1.5s`, `1h2m3.5s`, `2us`, `1µs`, `0`.
 * What Go refuses, and what is negative, is -1.
 */
export function parseGoDuration(buffer: Buffer, start: number, end: number): number {
  let at = start;
  if (at < end && buffer[at] === PLUS) at++;
  if (at === end) return -1;
  if (end - at === 1 && buffer[at] === ZERO) return 0;
  let totalMs = 0;
  while (at < end) {
    const first = at;
    let value = 0;
    while (at < end && DIGIT[buffer[at]] === 1) value = value * 10 + (buffer[at++] - ZERO);
    let digits = at - first;
    if (at < end && buffer[at] === DOT) {
      const point = at++;
      let fraction = 0;
      let scale = 1;
      for (; at < end && DIGIT[buffer[at]] === 1; at++) {
        if (scale === FRACTION_MAX) continue;
        fraction = fraction * 10 + (buffer[at] - ZERO);
        scale *= 10;
      }
      value += fraction / scale;
      digits += at - point - 1;
    }
    if (digits === 0) return -1;
    const unitStart = at;
    while (at < end && DIGIT[buffer[at]] === 0 && buffer[at] !== DOT) at++;
    const unitMs = unitOf(buffer, unitStart, at);
    if (unitMs === 0) return -1;
    totalMs += value * unitMs;
    if (!(totalMs < DURATION_MS_MAX)) return -1;
  }
  return totalMs;
}

const S = 0x73;

/** Milliseconds of a unit, or 0. The sign of micro comes in UTF-8, of which there are two, or in Latin-1. */
function unitOf(buffer: Buffer, start: number, end: number): number {
  const first = buffer[start];
  switch (end - start) {
    case 1:
      return first === S ? 1000 : first === 0x6d ? 60_000 : first === 0x68 ? 3_600_000 : 0;
    case 2:
      if (buffer[start + 1] !== S) return 0;
      return first === 0x6d ? 1 : first === 0x75 || first === 0xb5 ? 1e-3 : first === 0x6e ? 1e-6 : 0;
    case 3: {
      const isMicro = (first === 0xc2 && buffer[start + 1] === 0xb5) || (first === 0xce && buffer[start + 1] === 0xbc);
      return isMicro && buffer[start + 2] === S ? 1e-3 : 0;
    }
    default:
      return 0;
  }
}
