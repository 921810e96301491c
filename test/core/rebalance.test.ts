import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  decideRebalance,
  type NodeSample,
  originalState,
  REBALANCE_DEFAULTS,
  REBALANCE_OXY,
  type RebalanceOptions,
  type RebalanceState,
  rebalanceOptions,
} from "../../src/core/rebalance.js";

/** Longer than the back-off. */
const TICK_MS = 11_000;

function sampleOf(weight: number, sample: Partial<NodeSample> = {}): NodeSample {
  return { weight, isJudged: true, isReady: true, requests: 1000, errorRatio: 0, latencyMs: 10, ...sample };
}

/** A cluster whose figures stand still while the clock ticks. */
class Trace {
  readonly originals: readonly number[];
  readonly options: RebalanceOptions;
  state: RebalanceState;
  nowMs = 0;

  constructor(originals: readonly number[], options: Partial<RebalanceOptions> = {}) {
    this.originals = originals;
    this.options = rebalanceOptions(options);
    this.state = originalState(originals);
  }

  /** One decision, a tick later; the weights, or why they stay. */
  tick(samples: readonly Partial<NodeSample>[], tickMs = TICK_MS): string {
    this.nowMs += tickMs;
    const nodes = this.originals.map((weight, index) => sampleOf(weight, samples[index]));
    const decision = decideRebalance({ nowMs: this.nowMs, nodes }, this.state, this.options);
    if (decision.kind === "keep") return decision.reason;
    this.state = decision.state;
    return `[${this.state.weights.join(" ")}]`;
  }

  ticks(count: number, samples: readonly Partial<NodeSample>[]): string {
    return Array.from({ length: count }, () => this.tick(samples)).join("");
  }

  errors(count: number, ...ratios: readonly number[]): string {
    return this.ticks(
      count,
      ratios.map((errorRatio) => ({ errorRatio })),
    );
  }
}

describe("rebalancing with the parameters of oxy", () => {
  it("O8: takes 1 1 with errors .3 and 0 to 1 4096 and, once recovered, back to 1 1", () => {
    const trace = new Trace([1, 1], REBALANCE_OXY);
    assert.equal(trace.errors(6, 0.3, 0), "[1 4][1 16][1 64][1 256][1 1024][1 4096]");
    assert.equal(trace.errors(2, 0.3, 0), "settledsettled");
    assert.equal(trace.errors(6, 0, 0), "[1 1024][1 256][1 64][1 16][1 4][1 1]");
    assert.equal(trace.errors(1, 0, 0), "settled");
  });

  it("O8: takes 2 3 to 1 1536 and back to exactly 2 3", () => {
    const trace = new Trace([2, 3], REBALANCE_OXY);
    assert.equal(trace.errors(6, 0.3, 0), "[1 6][1 24][1 96][1 384][1 1536]settled");
    assert.equal(trace.errors(5, 0, 0), "[1 192][1 24][1 3][2 3]settled");
  });

  it("O8: takes 3 1 to 3 4096 and back", () => {
    const trace = new Trace([3, 1], REBALANCE_OXY);
    assert.equal(trace.errors(6, 0.3, 0), "[3 4][3 16][3 64][3 256][3 1024][3 4096]");
    assert.equal(trace.errors(6, 0, 0), "[3 1024][3 256][3 64][3 16][3 4][3 1]");
  });

  it("O8: comes back to originals that have a common divisor, and stays there", () => {
    const trace = new Trace([2, 4], REBALANCE_OXY);
    assert.equal(trace.errors(2, 0.3, 0), "[1 8][1 32]");
    assert.equal(trace.errors(4, 0, 0), "[1 4][2 4]settledsettled");
  });

  it("O9: never changes for .12 .13 .11", () => {
    const trace = new Trace([1, 1, 1], REBALANCE_OXY);
    assert.equal(new Set(Array.from({ length: 100 }, () => trace.errors(1, 0.12, 0.13, 0.11))).size, 1);
    assert.deepEqual(trace.state.weights, [1, 1, 1]);
  });

  it("O9: moves two nodes when the worse is more than three times the better, however small both are", () => {
    assert.equal(new Trace([1, 1], REBALANCE_OXY).errors(1, 0.3, 0.1), "settled");
    assert.equal(new Trace([1, 1], REBALANCE_OXY).errors(1, 0.31, 0.1), "[1 4]");
    assert.equal(new Trace([1, 1], REBALANCE_OXY).errors(1, 0.0001, 0), "[1 4]");
  });

  it("does nothing about a bad majority, and heeds neither volume nor latency", () => {
    assert.equal(new Trace([1, 1, 1], REBALANCE_OXY).errors(1, 1, 1, 0), "settled");
    const slow = [{ latencyMs: 9_000 }, {}, {}];
    assert.equal(new Trace([1, 1, 1], REBALANCE_OXY).tick(slow), "settled");
    const single = [{ errorRatio: 1, requests: 1 }, { requests: 1 }];
    assert.equal(new Trace([1, 1], REBALANCE_OXY).tick(single), "[1 4]");
  });
});

