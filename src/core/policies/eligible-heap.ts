// Hot path: allocates nothing while nobody stands aside.
import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { Eligible } from "./policy.js";

/** What a heap holds: a node and what orders it. */
export interface HeapEntry {
  readonly node: Node;
  /** Where it is in the heap; kept by the heap, negative while it is not in it. */
  slot: number;
}

/** What an ordered policy keeps of its nodes. */
export interface HeapOrder<Entry> {
  /** A strict order: of two different entries exactly one is before the other. */
  isBefore(one: Entry, other: Entry): boolean;
  /** An entry that stood aside is eligible again; its place may be changed now. */
  onReturn(entry: Entry): void;
}

/**
 * A binary heap of nodes that finds the first *eligible* one. The first is asked alone, so a pick costs the
 * logarithm of the number of nodes. One that refuses stands aside and is asked again before each later pick:
 * that part of a pick grows with the nodes that are not eligible, and with nothing else.
 */
export class EligibleHeap<Entry extends HeapEntry> {
  readonly #order: HeapOrder<Entry>;
  #entries: Entry[] = [];
  #aside: Entry[] = [];

  constructor(order: HeapOrder<Entry>) {
    this.#order = order;
  }

  /** Forgets everybody and holds these. */
  fill(entries: readonly Entry[]): void {
    this.#entries = [];
    this.#aside = [];
    for (const entry of entries) this.#push(entry);
  }

  /** The first eligible entry, which stays where it is; `undefined` when there is none. */
  first(exchange: Exchange, eligible: Eligible): Entry | undefined {
    if (this.#aside.length > 0) this.#askAside(exchange, eligible);
    while (this.#entries.length > 0) {
      const entry = this.#entries[0];
      if (eligible(entry.node, exchange)) return entry;
      this.#removeFirst();
      this.#aside.push(entry);
    }
    return undefined;
  }

  /** What orders this entry has changed. */
  settle(entry: Entry): void {
    if (entry.slot < 0) return;
    const slot = entry.slot;
    this.#rise(entry);
    if (entry.slot === slot) this.#sink(entry);
  }

  #askAside(exchange: Exchange, eligible: Eligible): void {
    const aside = this.#aside;
    let kept = 0;
    for (const entry of aside) {
      if (eligible(entry.node, exchange)) {
        this.#order.onReturn(entry);
        this.#push(entry);
      } else aside[kept++] = entry;
    }
    aside.length = kept;
  }

  #push(entry: Entry): void {
    entry.slot = this.#entries.length;
    this.#entries.push(entry);
    this.#rise(entry);
  }

  #removeFirst(): void {
    const [first] = this.#entries;
    const last = this.#entries.pop()!;
    first.slot = -1;
    if (last === first) return;
    last.slot = 0;
    this.#entries[0] = last;
    this.#sink(last);
  }

  #rise(entry: Entry): void {
    const entries = this.#entries;
    let { slot } = entry;
    while (slot > 0) {
      const parent = entries[(slot - 1) >> 1];
      if (!this.#order.isBefore(entry, parent)) break;
      entries[slot] = parent;
      const freed = parent.slot;
      parent.slot = slot;
      slot = freed;
    }
    entries[slot] = entry;
    entry.slot = slot;
  }

  #sink(entry: Entry): void {
    const entries = this.#entries;
    let { slot } = entry;
    for (;;) {
      let below = 2 * slot + 1;
      if (below >= entries.length) break;
      if (below + 1 < entries.length && this.#order.isBefore(entries[below + 1], entries[below])) below++;
      const child = entries[below];
      if (!this.#order.isBefore(child, entry)) break;
      entries[slot] = child;
      child.slot = slot;
      slot = below;
    }
    entries[slot] = entry;
    entry.slot = slot;
  }
}
