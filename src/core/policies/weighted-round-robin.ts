// Hot path: a pick moves one node in a heap, whatever the weights are; it allocates nothing while all are eligible.
import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import { EligibleHeap, type HeapEntry } from "./eligible-heap.js";
import { InterleavedTurns } from "./interleaved-turns.js";
import type { Eligible, Policy } from "./policy.js";
import { wholeWeights } from "./whole-weights.js";

export interface WeightedRoundRobinOptions {
  /**
   * `smooth` (default) spreads the turns of a heavy node over the cycle: 5, 1, 1 give a a b a c a a.
   * `interleaved` is the sequence of oxy and of LVS, a a a a a b c, for whoever depends on it.
   */
  readonly mode?: "smooth" | "interleaved";
}

/**
 * Turns by weight: in each cycle of Σw/g picks (g the greatest common divisor) every node gets exactly w/g.
 *
 * Only eligible nodes have turns. Else a node that was dead for an hour would come back owed an hour of
 * requests, and receive them in one burst; instead it waits for its next turn, and the others share its turns
 * by weight meanwhile.
 */
export function weightedRoundRobin({ mode = "smooth" }: WeightedRoundRobinOptions = {}): Policy {
  return mode === "interleaved" ? new InterleavedTurns() : new SmoothTurns();
}

/** The turns of one node. A class, because objects that are copied together are slow to read. */
class Turns implements HeapEntry {
  readonly node: Node;
  readonly order: number;
  readonly weight: number;
  /** Turns in a cycle. */
  readonly whole: number;
  /** When the next turn is due. */
  due: number;
  slot = -1;
  /** Had the latest turn of all. */
  isLast = false;
  /** How far the turns stand from where they would be in a fresh cycle. */
  #offset: number;
  #cycle = 0;
  #turn = 0;

  constructor(node: Node, order: number, whole: number, offset: number) {
    this.node = node;
    this.order = order;
    this.weight = node.weight;
    this.whole = whole;
    this.#offset = offset;
    this.due = offset + 0.5 / whole;
  }

  /** The same turns at another place in the list. */
  moved(node: Node, order: number): Turns {
    const moved = new Turns(node, order, this.whole, this.#offset);
    moved.#cycle = this.#cycle;
    moved.#turn = this.#turn;
    moved.due = this.due;
    return moved;
  }

  /** Turns that were due before are gone. The times of the others stay, so that the cycle stays exact. */
  skipTo(now: number): void {
    const missed = Math.ceil((now - this.due) * this.whole - ROUNDING);
    if (missed > 0) this.advance(missed);
  }

  /** Each time is computed from whole numbers, never by adding up: turns that are due at once must compare as equal. */
  advance(turns: number): void {
    this.#turn += turns;
    if (this.#turn >= this.whole) {
      this.#cycle += Math.floor(this.#turn / this.whole);
      this.#turn %= this.whole;
    }
    this.due = this.#cycle + (this.#offset + (this.#turn + 0.5) / this.whole);
  }
}

/**
 * A timetable: a cycle takes one unit of a time of its own, in which a node of weight w has its turns at
 * (k + ½) / w, for each k below w. What is due first is next; of those due at once the first in the list, but
 * rather not the node that has just had a turn. That is as even as what nginx gets by crediting all nodes for
 * each pick, without looking at all of them; and because every node keeps its own times, the death of a heavy
 * one leaves no light one waiting for the turns that the dead one no longer takes.
 */
class SmoothTurns implements Policy {
  readonly #heap = new EligibleHeap<Turns>({
    isBefore: (one, other) =>
      one.due < other.due ||
      (one.due === other.due && (one.isLast === other.isLast ? one.order < other.order : other.isLast)),
    onReturn: (entry) => entry.skipTo(this.#now),
  });
  #entries: readonly Turns[] = [];
  #unit = 1;
  /** When the latest turn was due. */
  #now = 0;
  #last: Turns | undefined;

  update(nodes: readonly Node[]): void {
    const before = new Map(this.#entries.map((entry) => [entry.node.id, entry]));
    const weighted = nodes.filter((node) => node.weight > 0);
    const { whole, unit } = wholeWeights(weighted.map((node) => node.weight));
    const isSameUnit = unit === this.#unit;
    const now = isSameUnit ? this.#now : 0;
    this.#entries = weighted.map((node, order) => {
      const stayed = before.get(node.id);
      const isKept = stayed !== undefined && isSameUnit && stayed.weight === node.weight;
      // A node that stays has waited for a part of its turn already, in any measure of time; a new one begins like all.
      const wait = stayed === undefined ? 0.5 : Math.max(0, (stayed.due - this.#now) * stayed.whole);
      const offset = now + (wait - 0.5) / whole[order];
      const entry = isKept ? stayed.moved(node, order) : new Turns(node, order, whole[order], offset);
      entry.isLast = stayed?.isLast === true;
      // It may have stood aside until now.
      entry.skipTo(now);
      return entry;
    });
    this.#unit = unit;
    this.#now = now;
    this.#last = this.#entries.find((entry) => entry.isLast);
    this.#heap.fill(this.#entries);
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    const entry = this.#heap.first(exchange, eligible);
    if (entry === undefined) return undefined;
    const last = this.#last;
    if (last !== entry) {
      if (last !== undefined) {
        last.isLast = false;
        this.#heap.settle(last);
      }
      entry.isLast = true;
      this.#last = entry;
    }
    if (entry.due > this.#now) this.#now = entry.due;
    entry.advance(1);
    this.#heap.settle(entry);
    return entry.node;
  }
}

/** Times are fractions: what is this close to a turn is that turn. */
const ROUNDING = 1e-6;
