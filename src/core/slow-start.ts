import type { Exchange } from "./exchange.js";
import { finishHash, hashString } from "./hash.js";
import type { Node } from "./node.js";
import { FREE_IN_FLIGHT, type Load } from "./policies/bounded-load.js";

export interface SlowStartDependencies {
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** What a node has at once: with nothing it would never get warm, and a ramp would only put the burst off. */
const FIRST_SHARE = 0.1;

/**
 * Nodes that have just come, or come back, and grow into their share: from a tenth of it to all of it over
 * `slowStartMs`. Their caches are cold, and a policy by load would send everything to who has nothing to do.
 *
 * It works on what a policy has picked, not on what it may pick: a node that has been debited for its turn, and
 * gives it up, gets a part of its turns whatever the policy is. A policy that asks only the node whose turn it is
 * would just ask again at the next pick. Where keys have homes, keys come back one by one and stay; else chance
 * decides pick by pick.
 */
export class SlowStart {
  readonly #dependencies: SlowStartDependencies;
  readonly #slowStartMs: number;
  /** When each node that is not warm yet began. */
  readonly #begun = new Map<Node, number>();

  constructor(dependencies: SlowStartDependencies, slowStartMs: number) {
    this.#dependencies = dependencies;
    this.#slowStartMs = slowStartMs;
  }

  /** Somebody may be growing into its share. */
  get isUnderWay(): boolean {
    return this.#begun.size > 0;
  }

  begin(node: Node): void {
    if (this.#slowStartMs > 0) this.#begun.set(node, this.#dependencies.now());
  }

  /** Only these go on; others have left. */
  retain(nodes: readonly Node[]): void {
    for (const node of this.#begun.keys()) if (!nodes.includes(node)) this.#begun.delete(node);
  }

  isGrowing(node: Node): boolean {
    const begun = this.#begun.get(node);
    if (begun === undefined) return false;
    if (this.#dependencies.now() - begun < this.#slowStartMs) return true;
    this.#begun.delete(node);
    return false;
  }

  /** Must this growing node, which a policy has picked, leave the exchange to others? `load` is that of the eligible nodes. */
  holdsBack(node: Node, exchange: Exchange, isKeyed: boolean, load: Load): boolean {
    const elapsedMs = this.#dependencies.now() - (this.#begun.get(node) ?? 0);
    const share = Math.max(FIRST_SHARE, elapsedMs / this.#slowStartMs);
    // The part of its turns is no bound for a policy that gives an idle node every turn: its part of the load is.
    const inFlightMax = Math.ceil((share * (load.inFlight + 1) * node.weight) / load.weight);
    if (node.inFlight >= Math.max(isKeyed ? FREE_IN_FLIGHT : 1, inFlightMax)) return true;
    const chance = isKeyed ? chanceOf(node, exchange.keyHash) : this.#dependencies.random();
    return chance >= share;
  }
}

/** The same number in [0, 1) for a node and a key each time, and another for each pair. */
function chanceOf(node: Node, keyHash: number): number {
  return finishHash(Math.imul(keyHash, 0x9e3779b1) ^ hashString(node.id), 0) / 2 ** 32;
}
