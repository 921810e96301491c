import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decideRepeat, type FailedAttempt, isIdempotent, RetryBudget } from "../../src/core/retry.js";

const FAILED_GET: FailedAttempt = {
  reached: true,
  responseBytesSeen: 0,
  idempotent: true,
  bodyHeld: true,
  attempts: 1,
};

function decide(attempt: Partial<FailedAttempt>, budget = new RetryBudget(), attemptsMax = 3) {
  const decision = decideRepeat({ ...FAILED_GET, ...attempt }, attemptsMax, budget);
  return decision.kind === "fail" ? decision.reason : decision.kind;
}

const EMPTY = new RetryBudget({ tokensInitial: 0 });

describe("what may follow a failed attempt", () => {
  it("sends any method on to the next node as long as none was reached", () => {
    assert.equal(decide({ reached: false }), "cascade");
    assert.equal(decide({ reached: false, idempotent: false }), "cascade");
  });

  it("lets a cascade cost neither an attempt nor a token", () => {
    assert.equal(decide({ reached: false, attempts: 99 }, EMPTY), "cascade");
  });

  it("repeats an idempotent request that reached a node and got no byte back", () => {
    assert.equal(decide({}), "repeat");
  });

  it("never repeats a non-idempotent request that reached a node", () => {
    assert.equal(decide({ idempotent: false }), "not-idempotent");
  });

  it("never repeats after a byte of the response", () => {
    assert.equal(decide({ responseBytesSeen: 1 }), "response-started");
  });

  it("gives up when bytes of the body are gone, reached or not: half a body must not be sent", () => {
    assert.equal(decide({ bodyHeld: false }), "body-not-held");
    assert.equal(decide({ bodyHeld: false, reached: false }), "body-not-held");
  });

  it("stops at the last attempt", () => {
    assert.equal(decide({ attempts: 2 }), "repeat");
    assert.equal(decide({ attempts: 3 }), "attempts-spent");
  });

  it("stops when the budget is spent, and pays nothing itself", () => {
    assert.equal(decide({}, EMPTY), "budget-spent");
    const budget = new RetryBudget();
    decide({}, budget);
    assert.equal(budget.tokens, 10);
  });

  it("names what would be wrong before what would be too much", () => {
    assert.equal(decide({ idempotent: false, attempts: 3 }, EMPTY), "not-idempotent");
    assert.equal(decide({ responseBytesSeen: 9, idempotent: false, attempts: 3 }, EMPTY), "response-started");
  });
});

describe("idempotent methods", () => {
  it("are those of RFC 9110, by their exact names", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]) assert.equal(isIdempotent(method), true);
    for (const method of ["POST", "PATCH", "CONNECT", "LOCK", "get", ""]) assert.equal(isIdempotent(method), false);
  });
});

describe("retry budget", () => {
  it("starts with ten tokens and holds a hundred", () => {
    const budget = new RetryBudget();
    assert.equal(budget.tokens, 10);
    for (let n = 0; n < 10_000; n++) budget.earn();
    assert.equal(budget.tokens, 100);
  });

  it("buys one repeat for five requests, exactly", () => {
    const budget = new RetryBudget({ tokensInitial: 0 });
    for (let round = 0; round < 1000; round++) {
      for (let n = 0; n < 4; n++) budget.earn();
      assert.equal(budget.spend(), false);
      budget.earn();
      assert.equal(budget.spend(), true);
    }
    assert.equal(budget.tokens, 0);
  });

  it("never goes into debt", () => {
    const budget = new RetryBudget({ tokensInitial: 1.5 });
    assert.equal(budget.spend(), true);
    assert.equal(budget.spend(), false);
    assert.equal(budget.tokens, 0.5);
  });

  it("bounds the repeats of a cluster that answers nobody to a fifth of its requests", () => {
    const budget = new RetryBudget();
    let repeats = 0;
    for (let n = 0; n < 10_000; n++) {
      budget.earn();
      if (decide({}, budget) === "repeat" && budget.spend()) repeats++;
    }
    assert.equal(repeats, 10 + 2000);
  });

  it("refuses options out of range", () => {
    for (const options of [{ tokensPerRequest: -1 }, { tokensMax: Number.NaN }, { tokensInitial: 101 }]) {
      assert.throws(() => new RetryBudget(options), { code: "ERR_OPTION" });
    }
  });
});
