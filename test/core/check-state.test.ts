import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CheckState } from "../../src/core/check-state.js";

/** What each result of `+` and `-` changes the verdict to: `.` nothing, `P` passing, `F` failing. */
function flips(results: string, healthyThreshold: number, unhealthyThreshold: number): string {
  const state = new CheckState({ healthyThreshold, unhealthyThreshold });
  const told = [...results].map((result) => {
    const before = state.verdict;
    const flip = state.record(result === "+");
    assert.equal(state.verdict, flip ?? before);
    return flip === undefined ? "." : flip[0].toUpperCase();
  });
  return told.join("");
}

describe("check state", () => {
  it("is unknown before the first result, which decides at once whatever the thresholds are", () => {
    assert.equal(new CheckState({ healthyThreshold: 1, unhealthyThreshold: 2 }).verdict, "unknown");
    assert.equal(flips("+", 9, 9), "P");
    assert.equal(flips("-", 9, 9), "F");
  });

  it("FB9: keeps a passing node at one failure, fails it at the second, and brings it back at one pass", () => {
    assert.equal(flips("+-", 1, 2), "P.");
    assert.equal(flips("+--", 1, 2), "P.F");
    assert.equal(flips("+--+", 1, 2), "P.FP");
  });

  it("FB9: forgets failures at a pass", () => {
    assert.equal(flips("+-+-+-+-", 1, 2), "P.......");
    assert.equal(flips("+--+--+---", 1, 3), "P........F");
  });

  it("forgets passes at a failure", () => {
    assert.equal(flips("-+-+-++", 2, 1), "F.....P");
    assert.equal(flips("-++-+++", 3, 1), "F.....P");
  });

  it("starts to count anew after each flip", () => {
    assert.equal(flips("+--++--++", 2, 2), "P.F.P.F.P");
  });

  it("tells flips only", () => {
    assert.equal(flips("++++----++++", 1, 1), "P...F...P...");
  });

  it("flips exactly when as many results in a row as the threshold says contradict the verdict", () => {
    const threshold = fc.integer({ min: 1, max: 4 });
    const results = fc.string({ unit: fc.constantFrom("+", "-"), minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(results, threshold, threshold, (line, healthy, unhealthy) => {
        let verdict = line[0];
        let expected = verdict === "+" ? "P" : "F";
        let since = 1;
        for (let at = 1; at < line.length; at++) {
          const needed = verdict === "+" ? unhealthy : healthy;
          const row = line.slice(Math.max(since, at + 1 - needed), at + 1);
          const isFlip = row.length === needed && !row.includes(verdict);
          if (isFlip) {
            verdict = line[at];
            since = at + 1;
          }
          expected += isFlip ? (verdict === "+" ? "P" : "F") : ".";
        }
        assert.equal(flips(line, healthy, unhealthy), expected);
      }),
    );
  });

  it("refuses thresholds below one", () => {
    for (const bad of [0, -1, Number.NaN]) {
      assert.throws(() => new CheckState({ healthyThreshold: bad, unhealthyThreshold: 2 }), {
        code: "ERR_OPTION",
        message: `option "healthyThreshold" must be a number from 1 upwards, got ${bad}`,
      });
      assert.throws(() => new CheckState({ healthyThreshold: 1, unhealthyThreshold: bad }), { code: "ERR_OPTION" });
    }
  });
});
