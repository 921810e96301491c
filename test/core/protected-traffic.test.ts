import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CircuitBreaker, type CircuitBreakerOptions } from "../../src/core/breaker.js";
import type { Node } from "../../src/core/node.js";
import { OutlierDetector, type OutlierOptions } from "../../src/core/outlier.js";
import { Outcome } from "../../src/core/policies/policy.js";
import type { PolicyName } from "../../src/core/policies/table.js";
import { FakeClock } from "../support/fake-clock.js";
import { seeded } from "../support/seeded-random.js";
import { POLICY_NAMES, policyNamed } from "./every-policy.js";
import { addresses, exchangeOf, nodesOf } from "./small-cluster.js";

const REQUESTS_PER_SECOND = 100;
const LATENCY_MS = 20;
const LOOP_MS = 250;
const OFF: OutlierOptions = { consecutiveFaults: 0, faultShareMax: 0 };
const TEN_MINUTES = 600;

interface Setup {
  readonly policy?: PolicyName;
  /** Share of its requests that each node answers with a 500. */
  readonly faultShares: readonly number[];
  /** Share of all requests that call one function which fails wherever it runs. */
  readonly brokenShare?: number;
  readonly outlier?: OutlierOptions;
  readonly breaker?: CircuitBreakerOptions;
}

interface InFlight {
  readonly node: Node;
  readonly stamp: number;
  readonly isBroken: boolean;
  readonly endsMs: number;
}

/** Requests with many keys in simulated time, before nodes that fail by chance. */
class ProtectedTraffic {
  readonly clock = new FakeClock();
  readonly nodes: readonly Node[];
  readonly faultShares: number[];
  readonly detector: OutlierDetector;
  readonly breaker: CircuitBreaker;
  readonly ejections: string[] = [];
  /** How many each node got. */
  readonly served: number[];
  requests = 0;
  failed = 0;
  /** Those for which nobody was eligible. */
  refused = 0;
  readonly #policy;
  readonly #random = seeded(11);
  readonly #brokenShare: number;
  readonly #inFlight: InFlight[] = [];

  constructor(setup: Setup) {
    const { policy = "random", faultShares, outlier = OFF, breaker = { consecutiveFaults: 0 } } = setup;
    const { clock } = this;
    this.#brokenShare = setup.brokenShare ?? 0;
    this.faultShares = [...faultShares];
    this.nodes = nodesOf(addresses(faultShares.length));
    this.served = faultShares.map(() => 0);
    this.#policy = policyNamed(policy, { now: () => clock.now(), random: seeded(2) });
    this.#policy.update(this.nodes);
    const onEjected = ({ index }: Node, reason: string) => this.ejections.push(`${index} ${reason}`);
    this.detector = new OutlierDetector({ clock, onEjected }, outlier);
    this.detector.update(this.nodes);
    this.breaker = new CircuitBreaker({ clock, random: seeded(4) }, breaker);
    this.breaker.update(this.nodes);
  }

  /** What a cluster asks of a node. */
  readonly isEligible = (node: Node): boolean =>
    node.alive && (!node.ejected || this.detector.isPanic) && this.breaker.mayPass(node);

  get failedShare(): number {
    return this.failed / this.requests;
  }

  run(seconds: number): this {
    const { clock } = this;
    const endMs = clock.now() + seconds * 1000;
    let loopMs = clock.now();
    while (clock.now() < endMs) {
      clock.pass(1000 / REQUESTS_PER_SECOND);
      if (clock.now() - loopMs >= LOOP_MS) {
        loopMs = clock.now();
        this.detector.advance();
      }
      while (this.#inFlight.length > 0 && this.#inFlight[0].endsMs <= clock.now()) this.#end(this.#inFlight.shift()!);
      this.#begin();
    }
    return this;
  }

  #begin(): void {
    this.requests++;
    const isBroken = this.#random() < this.#brokenShare;
    const exchange = exchangeOf(isBroken ? "/broken" : `/f/${Math.floor(this.#random() * 1000)}`);
    const node = this.#policy.pick(exchange, this.isEligible);
    if (node === undefined) {
      this.refused++;
      return;
    }
    node.inFlight++;
    this.#policy.noteLoad?.(node);
    this.served[node.index]++;
    const endsMs = this.clock.now() + LATENCY_MS;
    this.#inFlight.push({ node, stamp: this.breaker.noteAcquired(node), isBroken, endsMs });
  }

  #end({ node, stamp, isBroken }: InFlight): void {
    const isFault = isBroken || this.#random() < this.faultShares[node.index];
    const status = isFault ? 500 : 200;
    if (isFault) this.failed++;
    node.inFlight--;
    this.#policy.noteLoad?.(node);
    this.#policy.observe?.(node, Outcome.ANSWERED, LATENCY_MS, status);
    this.detector.observe(node, Outcome.ANSWERED, LATENCY_MS, status);
    this.breaker.observe(node, stamp, Outcome.ANSWERED, status);
  }
}

