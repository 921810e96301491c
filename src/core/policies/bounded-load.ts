import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { Eligible } from "./policy.js";

/** Exchanges that every node may hold whatever its share: below this a key never leaves its node. */
export const FREE_IN_FLIGHT = 8;

/** What the eligible nodes of a cluster carry at the moment of a pick. A policy keeps one and measures again when a node is crowded. */
export interface Load {
  /** Exchanges and tunnels in flight on the eligible nodes. */
  inFlight: number;
  /** Sum of the weights of the eligible nodes. */
  weight: number;
}

/** Fills in `load`. Looks at every node, so it is for picks that meet a node over `FREE_IN_FLIGHT` only. */
export function measureLoad(load: Load, nodes: readonly Node[], exchange: Exchange, eligible: Eligible): void {
  load.inFlight = 0;
  load.weight = 0;
  for (const node of nodes) {
    // What a dead or draining node still holds is nobody else's load: counted, it would loosen the others' bound.
    if (!eligible(node, exchange)) continue;
    load.inFlight += node.inFlight;
    load.weight += node.weight;
  }
}

/**
 * Exchanges in flight at which an eligible node of `weight` takes no new keys: `balanceFactor` times its share
 * of the load, and never below `FREE_IN_FLIGHT`.
 *
 * The load counts the exchange that is about to start: with a balance factor of 1 or more some eligible node
 * is then always below its cap.
 *
 * @see Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2018
 */
export function loadCap(load: Load, weight: number, balanceFactor: number): number {
  return Math.max(FREE_IN_FLIGHT, Math.ceil((balanceFactor * (load.inFlight + 1) * weight) / load.weight));
}
