import type { Node } from "./node.js";
import { checkRange } from "./option-range.js";

export interface LoadWaitDependencies {
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** An estimate was forgotten to make room for a newer one. */
  readonly onForgotten?: () => void;
}

export interface LoadWaitOptions {
  /** Estimates that are kept, one per node and key. Default 100,000. */
  readonly entriesMax?: number;
  /** Time in which an estimate that nobody renews sinks to half, in milliseconds. Default 10,000. */
  readonly halfLifeMs?: number;
}

/** A wait below this moves nobody. */
const CALM_MS = 500;
/** From here on a node is asked as rarely as it gets. */
const BUSY_MS = 2000;
/** Part of its turns that a node takes at `CALM_MS`, and at `BUSY_MS` and above. */
const ACCEPTED_CALM = 0.4;
const ACCEPTED_BUSY = 0.1;
/** What a new sample counts for while the old ones are fresh. */
const SAMPLE_WEIGHT = 0.1;
const KEYS = 2 ** 32;

interface Estimate {
  waitMs: number;
  atMs: number;
}

/**
 * How long calls of a function wait for a place on each node, as the nodes say in a field of their responses, and
 * who should therefore be asked less: the rule of fnproject's load balancer. Below 500 ms nobody; from there on a
 * node turns down 60 % of a key's picks, above 2 s 90 %. What is left is how a node that has recovered is noticed.
 *
 * An estimate is an exponentially weighted mean: the first sample as it is, then a tenth of each. It sinks while
 * nobody renews it, and the older it is the more the next sample counts: a node that was never asked again would
 * else be avoided for ever.
 *
 * Like `SlowStart` it works on what a policy has picked. The map is bounded; what was not renewed for longest goes.
 */
export class LoadWait {
  readonly #dependencies: LoadWaitDependencies;
  readonly #entriesMax: number;
  readonly #halfLifeMs: number;
  /** By place of the node and hash of the key, oldest first. */
  readonly #estimates = new Map<number, Estimate>();
  readonly #places = new Map<Node, number>();

  /** Throws `ERR_OPTION` for an option out of range. */
  constructor(dependencies: LoadWaitDependencies, options: LoadWaitOptions = {}) {
    const { entriesMax = 100_000, halfLifeMs = 10_000 } = options;
    checkRange("entriesMax", entriesMax, { from: 1 });
    checkRange("halfLifeMs", halfLifeMs, { from: 1 });
    this.#dependencies = dependencies;
    this.#entriesMax = entriesMax;
    this.#halfLifeMs = halfLifeMs;
  }

  /** Some node has said how long it lets wait. */
  get isUnderWay(): boolean {
    return this.#estimates.size > 0;
  }

  /** Estimates that are held. */
  get size(): number {
    return this.#estimates.size;
  }

  /** A response to this key from this node said `waitMs`; 0 when it said nothing that can be read. */
  note(node: Node, keyHash: number, waitMs: number): void {
    const id = this.#placeOf(node) * KEYS + keyHash;
    const nowMs = this.#dependencies.now();
    const estimate = this.#estimates.get(id);
    if (estimate === undefined) {
      this.#estimates.set(id, { waitMs, atMs: nowMs });
      if (this.#estimates.size > this.#entriesMax) this.#forgetOldest();
      return;
    }
    const weight = (1 - SAMPLE_WEIGHT) * this.#freshness(estimate, nowMs);
    estimate.waitMs = waitMs * (1 - weight) + estimate.waitMs * weight;
    estimate.atMs = nowMs;
    // To the end of the line of those that are forgotten first.
    this.#estimates.delete(id);
    this.#estimates.set(id, estimate);
  }

  /** The estimate for this key on this node by now, in milliseconds; 0 where nothing is known. */
  waitMs(node: Node, keyHash: number): number {
    const place = this.#places.get(node);
    if (place === undefined) return 0;
    const estimate = this.#estimates.get(place * KEYS + keyHash);
    return estimate === undefined ? 0 : estimate.waitMs * this.#freshness(estimate, this.#dependencies.now());
  }

  /** So little to wait for at this node that it takes all of its turns: `holdsBack` asks no chance. */
  isCalm(node: Node, keyHash: number): boolean {
    return this.waitMs(node, keyHash) < CALM_MS;
  }

  /** Must this node, which a policy has picked, leave the exchange to others? Chance decides anew at each call. */
  holdsBack(node: Node, keyHash: number): boolean {
    const waitMs = this.waitMs(node, keyHash);
    if (waitMs < CALM_MS) return false;
    const busyness = Math.min(1, (waitMs - CALM_MS) / (BUSY_MS - CALM_MS));
    return this.#dependencies.random() >= ACCEPTED_CALM - (ACCEPTED_CALM - ACCEPTED_BUSY) * busyness;
  }

  /** Only these go on; what is known of others is forgotten with them. */
  retain(nodes: readonly Node[]): void {
    const gone = new Set<number>();
    for (const [node, place] of this.#places) {
      if (nodes.includes(node)) continue;
      gone.add(place);
      this.#places.delete(node);
    }
    if (gone.size === 0) return;
    for (const id of this.#estimates.keys()) if (gone.has(Math.floor(id / KEYS))) this.#estimates.delete(id);
  }

  /** A small number for each node that has said something, so that node and key make one number to look up. */
  #placeOf(node: Node): number {
    let place = this.#places.get(node);
    if (place !== undefined) return place;
    const taken = new Set(this.#places.values());
    place = 0;
    while (taken.has(place)) place++;
    this.#places.set(node, place);
    return place;
  }

  #freshness({ atMs }: Estimate, nowMs: number): number {
    return 2 ** ((atMs - nowMs) / this.#halfLifeMs);
  }

  #forgetOldest(): void {
    for (const id of this.#estimates.keys()) {
      this.#estimates.delete(id);
      this.#dependencies.onForgotten?.();
      return;
    }
  }
}
