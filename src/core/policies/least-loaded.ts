// Hot path: a pick and a change of load each move one node in a heap; they allocate nothing while all are eligible.
import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import { EligibleHeap, type HeapEntry } from "./eligible-heap.js";
import type { Eligible, Policy } from "./policy.js";

/**
 * The eligible node with the fewest exchanges in flight per weight. Nodes that carry the same take turns by
 * weight, so that a cluster with little to do does not send everything to the first of its list.
 *
 * The least of all, not of a sample: the nodes stand in a heap by their load, and the cluster says by
 * `noteLoad` when one has changed. A sample would be as cheap, but could pick the most loaded of three.
 */
export function leastLoaded(): Policy {
  return new LeastLoaded();
}

interface LoadedNode extends HeapEntry {
  readonly order: number;
  readonly weight: number;
  /** In flight per weight, as last noted. */
  load: number;
  /** Grows by 1 / weight with each pick: among equals the lowest is next. */
  turn: number;
}

class LeastLoaded implements Policy {
  readonly #heap = new EligibleHeap<LoadedNode>({
    isBefore: (one, other) =>
      one.load < other.load ||
      (one.load === other.load && (one.turn < other.turn || (one.turn === other.turn && one.order < other.order))),
    onReturn() {},
  });
  /** By `node.index`. */
  #byIndex: (LoadedNode | undefined)[] = [];
  /** The highest turn that a pick has begun at. */
  #turn = 0;

  update(nodes: readonly Node[]): void {
    const turns = new Map<string, number>();
    for (const entry of this.#byIndex) if (entry !== undefined) turns.set(entry.node.id, entry.turn);
    const entries = nodes
      .filter((node) => node.weight > 0)
      .map((node, order) => ({
        node,
        order,
        weight: node.weight,
        load: node.inFlight / node.weight,
        turn: turns.get(node.id) ?? this.#turn,
        slot: -1,
      }));
    this.#byIndex = [];
    for (const entry of entries) this.#byIndex[entry.node.index] = entry;
    this.#heap.fill(entries);
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    const entry = this.#heap.first(exchange, eligible);
    if (entry === undefined) return undefined;
    // Turns that a node missed while it was away or busy are gone, or it would get a burst of them.
    if (entry.turn > this.#turn) this.#turn = entry.turn;
    entry.turn = this.#turn + 1 / entry.weight;
    this.#heap.settle(entry);
    return entry.node;
  }

  noteLoad(node: Node): void {
    const entry = this.#byIndex[node.index];
    if (entry?.node.id !== node.id) return;
    entry.load = node.inFlight / entry.weight;
    this.#heap.settle(entry);
  }
}
