// Hot path: a pick looks at every node, and allocates nothing.
import type { Exchange } from "../exchange.js";
import { finishHash, hashString } from "../hash.js";
import type { Node } from "../node.js";
import { FREE_IN_FLIGHT } from "./bounded-load.js";
import { type HotKeyOptions, hotKeyOptions, isOverCap, type KeyOrder, pickInOrder } from "./key-order.js";
import type { Eligible, Policy } from "./policy.js";

/**
 * Rendezvous hashing, or highest random weight: each node has a score for each key, and the best one has the
 * key. Shares are by weight without any points, a node that joins or leaves moves only its own share, and the
 * fallbacks of a key are the next best.
 *
 * **Linear**: every pick computes the score of every node, about 3 ns each and 20 ns where weights differ. For
 * more than a few dozen nodes take `ringHash`, which moves as few keys, or `maglev`.
 *
 * Throws `ERR_OPTION` for an option out of range.
 *
 * @see Thaler, Ravishankar: Using Name-Based Mappings to Increase Hit Rates, 1998
 * @see Schindelhauer, Schomaker: Weighted Distributed Hash Tables, 2005 (the logarithm)
 */
export function rendezvous(options: HotKeyOptions = {}): Policy {
  return new Rendezvous(hotKeyOptions(options));
}

class Rendezvous implements Policy, KeyOrder {
  readonly isKeyed = true;
  readonly #options: Required<HotKeyOptions>;
  /** Every node of the cluster, those without a weight included. */
  #members: readonly Node[] = [];
  /** Nodes with a weight, by id: equal scores tie by it, on every replica. */
  #nodes: readonly Node[] = [];
  #seeds = new Uint32Array(0);
  #weights = new Float64Array(0);
  #isEven = true;
  /** How far the order of the current key has been walked: everything up to this cost and position. */
  #cost = Number.NEGATIVE_INFINITY;
  #position = -1;

  constructor(options: Required<HotKeyOptions>) {
    this.#options = options;
  }

  update(nodes: readonly Node[]): void {
    this.#members = nodes;
    this.#nodes = nodes.filter((node) => node.weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#seeds = Uint32Array.from(this.#nodes, (node) => hashString(node.id));
    this.#weights = Float64Array.from(this.#nodes, (node) => node.weight);
    this.#isEven = this.#weights.every((weight) => weight === this.#weights[0]);
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    this.#begin();
    const home = this.next(exchange, eligible);
    if (home === undefined || home.inFlight < FREE_IN_FLIGHT) return home;
    this.#begin();
    return pickInOrder(this, this.#members, exchange, eligible, this.#options);
  }

  order(keyHash: number): Node[] {
    const costs = this.#nodes.map((_, position) => this.#costOf(keyHash, position));
    // Stable: equal costs stay in the order of the ids.
    const positions = costs.map((_, position) => position).sort((a, b) => costs[a] - costs[b]);
    return positions.map((position) => this.#nodes[position]);
  }

  isOverLoad(node: Node, exchange: Exchange, eligible: Eligible): boolean {
    return isOverCap(node, this.#members, exchange, eligible, this.#options);
  }

  #costOf(keyHash: number, position: number): number {
    const hash = finishHash(keyHash ^ this.#seeds[position], 0);
    // The logarithm keeps the order of equal weights: it is left out there.
    return this.#isEven ? -hash : -Math.log((hash + 0.5) / 2 ** 32) / this.#weights[position];
  }

  #begin(): void {
    this.#cost = Number.NEGATIVE_INFINITY;
    this.#position = -1;
  }

  /** The lowest cost behind the last one; only nodes that would win are asked. */
  next(exchange: Exchange, eligible: Eligible): Node | undefined {
    const { keyHash } = exchange;
    const fromCost = this.#cost;
    const fromPosition = this.#position;
    let bestCost = Number.POSITIVE_INFINITY;
    let best = -1;
    for (let position = 0; position < this.#seeds.length; position++) {
      const cost = this.#costOf(keyHash, position);
      if (cost >= bestCost || cost < fromCost || (cost === fromCost && position <= fromPosition)) continue;
      if (!eligible(this.#nodes[position], exchange)) continue;
      bestCost = cost;
      best = position;
    }
    this.#cost = bestCost;
    this.#position = best;
    return best < 0 ? undefined : this.#nodes[best];
  }
}
