// Hot path: a draw is two random numbers and one comparison, however many nodes there are.
import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { Eligible } from "./policy.js";

/** How often a draw that hits somebody who is not eligible is repeated before all are asked. */
const REDRAWS_MAX = 8;

/**
 * Draws nodes at random with probabilities in the ratio of their weights.
 *
 * @see Vose: A Linear Algorithm for Generating Random Numbers with a Given Distribution, 1991 (alias method)
 */
export class WeightedDraw {
  readonly #random: () => number;
  /** Those with a weight. */
  nodes: readonly Node[] = [];
  #weights = new Float64Array(0);
  /** Each position stands for itself with this probability, and else for its alias. */
  #own = new Float64Array(0);
  #aliases = new Uint32Array(0);

  constructor(random: () => number) {
    this.#random = random;
  }

  update(nodes: readonly Node[]): void {
    this.nodes = nodes.filter((node) => node.weight > 0);
    const count = this.nodes.length;
    this.#weights = Float64Array.from(this.nodes, (node) => node.weight);
    const mean = this.#weights.reduce((sum, weight) => sum + weight, 0) / count;
    this.#own = this.#weights.map((weight) => weight / mean);
    this.#aliases = Uint32Array.from(this.#weights, (_, position) => position);
    const poor: number[] = [];
    const rich: number[] = [];
    for (let position = 0; position < count; position++) (this.#own[position] < 1 ? poor : rich).push(position);
    while (poor.length > 0 && rich.length > 0) {
      const taker = poor.pop()!;
      const giver = rich[rich.length - 1];
      this.#aliases[taker] = giver;
      this.#own[giver] -= 1 - this.#own[taker];
      if (this.#own[giver] < 1) poor.push(rich.pop()!);
    }
    // What rounding left over stands for itself alone.
    for (const position of [...poor, ...rich]) this.#own[position] = 1;
  }

  /**
   * Position in `nodes` of an eligible node other than `except`; -1 when there is none. Repeating a draw keeps
   * the ratio of those who remain; after a few draws in vain all are asked, and the ratio is still exact.
   */
  draw(exchange: Exchange, eligible: Eligible, except: number): number {
    const count = this.nodes.length;
    if (count === 0 || (count === 1 && except === 0)) return -1;
    for (let turn = 0; turn <= REDRAWS_MAX; turn++) {
      const column = Math.floor(this.#random() * count);
      const position = this.#random() < this.#own[column] ? column : this.#aliases[column];
      if (position !== except && eligible(this.nodes[position], exchange)) return position;
    }
    return this.#drawAmongAll(exchange, eligible, except);
  }

  #drawAmongAll(exchange: Exchange, eligible: Eligible, except: number): number {
    let sum = 0;
    let drawn = -1;
    for (let position = 0; position < this.nodes.length; position++) {
      if (position === except || !eligible(this.nodes[position], exchange)) continue;
      sum += this.#weights[position];
      // Each replaces the one before with the probability of its part in the sum so far.
      if (drawn < 0 || this.#random() * sum < this.#weights[position]) drawn = position;
    }
    return drawn;
  }
}
