// Hot path for keys that leave their home: allocates nothing.
import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { KeyOrder } from "./key-order.js";
import type { Eligible } from "./policy.js";

/** A circle of places that belong to nodes. Walked from a key's place on, it is the order of that key. */
export class Circle implements KeyOrder {
  readonly nodes: readonly Node[];
  /** For each place the position of its node in `nodes`; every node has a place. */
  readonly owners: Uint32Array;
  /** For each node the number of the walk that saw it last. */
  readonly #seen: Uint16Array;
  #walk = 0;
  #unseen = 0;
  #place = 0;

  constructor(nodes: readonly Node[], owners: Uint32Array) {
    this.nodes = nodes;
    this.owners = owners;
    this.#seen = new Uint16Array(nodes.length);
  }

  /** Begins a walk at this place. */
  from(place: number): this {
    if (this.#walk === WALK_MAX) {
      this.#seen.fill(0);
      this.#walk = 0;
    }
    this.#walk++;
    this.#unseen = this.nodes.length;
    this.#place = place;
    return this;
  }

  /** All nodes in the order of a walk that begins at this place. */
  order(place: number): Node[] {
    const { nodes, owners } = this;
    const ordered = new Set<Node>();
    for (let step = 0; step < owners.length && ordered.size < nodes.length; step++) {
      ordered.add(nodes[owners[(place + step) % owners.length]]);
    }
    return [...ordered];
  }

  next(exchange: Exchange, eligible: Eligible): Node | undefined {
    const { nodes, owners } = this;
    const seen = this.#seen;
    // The walk ends with the last node, not with the last place: when all are dead every request comes this far.
    while (this.#unseen > 0) {
      const owner = owners[this.#place];
      this.#place = this.#place + 1 === owners.length ? 0 : this.#place + 1;
      if (seen[owner] === this.#walk) continue;
      seen[owner] = this.#walk;
      this.#unseen--;
      const node = nodes[owner];
      if (eligible(node, exchange)) return node;
    }
    return undefined;
  }
}

/** Walks are numbered within a Uint16Array; when the numbers run out, the stamps are wiped. */
const WALK_MAX = 0xffff;
