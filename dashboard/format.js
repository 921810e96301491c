const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Stands where nothing is known. */
export const NOTHING = "–";

/**
 * A number that is read at a glance: 0.4, 12, 1,840, 12.5k, 3.1M.
 * @param {number | null | undefined} value
 */
export function short(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value >= 1e6) return `${TENTHS.format(value / 1e6)}M`;
  if (value >= 1e4) return `${TENTHS.format(value / 1e3)}k`;
  return value >= 10 || Number.isInteger(value) ? WHOLE.format(value) : TENTHS.format(value);
}

/**
 * A number a second: always with a tenth below ten, so that it does not jump between 8 and 8.5.
 * @param {number | null | undefined} value
 */
export function perSecond(value) {
  return value === null || value === undefined || value === 0 || value >= 9.95 ? short(value) : value.toFixed(1);
}

/**
 * Milliseconds with a unit: 0.42 ms, 8.1 ms, 140 ms, 2.4 s.
 * @param {number | null | undefined} ms
 */
export function latency(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms >= 1000) return `${(ms / 1000).toPrecision(2)} s`;
  return ms >= 10 ? `${WHOLE.format(ms)} ms` : `${Number(ms.toPrecision(2))} ms`;
}

/** @param {number | null | undefined} share of 1 */
export function percent(share) {
  if (share === null || share === undefined) return NOTHING;
  const value = 100 * share;
  return `${value >= 9.95 || value === 0 ? WHOLE.format(value) : TENTHS.format(value)} %`;
}

/**
 * The two largest units: 45 s, 12 min, 3 h 20 min, 12 d 4 h.
 * @param {number} ms
 */
export function duration(ms) {
  if (ms < MINUTE_MS) return `${Math.floor(ms / 1000)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`;
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)} h ${Math.floor((ms % HOUR_MS) / MINUTE_MS)} min`;
  return `${Math.floor(ms / DAY_MS)} d ${Math.floor((ms % DAY_MS) / HOUR_MS)} h`;
}

/** @param {number} ms since the epoch */
export function timeOfDay(ms) {
  return CLOCK.format(ms);
}

/** @param {number} ms since the epoch */
export function dayOf(ms) {
  return DAY.format(ms);
}

/**
 * A number and its noun.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
export function counted(count, one, many = `${one}s`) {
  return `${WHOLE.format(count)} ${count === 1 ? one : many}`;
}
