import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  decideRebalance,
  type NodeSample,
  originalState,
  REBALANCE_DEFAULTS,
  REBALANCE_OXY,
  type RebalanceOptions,
} from "../../src/core/rebalance.js";

type Figures = Omit<NodeSample, "weight">;

const figures: fc.Arbitrary<Figures> = fc.record({
  isJudged: fc.boolean(),
  isReady: fc.constant(true),
  requests: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 1_000_000 })),
  errorRatio: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  latencyMs: fc.oneof(fc.constant(0), fc.double({ min: 0.1, max: 60_000, noNaN: true })),
});
const whole = fc.integer({ min: 0, max: 100 });
const decimal = fc.integer({ min: 1, max: 10_000 }).map((hundredths) => hundredths / 100);

/** Original weights, and what the meters say at each of some steps. */
function histories(weight: fc.Arbitrary<number>) {
  return fc.integer({ min: 1, max: 6 }).chain((count) =>
    fc.record({
      originals: fc.array(weight, { minLength: count, maxLength: count }),
      steps: fc.array(fc.array(figures, { minLength: count, maxLength: count }), { maxLength: 25 }),
    }),
  );
}

const HEALTHY: Figures = { isJudged: true, isReady: true, requests: 1000, errorRatio: 0, latencyMs: 10 };
/** Back-offs in which every weight must be back: log4 of 4096, and one. */
const STEPS_BACK = 7;

/** Lives through a history, and then good health; the weights after each step. */
function live(originals: readonly number[], steps: readonly (readonly Figures[])[], options: RebalanceOptions) {
  let state = originalState(originals);
  let nowMs = 0;
  const seen: (readonly number[])[] = [];
  const step = (nodes: readonly Figures[]) => {
    nowMs += options.backoffMs + 1;
    const samples = nodes.map((node, index) => ({ ...node, weight: originals[index] }));
    const decision = decideRebalance({ nowMs, nodes: samples }, state, options);
    if (decision.kind === "move") {
      assert.notDeepEqual(decision.state.weights, state.weights, "a move moves something");
      state = decision.state;
    }
    seen.push(state.weights);
  };
  for (const nodes of steps) step(nodes);
  for (let n = 0; n < STEPS_BACK; n++) step(originals.map(() => HEALTHY));
  return { seen, last: state.weights };
}

function isCluster(originals: readonly number[]): boolean {
  return originals.filter((weight) => weight > 0).length >= 2;
}

const anyOptions: fc.Arbitrary<RebalanceOptions> = fc
  .record({
    probeShare: fc.double({ min: 1 / 4096, max: 1, noNaN: true }),
    growthFactor: fc.constantFrom(2, 3, 4, 10),
    weightMax: fc.constantFrom(16, 4096),
    reference: fc.constantFrom("best" as const, "median" as const),
    requestsMin: fc.constantFrom(1, 20),
    deviations: fc.constantFrom(0, 2.5),
  })
  .map((options) => ({ ...REBALANCE_DEFAULTS, ...options }));

describe("rebalanced weights", () => {
  it("stay in whole numbers from 1 to 4096, and at 0 where the operator said so, with oxy's parameters", () => {
    fc.assert(
      fc.property(histories(whole), ({ originals, steps }) => {
        for (const weights of live(originals, steps, REBALANCE_OXY).seen) {
          for (const [index, weight] of weights.entries()) {
            assert.ok(Number.isInteger(weight) && weight <= 4096);
            assert.equal(weight === 0, originals[index] === 0);
          }
        }
      }),
    );
  });

  it("stay between the probe share and all of their originals by default, no two further apart than 4096", () => {
    fc.assert(
      fc.property(histories(fc.oneof(whole, decimal)), anyOptions, ({ originals, steps }, options) => {
        for (const weights of live(originals, steps, options).seen) {
          const shares = weights.flatMap((weight, index) => (originals[index] > 0 ? [weight / originals[index]] : []));
          for (const share of shares) assert.ok(share <= 1 && share >= options.probeShare * (1 - 1e-9), String(share));
          assert.ok(Math.max(...shares) <= Math.min(...shares) * options.weightMax * (1 + 1e-9));
          assert.ok(weights.every((weight, index) => originals[index] > 0 || weight === 0));
        }
      }),
    );
  });

  it("never starve a node below the probe share of what the operator gave it", () => {
    fc.assert(
      fc.property(histories(decimal), anyOptions, ({ originals, steps }, options) => {
        const share = (weights: readonly number[], index: number) =>
          weights[index] / weights.reduce((sum, weight) => sum + weight, 0);
        for (const weights of live(originals, steps, options).seen) {
          for (const index of originals.keys()) {
            assert.ok(share(weights, index) >= options.probeShare * share(originals, index) * (1 - 1e-9));
          }
        }
      }),
    );
  });

  it("always return to exactly the originals when all nodes are well", () => {
    const oxy = fc.tuple(histories(whole), fc.constant(REBALANCE_OXY));
    const standard = fc.tuple(
      histories(fc.oneof(whole, decimal)),
      fc.double({ min: 1 / 4096, max: 1, noNaN: true }).map((probeShare) => ({ ...REBALANCE_DEFAULTS, probeShare })),
    );
    fc.assert(
      fc.property(fc.oneof(oxy, standard), ([{ originals, steps }, options]) => {
        const { last } = live(originals, steps, options);
        if (isCluster(originals)) assert.deepEqual(last, originals);
      }),
    );
  });

  it("leave the best node alone by default", () => {
    fc.assert(
      fc.property(histories(decimal), ({ originals, steps }) => {
        const judged = steps.map((nodes) => nodes.map((node) => ({ ...node, isJudged: true, requests: 1000 })));
        const best = judged.map((nodes) => [{ ...HEALTHY }, ...nodes.slice(1)]);
        for (const weights of live(originals, best, { ...REBALANCE_DEFAULTS, latencyFactor: 0 }).seen) {
          assert.equal(weights[0], originals[0]);
        }
      }),
    );
  });
});
