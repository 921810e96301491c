/** Weights as whole numbers without a common divisor, and what 1 of them stands for. */
export interface WholeWeights {
  readonly whole: readonly number[];
  /** `weight / whole`, the same for all of them. */
  readonly unit: number;
}

/** Decimals that still count: beyond them weights are rounded, and never to nothing. */
const SCALE_MAX = 1_000_000;

/**
 * The smallest whole numbers in the ratio of some weights above 0. A cycle of a round robin is the sum of them:
 * with fractions it would never end.
 */
export function wholeWeights(weights: readonly number[]): WholeWeights {
  let scale = 1;
  while (scale < SCALE_MAX && !weights.every((weight) => Number.isInteger(scaled(weight, scale)))) scale *= 10;
  const whole = weights.map((weight) => Math.max(1, Math.round(weight * scale)));
  const divisor = whole.reduce(greatestCommonDivisor, 0) || 1;
  return { whole: whole.map((weight) => weight / divisor), unit: divisor / scale };
}

/** 0.07 * 100 is 7.000000000000001, and means 7. */
function scaled(weight: number, scale: number): number {
  const product = weight * scale;
  const nearest = Math.round(product);
  return Math.abs(product - nearest) < 1e-9 * product ? nearest : product;
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}
