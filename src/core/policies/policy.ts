import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";

/** May this node be chosen for this attempt? One function per cluster, made once. */
export type Eligible = (node: Node, exchange: Exchange) => boolean;

/** Picks a node for an exchange. A policy is one file with one factory, and a line in `table.ts`. */
export interface Policy {
  /** Membership or weights changed. Keeps the state of nodes that stay. */
  update(nodes: readonly Node[]): void;
  /** Never throws. `undefined`: nobody is eligible. */
  pick(exchange: Exchange, eligible: Eligible): Node | undefined;
}
