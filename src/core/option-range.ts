import { FnlbError } from "../errors.js";

/** The numbers that an option may have, both ends included. */
export interface OptionRange {
  readonly from: number;
  /** Default: every finite number from `from` upwards. */
  readonly to?: number;
}

/** Throws `ERR_OPTION` for a number outside its range, NaN and infinity among them. */
export function checkRange(option: string, value: number, { from, to = Number.MAX_VALUE }: OptionRange): void {
  if (value >= from && value <= to) return;
  const range = to === Number.MAX_VALUE ? `a number from ${from} upwards` : `a number from ${from} to ${to}`;
  throw new FnlbError("ERR_OPTION", `option "${option}" must be ${range}, got ${value}`);
}
