import { badOption } from "./units.js";
import { type Given, listItems } from "./value.js";

/** What a request is repeated for, if it may be repeated at all. */
export interface RetryOn {
  /** Its node closed the connection before it answered. */
  readonly closed: boolean;
  /** Its node has fallen silent. */
  readonly silent: boolean;
  /** The node answered with one of these. */
  readonly statuses: readonly number[];
}

const SHAPE = "none, or closed, silent and statuses from 400 to 599, comma-separated";

export function readRetryOn(given: Given): RetryOn {
  const items = listItems(given);
  if (items.length === 1 && items[0] === "none") return { closed: false, silent: false, statuses: [] };
  const statuses: number[] = [];
  for (const item of items) {
    if (item === "closed" || item === "silent") continue;
    if (!/^[45]\d\d$/.test(item)) throw badOption(given.source, SHAPE, item);
    statuses.push(Number(item));
  }
  if (items.length === 0) throw badOption(given.source, SHAPE, "");
  return { closed: items.includes("closed"), silent: items.includes("silent"), statuses };
}
