/** @typedef {import("./shapes.js").HistorySeries} HistorySeries */
/** @typedef {import("./shapes.js").HistoryPoint} HistoryPoint */
/** @typedef {{ -readonly [name in keyof HistorySeries]: (number | null)[] }} Series */

/** As many as the balancer keeps. */
export const SAMPLES_MAX = 150;
const NAMES = /** @type {const} */ (["rate", "errors", "p50Ms", "p99Ms", "inFlight"]);

/** @returns {Series} */
export function emptySeries() {
  return { rate: [], errors: [], p50Ms: [], p99Ms: [], inFlight: [] };
}

/**
 * @param {HistorySeries} series
 * @returns {Series}
 */
export function copyOf({ rate, errors, p50Ms, p99Ms, inFlight }) {
  return { rate: [...rate], errors: [...errors], p50Ms: [...p50Ms], p99Ms: [...p99Ms], inFlight: [...inFlight] };
}

/**
 * @param {Series} series
 * @param {HistoryPoint | undefined} point undefined: it was not there
 */
export function append(series, point) {
  for (const name of NAMES) {
    series[name].push(point?.[name] ?? null);
    if (series[name].length > SAMPLES_MAX) series[name].shift();
  }
}

/**
 * The newest value.
 * @param {readonly (number | null)[]} values
 */
export function last(values) {
  return values[values.length - 1];
}

/**
 * Mean of the newest values; null where there is none.
 * @param {readonly (number | null)[]} values
 * @param {number} count
 */
export function meanOfLast(values, count) {
  let sum = 0;
  let known = 0;
  for (const value of values.slice(-count)) {
    if (value === null) continue;
    sum += value;
    known++;
  }
  return known === 0 ? null : sum / known;
}

/**
 * What a line shows, in words.
 * @param {string} noun
 * @param {readonly (number | null)[]} values
 * @param {(value: number) => string} format
 */
export function inWords(noun, values, format) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return `${noun}: nothing known yet`;
  const range = `between ${format(Math.min(...known))} and ${format(Math.max(...known))} over the last minutes`;
  const now = last(values);
  return `${noun}: ${range}${now === null || now === undefined ? "" : `, now ${format(now)}`}`;
}
