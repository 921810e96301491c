import type { Exchange } from "../../src/core/exchange.js";
import { SlidingMeter } from "../../src/core/meter.js";
import type { Node } from "../../src/core/node.js";
import type { Eligible, Policy } from "../../src/core/policies/policy.js";
import type { RebalanceOptions } from "../../src/core/rebalance.js";
import { Rebalancer } from "../../src/core/rebalancer.js";
import { exchangeOf, nodesOf } from "../core/small-cluster.js";
import { FakeClock } from "./fake-clock.js";
import { seeded } from "./seeded-random.js";

/** A weighted policy with nothing to it but shares: each eligible node by chance and weight. */
export class WeightedChance implements Policy {
  readonly #random: () => number;
  nodes: readonly Node[] = [];
  updates = 0;

  constructor(random: () => number = seeded(1)) {
    this.#random = random;
  }

  update(nodes: readonly Node[]): void {
    this.nodes = nodes;
    this.updates++;
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    const able = this.nodes.filter((node) => node.weight > 0 && eligible(node, exchange));
    let point = this.#random() * able.reduce((sum, node) => sum + node.weight, 0);
    return able.find((node) => {
      point -= node.weight;
      return point < 0;
    });
  }
}

/** How a node answers. */
export interface Behaviour {
  readonly errorRatio: number;
  readonly latencyMs: number;
}

export const HEALTHY: Behaviour = { errorRatio: 0, latencyMs: 10 };

export interface TrafficOptions {
  readonly requestsPerSecond: number;
  readonly nodes: readonly Behaviour[];
  readonly rebalance: Partial<RebalanceOptions>;
  readonly seed?: number;
}

/** Traffic as chance makes it, in simulated time, before a rebalancer whose every move is recorded. */
export class SimulatedTraffic {
  readonly clock = new FakeClock();
  readonly nodes: readonly Node[];
  readonly rebalancer: Rebalancer;
  /** Answers of each node, 500 for an error; changed to let one fall ill or recover. */
  readonly behaviours: Behaviour[];
  /** Weights after each move, relative to the smallest. */
  readonly moves: string[] = [];
  failed = 0;
  requests = 0;
  readonly #random: () => number;
  readonly #requestsPerSecond: number;

  constructor({ requestsPerSecond, nodes, rebalance, seed = 7 }: TrafficOptions) {
    this.#random = seeded(seed);
    this.#requestsPerSecond = requestsPerSecond;
    this.behaviours = [...nodes];
    this.nodes = nodesOf(nodes.map((_, index) => `n${index}:80`));
    const { clock } = this;
    const meter = () => new SlidingMeter(clock, { requestsMin: rebalance.requestsMin ?? 20 });
    const policy = new WeightedChance(this.#random);
    this.rebalancer = new Rebalancer(policy, { clock, meter }, { ...rebalance, intervalMs: 0 });
    this.rebalancer.update(this.nodes);
  }

  /** Runs for so many simulated seconds; returns the moves that it saw. */
  run(seconds: number): string[] {
    const before = this.moves.length;
    const endMs = this.clock.now() + seconds * 1000;
    const exchange = exchangeOf("/");
    while (this.clock.now() < endMs) {
      // The times between independent requests.
      this.clock.pass((-Math.log(1 - this.#random()) * 1000) / this.#requestsPerSecond);
      const node = this.rebalancer.pick(exchange, () => true)!;
      const { errorRatio, latencyMs } = this.behaviours[node.index];
      const isFailed = this.#random() < errorRatio;
      this.requests++;
      if (isFailed) this.failed++;
      const weights = this.weights;
      this.rebalancer.record(node, isFailed ? 500 : 200, latencyMs * (0.5 + this.#random()));
      if (this.weights !== weights) this.moves.push(this.weights);
    }
    return this.moves.slice(before);
  }

  /** `1:64`, whole numbers whatever the movement. */
  get weights(): string {
    const weights = this.nodes.map((node) => this.rebalancer.weightOf(node)!);
    const least = Math.min(...weights);
    return weights.map((weight) => weight / least).join(":");
  }
}
