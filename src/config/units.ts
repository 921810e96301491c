import { withoutPasswords } from "../core/secrets.js";
import { FnlbError } from "../errors.js";

const MILLISECONDS: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  kb: 1000,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
};

/** The longest time an option takes: what a 32-bit timer can wait, almost 25 days. */
export const DURATION_MS_MAX = 2 ** 31 - 1;

/** `250ms`, `1.5s`, `2m`, `1h`, `1d`, or a bare number of milliseconds; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  const value = parseQuantity(text, MILLISECONDS);
  return value === undefined || value > DURATION_MS_MAX ? undefined : value;
}

/** `64KiB`, `64k`, `1MiB`, `1MB`, or a bare number of bytes; undefined when it is none of these. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, BYTES);
}

/** Digits, at most one decimal point, and a unit; the result must be a whole number of the smallest unit. */
function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  const unit = match[2].toLowerCase();
  if (!Object.hasOwn(units, unit)) return undefined;
  // 1.1 * 1000 is not 1100 in binary: rounded first, then compared with what was written.
  const product = Number(match[1]) * units[unit];
  const value = Math.round(product);
  return Math.abs(product - value) < 1e-6 && Number.isSafeInteger(value) ? value : undefined;
}

/** A port as text: digits without a sign, from `min` to 65535. */
export function parsePort(text: string, min: 0 | 1): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= min && port <= 65_535 ? port : undefined;
}

/** What every bad option says, without the passwords of URLs; `source` is `option "ping-interval"` or `environment variable FNLB_PING_INTERVAL`. */
export function badOption(source: string, expected: string, got: string): FnlbError {
  return new FnlbError("ERR_OPTION", withoutPasswords(`${source} must be ${expected}, got ${JSON.stringify(got)}`));
}