for (const [name, options] of [
  ["the parameters of oxy", REBALANCE_OXY],
  ["the defaults", REBALANCE_DEFAULTS],
] as const) {
  describe(`when nothing is moved, with ${name}`, () => {
    const failing = { errorRatio: 1 };

    it("O10: a single node", () => {
      assert.equal(new Trace([1], options).tick([failing]), "few-nodes");
    });

    it("O10: two nodes, of which one is off: weight 0, dead or draining", () => {
      assert.equal(new Trace([1, 0], options).tick([failing]), "few-nodes");
      assert.equal(new Trace([1, 1], options).tick([failing, { isJudged: false }]), "few-nodes");
    });

    it("O10: a meter that is not ready", () => {
      const trace = new Trace([1, 1], options);
      assert.equal(trace.tick([failing, { isReady: false }]), "not-ready");
      assert.match(trace.tick([failing]), /^\[/);
    });

    it("O10: inside the back-off of 10 s, its last instant included", () => {
      const trace = new Trace([1, 1], options);
      assert.match(trace.tick([failing]), /^\[/);
      assert.equal(trace.tick([failing], 10_000), "back-off");
      assert.match(trace.tick([failing], 1), /^\[/);
    });

    it("lets the node of weight 0 be, and its meter: it has no traffic to be ready by", () => {
      const trace = new Trace([1, 1, 0], options);
      trace.tick([failing, {}, { isReady: false }]);
      assert.equal(trace.state.weights[2], 0);
      assert.ok(trace.state.weights[0] < trace.state.weights[1]);
    });
  });
}

describe("rebalancing by default", () => {
  it("lowers the bad node and leaves the good ones where they are, so that none of their keys moves", () => {
    const trace = new Trace([2, 2, 1]);
    assert.equal(trace.errors(4, 1, 0, 0), "[0.5 2 1][0.125 2 1][0.03125 2 1]settled");
    assert.equal(trace.errors(4, 0, 0, 0), "[0.125 2 1][0.5 2 1][2 2 1]settled");
  });

  it("keeps the probe share, so that recovery is seen", () => {
    assert.equal(new Trace([1, 1], { probeShare: 1 / 4 }).errors(2, 1, 0), "[0.25 1]settled");
    assert.equal(new Trace([1, 1], { probeShare: 0.02 }).errors(3, 1, 0), "[0.25 1][0.0625 1]settled");
    assert.equal(new Trace([1, 1], { probeShare: 1 }).errors(1, 1, 0), "settled");
  });

  it("moves a bad majority, too", () => {
    assert.equal(new Trace([1, 1, 1]).errors(3, 1, 1, 0), "[0.25 0.25 1][0.0625 0.0625 1][0.015625 0.015625 1]");
  });

  it("needs twenty requests for a verdict, in either direction", () => {
    const trace = new Trace([1, 1]);
    assert.equal(trace.tick([{ errorRatio: 1, requests: 19 }]), "settled");
    assert.equal(trace.tick([{ errorRatio: 1, requests: 20 }]), "[0.25 1]");
    assert.equal(trace.tick([{ errorRatio: 0, requests: 19 }]), "settled");
    assert.equal(trace.tick([{ errorRatio: 0, requests: 20 }]), "[1 1]");
  });

  it("judges nobody when there is nobody to compare with", () => {
    assert.equal(new Trace([1, 1]).tick([{ errorRatio: 1 }, { requests: 3 }]), "settled");
  });

  it("does not act below 5 % errors, however much better the others are", () => {
    assert.equal(new Trace([1, 1]).errors(1, 0.05, 0), "settled");
    assert.equal(new Trace([1, 1]).errors(1, 0.08, 0), "[0.25 1]");
  });

  it("does not take chance for failure: three errors in twenty, but four in twenty", () => {
    assert.equal(new Trace([1, 1]).tick([{ errorRatio: 3 / 20, requests: 20 }]), "settled");
    assert.equal(new Trace([1, 1]).tick([{ errorRatio: 4 / 20, requests: 20 }]), "[0.25 1]");
  });

  it("compares with the best node: all failing alike, or not three times as much, is no reason to move", () => {
    assert.equal(new Trace([1, 1, 1]).errors(1, 0.5, 0.5, 0.5), "settled");
    assert.equal(new Trace([1, 1, 1]).errors(1, 0.1, 0.2, 0.25), "settled");
    assert.equal(new Trace([1, 1, 1]).errors(1, 0.1, 0.2, 0.4), "[1 1 0.25]");
    assert.equal(new Trace([1, 1]).errors(1, 0.4, 1), "[1 0.25]", "three times 40 % cannot be");
  });

  it("lowers a node as far as it is bad: once for 8 % errors, twice for 20 %, down to the probe for all", () => {
    assert.equal(new Trace([1, 1]).errors(4, 0.08, 0), "[0.25 1]settledsettledsettled");
    assert.equal(new Trace([1, 1]).errors(4, 0.2, 0), "[0.25 1][0.0625 1]settledsettled");
    assert.equal(new Trace([1, 1]).errors(4, 1, 0), "[0.25 1][0.0625 1][0.015625 1]settled");
  });

  it("stays between bad and good instead of going to and fro", () => {
    const trace = new Trace([1, 1]);
    trace.errors(1, 0.08, 0);
    assert.equal(trace.errors(3, 0.04, 0), "settledsettledsettled");
    assert.equal(trace.errors(1, 0.025, 0), "[1 1]");
    assert.equal(trace.errors(3, 0.04, 0), "settledsettledsettled");
  });

  it("lowers a slow node to about its speed", () => {
    const slow = (latencyMs: number) => [{ latencyMs }, {}, {}];
    assert.equal(new Trace([1, 1, 1]).tick(slow(30)), "settled");
    assert.equal(new Trace([1, 1, 1]).ticks(2, slow(40)), "[0.25 1 1]settled");
    assert.equal(new Trace([1, 1, 1]).ticks(3, slow(160)), "[0.25 1 1][0.0625 1 1]settled");
  });

  it("raises a slow node again when it is within half of what is slow", () => {
    const trace = new Trace([1, 1, 1]);
    trace.tick([{ latencyMs: 50 }]);
    assert.equal(trace.tick([{ latencyMs: 16 }]), "settled");
    assert.equal(trace.tick([{ latencyMs: 15 }]), "[1 1 1]");
  });

  it("does not heed latencies below 20 ms, nor any with a factor of 0", () => {
    assert.equal(new Trace([1, 1]).tick([{ latencyMs: 19 }, { latencyMs: 1 }]), "settled");
    assert.equal(new Trace([1, 1], { latencyFactor: 0 }).tick([{ latencyMs: 5_000 }]), "settled");
  });

  it("does not let a node that fails at once make the others look slow", () => {
    const quickFailure = { errorRatio: 0.9, latencyMs: 1 };
    assert.equal(new Trace([1, 1, 1]).tick([quickFailure, { latencyMs: 40 }, { latencyMs: 45 }]), "[0.25 1 1]");
  });

  it("prefers a slow node to one that fails", () => {
    assert.equal(new Trace([1, 1]).tick([{ errorRatio: 0.3 }, { latencyMs: 500 }]), "[0.25 1]");
  });

  it("comes back when all have become as bad: there is nowhere better to go", () => {
    const trace = new Trace([1, 1]);
    trace.tick([{ errorRatio: 1 }]);
    assert.equal(trace.errors(1, 1, 1), "[1 1]");
  });

  it("tries a node again when its meter has forgotten it", () => {
    const trace = new Trace([1, 1]);
    trace.tick([{ errorRatio: 1 }]);
    assert.equal(trace.tick([{ requests: 0 }]), "[1 1]");
  });

  it("leaves a dead node's weight alone, and does not compare with it", () => {
    const trace = new Trace([1, 1, 1]);
    trace.tick([{ errorRatio: 1 }]);
    assert.equal(trace.tick([{ isJudged: false }]), "settled");
    assert.equal(trace.tick([{ isJudged: false }, { errorRatio: 1 }]), "[0.25 0.25 1]");
  });
});

describe("options of rebalancing", () => {
  it("are complete and frozen defaults", () => {
    assert.deepEqual(rebalanceOptions(), REBALANCE_DEFAULTS);
    assert.ok(Object.isFrozen(REBALANCE_DEFAULTS) && Object.isFrozen(REBALANCE_OXY));
  });

  it("are refused out of range", () => {
    const wrong: Partial<RebalanceOptions>[] = [
      { growthFactor: 1 },
      { weightMax: 0 },
      { backoffMs: -1 },
      { outlierFactor: 0.5 },
      { requestsMin: Number.NaN },
      { deviations: -1 },
      { errorRatioMin: 1.1 },
      { latencyFactor: 0.5 },
      { latencyMsMin: Number.POSITIVE_INFINITY },
      { returnFactor: 2 },
      { probeShare: 0 },
    ];
    for (const options of wrong) {
      const [name] = Object.keys(options);
      assert.throws(() => rebalanceOptions(options), {
        code: "ERR_OPTION",
        message: new RegExp(`^option "${name}" must`),
      });
    }
  });
});
