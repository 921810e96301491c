// Hot path: a pick reads the clock once and two estimates; neither it nor an observation allocates.

import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import { checkRange } from "../option-range.js";
import { type Eligible, Outcome, type OutcomeCode, type Policy } from "./policy.js";
import { WeightedDraw } from "./weighted-draw.js";

export interface P2cEwmaOptions {
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Time in milliseconds in which an old latency comes to count for a third of what it did. Default 10,000. */
  readonly decayMs?: number;
}

/**
 * The better of two nodes drawn by weight: the one with the lower estimate of latency × (1 + in flight / weight).
 * The estimate is a peak EWMA: a slow response counts in full at once and is forgotten slowly.
 *
 * Two, because the best of all would get everything until its next response. The weight stands beside the
 * exchanges in flight and not below the whole, because the draw heeds it already: when nothing is in flight,
 * shares are by weight. Nobody starves: the estimate of a node that is not used sinks, down to half of what is
 * usual in the cluster, which beats the others again but never so far that many exchanges follow at once.
 *
 * Throws `ERR_OPTION` for an option out of range.
 *
 * @see Mitzenmacher: The Power of Two Choices in Randomized Load Balancing, 2001; Finagle's `PeakEwma`
 */
export function p2cEwma({ random, now, decayMs = 10_000 }: P2cEwmaOptions): Policy {
  checkRange("decayMs", decayMs, { from: 1 });
  return new PeakEwma({ random, now, decayMs });
}

/** What is known of a node. */
interface Estimate {
  readonly node: Node;
  readonly weight: number;
  /** Latency in milliseconds as of `atMs`; negative before anything was observed. */
  valueMs: number;
  atMs: number;
}

/** A failed attempt costs as much as twice what was known of the node, up to this. */
const FAILURE_MS_MAX = 60_000;
/** Costs that differ by less are equal: the first draw, which is by weight, decides, and not who was used last. */
const NOISE = 0.1;
/** How much one response changes what is usual in the cluster. */
const USUAL_SHARE = 1 / 32;

class PeakEwma implements Policy {
  readonly #options: Required<P2cEwmaOptions>;
  readonly #draw: WeightedDraw;
  /** As the nodes of `#draw`. */
  #estimates: readonly Estimate[] = [];
  /** By `node.index`. */
  #byIndex: (Estimate | undefined)[] = [];
  /** Running mean over the responses of all nodes. */
  #usualMs = -1;

  constructor(options: Required<P2cEwmaOptions>) {
    this.#options = options;
    this.#draw = new WeightedDraw(options.random);
  }

  update(nodes: readonly Node[]): void {
    const before = new Map<string, Estimate>();
    for (const estimate of this.#byIndex) if (estimate !== undefined) before.set(estimate.node.id, estimate);
    this.#byIndex = [];
    for (const node of nodes) {
      const { valueMs, atMs } = before.get(node.id) ?? { valueMs: -1, atMs: 0 };
      this.#byIndex[node.index] = { node, weight: node.weight, valueMs, atMs };
    }
    this.#draw.update(nodes);
    this.#estimates = this.#draw.nodes.map((node) => this.#byIndex[node.index]!);
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    const draw = this.#draw;
    const one = draw.draw(exchange, eligible, -1);
    if (one < 0) return undefined;
    const other = draw.draw(exchange, eligible, one);
    if (other < 0) return draw.nodes[one];
    const nowMs = this.#options.now();
    const isOtherBetter = this.#cost(other, nowMs) < this.#cost(one, nowMs) * (1 - NOISE);
    return draw.nodes[isOtherBetter ? other : one];
  }

  observe(node: Node, outcome: OutcomeCode, waitedMs: number): void {
    const estimate = this.#byIndex[node.index];
    if (outcome === Outcome.NONE || estimate?.node.id !== node.id) return;
    const nowMs = this.#options.now();
    switch (outcome) {
      case Outcome.ANSWERED: {
        this.#usualMs = this.#usualMs < 0 ? waitedMs : this.#usualMs + (waitedMs - this.#usualMs) * USUAL_SHARE;
        const kept = this.#kept(estimate, nowMs);
        estimate.valueMs = waitedMs > estimate.valueMs ? waitedMs : estimate.valueMs * kept + waitedMs * (1 - kept);
        break;
      }
      case Outcome.LEFT:
        // It says only that a response would have come later than that.
        if (waitedMs <= this.#read(estimate, nowMs)) return;
        estimate.valueMs = waitedMs;
        break;
      case Outcome.FAILED: {
        const known = Math.max(waitedMs, this.#usualMs, this.#read(estimate, nowMs));
        estimate.valueMs = Math.min(FAILURE_MS_MAX, 2 * known || 1);
        break;
      }
      default:
        outcome satisfies never;
    }
    estimate.atMs = nowMs;
  }

  #cost(position: number, nowMs: number): number {
    const estimate = this.#estimates[position];
    return this.#read(estimate, nowMs) * (1 + estimate.node.inFlight / estimate.weight);
  }

  /** A node that nobody has heard of yet is as good as the others: its exchanges in flight keep it from getting all. */
  #read(estimate: Estimate, nowMs: number): number {
    const { valueMs } = estimate;
    const usualMs = Math.max(0, this.#usualMs);
    if (valueMs < 0) return usualMs;
    return Math.max(valueMs * this.#kept(estimate, nowMs), Math.min(valueMs, usualMs / 2));
  }

  /** Which part of an estimate is left. */
  #kept(estimate: Estimate, nowMs: number): number {
    return Math.exp((estimate.atMs - nowMs) / this.#options.decayMs);
  }
}
