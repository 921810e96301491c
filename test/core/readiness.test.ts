import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decideReadiness, type ReadinessFields } from "../../src/core/readiness.js";

const READY: ReadinessFields = {
  isListening: true,
  isDraining: false,
  isPaused: false,
  clusters: [{ canServe: true }],
};

describe("readiness", () => {
  it("is there when the balancer listens, does not drain, and can serve somebody", () => {
    assert.equal(decideReadiness(READY), "ready");
    assert.equal(decideReadiness({ ...READY, isListening: false }), "starting");
    assert.equal(decideReadiness({ ...READY, isDraining: true }), "draining");
    assert.equal(decideReadiness({ ...READY, isPaused: true }), "paused");
    assert.equal(decideReadiness({ ...READY, clusters: [{ canServe: false }] }), "no-node-alive");
    assert.equal(decideReadiness({ ...READY, clusters: [] }), "no-node-alive");
  });

  it("is not lost to one cluster among several that cannot serve", () => {
    const clusters = [{ canServe: false }, { canServe: true }, { canServe: false }];
    assert.equal(decideReadiness({ ...READY, clusters }), "ready");
  });

  it("says draining whatever else is so: whoever ends is not about to start", () => {
    assert.equal(decideReadiness({ ...READY, isDraining: true, isListening: false, isPaused: true }), "draining");
  });
});
