import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";

/** May this node be chosen for this attempt? One function per cluster, made once. */
export type Eligible = (node: Node, exchange: Exchange) => boolean;

/** How an attempt at a node ended, as far as it speaks for or against the node. */
export const Outcome = {
  /** Nothing that concerns the node: never sent, or a fault of our own. */
  NONE: 0,
  /** The head of a response came. */
  ANSWERED: 1,
  /** Nobody waited any longer: a response would have taken more than this time. */
  LEFT: 2,
  /** Reset, closed or garbled before a response was complete, or timed out. A node that cannot be dialled is dead instead. */
  FAILED: 3,
} as const;
export type OutcomeCode = (typeof Outcome)[keyof typeof Outcome];

/** A ring as parts of its keys. */
export interface Arcs {
  /** Part of all keys that each node has, by id, in (0, 1]; exact. */
  readonly shares: ReadonlyMap<string, number>;
  /** Id of the owner of the middle of each of equally wide sectors; undefined where nobody has a weight. */
  readonly sectors: readonly (string | undefined)[];
}

/** Picks a node for an exchange. A policy is one file with one factory, and a line in `table.ts`. */
export interface Policy {
  /** Picks by `exchange.keyHash`: equal keys go to one node as long as nothing changes. */
  readonly isKeyed?: boolean;
  /**
   * Membership or weights changed. Keeps the state of nodes that stay, which are those with the same id, and of
   * their places in any order; the same list again changes nothing.
   */
  update(nodes: readonly Node[]): void;
  /** Never throws. `undefined`: nobody is eligible. */
  pick(exchange: Exchange, eligible: Eligible): Node | undefined;
  /**
   * For policies by key: the nodes in the order in which a key of this hash tries them, its home first, whatever their
   * state and load. Those without a weight have no part in it. Changes nothing, as does all that follows on it.
   */
  order?(keyHash: number): readonly Node[];
  /** For policies by key: does this eligible node carry so much that a pick passes over it? */
  isOverLoad?(node: Node, exchange: Exchange, eligible: Eligible): boolean;
  /** Who has which part of all keys, for policies that have a ring; undefined: what this one wraps has none. */
  arcs?(sectors: number): Arcs | undefined;
  /** `node.inFlight` changed. */
  noteLoad?(node: Node): void;
  /**
   * An attempt ended `waitedMs` after the whole request was on its way: at the head of the response, whose status is
   * given, or without one (0).
   */
  observe?(node: Node, outcome: OutcomeCode, waitedMs: number, status?: number): void;
}
