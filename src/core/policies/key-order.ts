// Hot path for hot keys: allocates nothing.

import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import { checkRange } from "../option-range.js";
import { FREE_IN_FLIGHT, type Load, loadCap, measureLoad } from "./bounded-load.js";
import type { Eligible } from "./policy.js";

/** The nodes in the order in which one key tries them, from its home on. */
export interface KeyOrder {
  /** The next eligible node; each node comes once. `undefined` behind the last one. */
  next(exchange: Exchange, eligible: Eligible): Node | undefined;
}

/** What every policy that picks by key does with keys that are too much for one node. */
export interface HotKeyOptions {
  /** How far over the mean load a node may go before new keys overflow to its successors; 0 = off. Default 1.5. */
  readonly balanceFactor?: number;
  /**
   * How many nodes share a key once its home carries `FREE_IN_FLIGHT` exchanges: the least loaded of the first
   * so many in the key's order gets the next one. Below that a key stays with its home alone. Default 1 = off.
   */
  readonly spread?: number;
}

const SPREAD_MAX = 1000;

/** The options with their defaults. Throws `ERR_OPTION` for one out of range. */
export function hotKeyOptions({ balanceFactor = 1.5, spread = 1 }: HotKeyOptions): Required<HotKeyOptions> {
  checkRange("balanceFactor", balanceFactor, { from: 0 });
  checkRange("spread", spread, { from: 1, to: SPREAD_MAX });
  return { balanceFactor, spread: Math.floor(spread) };
}

/** Reused by every pick that meets a crowded node: no pick begins before the last one has ended. */
const load: Load = { inFlight: 0, weight: 0 };

/** Does `pickInOrder` pass over this eligible node for what it carries? */
export function isOverCap(
  node: Node,
  members: readonly Node[],
  exchange: Exchange,
  eligible: Eligible,
  { balanceFactor }: Required<HotKeyOptions>,
): boolean {
  if (balanceFactor === 0 || node.inFlight < FREE_IN_FLIGHT) return false;
  measureLoad(load, members, exchange, eligible);
  return node.inFlight >= loadCap(load, node.weight, balanceFactor);
}

/**
 * The node for a key whose order is at its beginning: its home as long as that has little to do, then the least
 * loaded of those who share the key, and if that is over its cap the first behind it that is not.
 */
export function pickInOrder(
  order: KeyOrder,
  members: readonly Node[],
  exchange: Exchange,
  eligible: Eligible,
  { balanceFactor, spread }: Required<HotKeyOptions>,
): Node | undefined {
  const home = order.next(exchange, eligible);
  if (home === undefined || home.inFlight < FREE_IN_FLIGHT) return home;
  let best = home;
  for (let shared = 1; shared < spread; shared++) {
    const node = order.next(exchange, eligible);
    if (node === undefined) break;
    if (node.inFlight * best.weight < best.inFlight * node.weight) best = node;
  }
  if (balanceFactor === 0) return best;
  measureLoad(load, members, exchange, eligible);
  for (let node: Node | undefined = best; node !== undefined; node = order.next(exchange, eligible)) {
    if (node.inFlight < loadCap(load, node.weight, balanceFactor)) return node;
  }
  return best;
}
