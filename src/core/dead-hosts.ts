import type { Node } from "./node.js";

export interface DeadHostEvents {
  /** A node came into the set: `code` is the dial's error code. Once per transition. */
  onDead(node: Node, code: string): void;
  /** A node left the set. Once per transition. */
  onAlive(node: Node): void;
}

/** System errors that are the balancer's own trouble and say nothing about a node. */
const OWN_FAULTS = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EAI_AGAIN"]);

/** Does this error code of a failed dial speak against the node that was dialled? */
export function isDialFault(code: string): boolean {
  return !OWN_FAULTS.has(code);
}

/**
 * The nodes that cannot be reached, known to everybody from the first failed dial on and until a dial succeeds.
 * Each node is marked and revived by itself: no snapshot of the set is ever written back.
 */
export class DeadHosts {
  readonly #events: DeadHostEvents;
  #size = 0;

  constructor(events: DeadHostEvents) {
    this.#events = events;
  }

  get size(): number {
    return this.#size;
  }

  mark(node: Node, code: string): void {
    if (!node.alive) return;
    node.alive = false;
    node.suspect = false;
    this.#size++;
    node.stats.deaths++;
    this.#events.onDead(node, code);
  }

  revive(node: Node): void {
    if (node.alive) return;
    node.alive = true;
    this.#size--;
    this.#events.onAlive(node);
  }
}