for (const policy of POLICY_NAMES) {
  describe(`one of three nodes fails everything for ten minutes, ${policy}`, () => {
    const faultShares = [0, 1, 0];

    it("costs a good part of all requests without protection", () => {
      const { failedShare } = new ProtectedTraffic({ policy, faultShares }).run(60);
      assert.ok(failedShare > 0.2, `${failedShare}`);
    });

    it("costs less than one in a thousand with ejection", () => {
      const traffic = new ProtectedTraffic({ policy, faultShares, outlier: {} }).run(TEN_MINUTES);
      assert.ok(traffic.failedShare < 0.001, `${traffic.failedShare}`);
      assert.ok(traffic.failed >= 5, "somebody must find out");
      assert.equal(traffic.refused, 0);
      assert.deepEqual([...new Set(traffic.ejections)], ["1 consecutive-faults"]);
    });

    it("is over when the node has recovered: it serves as before", () => {
      const traffic = new ProtectedTraffic({ policy, faultShares, outlier: {}, breaker: {} });
      traffic.run(120);
      const [, early] = traffic.served;
      traffic.faultShares[1] = 0;
      traffic.run(300);
      const before = traffic.served[1];
      traffic.run(60);
      const share = (traffic.served[1] - before) / (60 * REQUESTS_PER_SECOND);
      assert.ok(early < 100 && share > 0.2, `${early} while it failed, then ${share} of all`);
    });

    it("costs less than one in a thousand with a breaker", () => {
      const traffic = new ProtectedTraffic({ policy, faultShares, breaker: {} }).run(TEN_MINUTES);
      assert.ok(traffic.failedShare < 0.001, `${traffic.failedShare}`);
      assert.ok(traffic.failed >= 10, "somebody must find out");
      assert.equal(traffic.refused, 0);
    });
  });
}

describe("ejection in traffic", () => {
  it("finds a node that fails at times by its share", () => {
    const faultShares = [0, 0.6, 0];
    const unprotected = new ProtectedTraffic({ faultShares }).run(60);
    assert.ok(unprotected.failedShare > 0.15, `${unprotected.failedShare}`);
    const traffic = new ProtectedTraffic({ faultShares, outlier: { consecutiveFaults: 0 } }).run(TEN_MINUTES);
    assert.ok(traffic.failedShare < 0.01, `${traffic.failedShare}`);
    assert.deepEqual([...new Set(traffic.ejections)], ["1 fault-share"]);
  });

  it("leaves nodes alone that fail two in a hundred, as chance will have it", () => {
    const { ejections } = new ProtectedTraffic({ faultShares: [0.02, 0.02, 0.02], outlier: {} }).run(TEN_MINUTES);
    assert.deepEqual(ejections, []);
  });

  it("by share leaves nodes alone for a function that fails wherever it runs; by faults in a row it does not", () => {
    const broken = { policy: "ring-hash", faultShares: [0, 0, 0, 0, 0, 0], brokenShare: 0.06 } as const;
    const byShare = new ProtectedTraffic({ ...broken, outlier: { consecutiveFaults: 0 } }).run(TEN_MINUTES);
    assert.deepEqual(byShare.ejections, []);
    const inARow = new ProtectedTraffic({ ...broken, outlier: { faultShareMax: 0 } }).run(TEN_MINUTES);
    // Its home, and then its next one.
    assert.ok(new Set(inARow.ejections).size >= 2, `${inARow.ejections}`);
    assert.equal(inARow.refused, 0);
  });

  it("refuses nobody when all nodes fail, and keeps all but one of three in", () => {
    const traffic = new ProtectedTraffic({ faultShares: [1, 1, 1], outlier: {} });
    for (let minute = 0; minute < 10; minute++) {
      traffic.run(60);
      assert.ok(traffic.nodes.filter(traffic.isEligible).length >= 2);
    }
    assert.equal(traffic.refused, 0);
  });

  it("keeps everybody eligible by panic when all nodes fail and all may be ejected", () => {
    const traffic = new ProtectedTraffic({ faultShares: [1, 1, 1], outlier: { ejectedShareMax: 1 } }).run(20);
    assert.ok(traffic.nodes.every((node) => node.ejected));
    assert.equal(traffic.detector.isPanic, true);
    assert.ok(traffic.nodes.every(traffic.isEligible));
    const before = [...traffic.served];
    traffic.run(5);
    assert.ok(traffic.served.every((count, index) => count > before[index]));
    assert.equal(traffic.refused, 0);
  });

  it("calms down when the nodes of a panic have recovered", () => {
    const traffic = new ProtectedTraffic({ faultShares: [1, 1, 1], outlier: { ejectedShareMax: 1 } }).run(20);
    traffic.faultShares.fill(0);
    traffic.run(31);
    assert.equal(traffic.detector.isPanic, false);
    assert.ok(traffic.nodes.every((node) => !node.ejected));
  });
});

describe("a breaker in traffic", () => {
  it("spares the only node that there is, and refuses instead", () => {
    const traffic = new ProtectedTraffic({ faultShares: [1], breaker: {} }).run(TEN_MINUTES);
    assert.ok(traffic.served[0] < 60, `${traffic.served[0]}`);
    assert.equal(traffic.refused, traffic.requests - traffic.served[0]);
  });

  it("does little against a node that answers well now and then", () => {
    const faultShares = [0, 0.6, 0];
    const unprotected = new ProtectedTraffic({ faultShares }).run(60);
    const { failedShare } = new ProtectedTraffic({ faultShares, breaker: {} }).run(60);
    assert.ok(failedShare > unprotected.failedShare / 2, `${failedShare} of ${unprotected.failedShare}`);
  });

  it("lets the traffic back within its longest time when the node has recovered", () => {
    const traffic = new ProtectedTraffic({ faultShares: [1], breaker: { openMaxMs: 10_000 } }).run(TEN_MINUTES);
    traffic.faultShares[0] = 0;
    traffic.run(16);
    const { refused } = traffic;
    traffic.run(60);
    assert.equal(traffic.refused, refused);
  });
});
