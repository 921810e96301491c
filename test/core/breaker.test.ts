import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CircuitBreaker, type CircuitBreakerOptions } from "../../src/core/breaker.js";
import { createNode, type Node } from "../../src/core/node.js";
import { Outcome, type OutcomeCode } from "../../src/core/policies/policy.js";
import { FakeClock } from "../support/fake-clock.js";
import { seeded } from "../support/seeded-random.js";
import { nodesOf } from "./small-cluster.js";

/** Without jitter: 0.5 + 0.5. */
const NO_JITTER = () => 0.5;

function breakerOf(options: CircuitBreakerOptions = {}, random: () => number = NO_JITTER) {
  const clock = new FakeClock();
  const nodes = nodesOf(["a:80", "b:80"]);
  const [node] = nodes;
  const events: string[] = [];
  const breaker = new CircuitBreaker(
    {
      clock,
      random,
      onOpened: ({ id }, openMs, trips) => events.push(`${id} open ${openMs} #${trips}`),
      onClosed: ({ id }) => events.push(`${id} closed`),
    },
    options,
  );
  breaker.update(nodes);
  /** A whole exchange: a status, or what happened instead. */
  const exchange = (status: number, outcome: OutcomeCode = Outcome.ANSWERED, subject: Node = node) =>
    breaker.observe(subject, breaker.noteAcquired(subject), outcome, status);
  const fail = (times: number) => {
    for (let n = 0; n < times; n++) exchange(500);
  };
  const kind = () => breaker.stateOf(node)?.kind;
  return { clock, nodes, node, breaker, events, exchange, fail, kind };
}

describe("circuit breaker", () => {
  it("opens at the tenth fault in a row", () => {
    const { fail, breaker, node, nodes, events } = breakerOf();
    fail(9);
    assert.equal(breaker.mayPass(node), true);
    fail(1);
    assert.equal(breaker.mayPass(node), false);
    assert.equal(breaker.mayPass(nodes[1]), true, "the other node is not concerned");
    assert.deepEqual(events, ["a:80 open 500 #1"]);
  });

  it("counts 5xx, resets, timeouts and failed dials", () => {
    const { exchange, breaker, node, kind } = breakerOf({ consecutiveFaults: 4 });
    exchange(599);
    exchange(0, Outcome.FAILED);
    exchange(200, Outcome.FAILED);
    assert.equal(kind(), "closed");
    breaker.noteDialFailed(node, breaker.noteAcquired(node));
    assert.equal(kind(), "open");
  });

  it("counts one of the dials that fail together", () => {
    const { breaker, node, kind } = breakerOf({ consecutiveFaults: 2 });
    const stamps = Array.from({ length: 10 }, () => breaker.noteAcquired(node));
    breaker.noteDialFailed(node, stamps[0]);
    node.alive = false;
    for (const stamp of stamps.slice(1)) breaker.noteDialFailed(node, stamp);
    assert.equal(kind(), "closed");
  });

  it("never counts what a client is to blame for", () => {
    const { exchange, kind } = breakerOf({ consecutiveFaults: 2 });
    for (const status of [400, 401, 403, 404, 413, 426, 429]) for (let n = 0; n < 20; n++) exchange(status);
    for (let n = 0; n < 20; n++) exchange(0, Outcome.LEFT);
    for (let n = 0; n < 20; n++) exchange(0, Outcome.NONE);
    assert.equal(kind(), "closed");
  });

  it("begins anew at a good answer, but not at an exchange that says nothing", () => {
    const { exchange, fail, kind } = breakerOf();
    fail(9);
    exchange(200);
    fail(9);
    assert.equal(kind(), "closed");
    exchange(0, Outcome.LEFT);
    exchange(0, Outcome.NONE);
    fail(1);
    assert.equal(kind(), "open");
  });

  it("never opens when it is off", () => {
    const { fail, kind } = breakerOf({ consecutiveFaults: 0 });
    fail(1000);
    assert.equal(kind(), "closed");
  });

  it("asks whoever knows better which statuses are faults", () => {
    const { exchange, kind } = breakerOf({ consecutiveFaults: 1, isFault: (status) => status === 418 });
    exchange(500);
    assert.equal(kind(), "closed");
    exchange(418);
    assert.equal(kind(), "open");
  });

  it("lets nobody pass before its time, and stays open for half as long again after each failed probe", () => {
    const { clock, exchange, fail, breaker, node, events } = breakerOf({ openMs: 100, openMaxMs: 300 });
    fail(10);
    for (const openMs of [100, 150, 225, 300, 300]) {
      clock.pass(openMs - 1);
      assert.equal(breaker.mayPass(node), false);
      clock.pass(1);
      assert.equal(breaker.mayPass(node), true);
      exchange(500);
    }
    assert.deepEqual(
      events.map((event) => event.slice(10)),
      ["100 #1", "150 #2", "225 #3", "300 #4", "300 #5", "300 #6"],
    );
  });

  it("begins with the shortest time again once it was closed", () => {
    const { clock, exchange, fail, events } = breakerOf();
    fail(10);
    clock.pass(500);
    exchange(500);
    clock.pass(750);
    exchange(200);
    fail(10);
    assert.deepEqual(events, ["a:80 open 500 #1", "a:80 open 750 #2", "a:80 closed", "a:80 open 500 #1"]);
  });

  it("draws the time once for each opening, between half and one and a half of it", () => {
    let draws = 0;
    const chance = seeded(3);
    const { clock, breaker, node, fail, exchange } = breakerOf({ openMs: 1000, openMaxMs: 1000 }, () => {
      draws++;
      return chance();
    });
    fail(10);
    const seen: number[] = [];
    for (let opening = 1; opening <= 200; opening++) {
      const state = breaker.stateOf(node);
      assert.ok(state?.kind === "open");
      const openMs = state.untilMs - clock.now();
      seen.push(openMs);
      for (let look = 0; look < 10; look++) breaker.mayPass(node);
      clock.pass(openMs);
      assert.ok(breaker.mayPass(node));
      assert.equal(draws, opening);
      exchange(500);
    }
    assert.ok(Math.min(...seen) >= 500 && Math.min(...seen) < 550, `${Math.min(...seen)}`);
    assert.ok(Math.max(...seen) < 1500 && Math.max(...seen) > 1450, `${Math.max(...seen)}`);
  });

  it("stays within its limit after any number of failed probes", () => {
    const { clock, exchange, fail, breaker, node } = breakerOf();
    fail(10);
    for (let probe = 0; probe < 5000; probe++) {
      clock.pass(60_000);
      assert.ok(breaker.mayPass(node));
      exchange(500);
    }
  });
});

describe("the probe of a circuit breaker", () => {
  function open(options: CircuitBreakerOptions = {}) {
    const made = breakerOf(options);
    made.fail(made.breaker.stateOf(made.node)?.kind === "closed" ? (options.consecutiveFaults ?? 10) : 0);
    assert.equal(made.kind(), "open");
    return made;
  }

  it("closes the breaker when it succeeds at the first allowed moment, however the dice fall", () => {
    for (let seed = 0; seed < 500; seed++) {
      const { clock, exchange, fail, breaker, node } = breakerOf({}, seeded(seed));
      fail(10);
      const state = breaker.stateOf(node);
      assert.ok(state?.kind === "open");
      clock.pass(state.untilMs - clock.now());
      exchange(200);
      assert.equal(breaker.stateOf(node)?.kind, "closed", `seed ${seed}`);
      assert.equal(breaker.mayPass(node), true);
    }
  });

  it("is one of a thousand that ask and acquire", () => {
    const { clock, breaker, node } = open();
    clock.pass(600_000);
    let passed = 0;
    for (let asker = 0; asker < 1000; asker++) {
      if (!breaker.mayPass(node)) continue;
      breaker.noteAcquired(node);
      passed++;
    }
    assert.equal(passed, 1);
  });

  it("is not used up by asking", () => {
    const { clock, breaker, node, kind } = open();
    clock.pass(500);
    for (let asker = 0; asker < 1000; asker++) assert.equal(breaker.mayPass(node), true);
    assert.equal(kind(), "open");
  });

  it("opens the breaker again when it fails", () => {
    const { clock, exchange, breaker, node, kind } = open();
    clock.pass(500);
    exchange(503);
    assert.equal(kind(), "open");
    assert.equal(breaker.mayPass(node), false);
  });

  it("may be a 404: the node answers", () => {
    const { clock, exchange, kind } = open();
    clock.pass(500);
    exchange(404);
    assert.equal(kind(), "closed");
  });

  it("leaves its place to the next when its client left or it was never sent, as often as that happens", () => {
    const { clock, breaker, node, exchange, events } = open();
    clock.pass(500);
    for (let n = 0; n < 50; n++) {
      assert.equal(breaker.mayPass(node), true);
      const stamp = breaker.noteAcquired(node);
      assert.equal(breaker.mayPass(node), false);
      breaker.observe(node, stamp, n % 2 === 0 ? Outcome.LEFT : Outcome.NONE, 0);
    }
    exchange(500);
    assert.deepEqual(events, ["a:80 open 500 #1", "a:80 open 750 #2"], "they have added no back-off");
  });

  it("fails by a dial that fails, also when the node is in the dead-host set by then", () => {
    const { clock, breaker, node, events } = open();
    clock.pass(500);
    const stamp = breaker.noteAcquired(node);
    node.alive = false;
    breaker.noteDialFailed(node, stamp);
    assert.equal(events.at(-1), "a:80 open 750 #2");
  });

  it("is decided by the head of its response, while others are judged when they end", () => {
    const { clock, breaker, node, events } = open({ consecutiveFaults: 1 });
    clock.pass(500);
    const stamp = breaker.noteAcquired(node);
    breaker.noteAnswered(node, stamp, 200);
    assert.equal(events.at(-1), "a:80 closed");
    // Its stream breaks an hour later: it has been heard already.
    breaker.observe(node, stamp, Outcome.FAILED, 200);
    assert.equal(events.at(-1), "a:80 closed");

    const ordinary = breaker.noteAcquired(node);
    breaker.noteAnswered(node, ordinary, 500);
    assert.equal(events.at(-1), "a:80 closed");
    breaker.observe(node, ordinary, Outcome.ANSWERED, 500);
    assert.equal(events.at(-1), "a:80 open 500 #1");
  });

  it("fails by the head of its response, too", () => {
    const { clock, breaker, node, events } = open();
    clock.pass(500);
    breaker.noteAnswered(node, breaker.noteAcquired(node), 500);
    assert.equal(events.at(-1), "a:80 open 750 #2");
  });

  it("does not keep its node out for ever when it has no outcome", () => {
    const { clock, breaker, node, kind } = open({ openMaxMs: 2000 });
    clock.pass(500);
    const dribbling = breaker.noteAcquired(node);
    clock.pass(1999);
    assert.equal(breaker.mayPass(node), false);
    clock.pass(1);
    assert.equal(breaker.mayPass(node), true);
    breaker.noteAcquired(node);
    assert.equal(breaker.mayPass(node), false, "one more, not all");
    // Where every answer takes longer than that, the first one back must do: else the breaker would never close.
    breaker.observe(node, dribbling, Outcome.ANSWERED, 200);
    assert.equal(kind(), "closed");
  });
});

describe("exchanges in flight when a breaker opens", () => {
  it("neither close nor reopen it, before, while and after a probe runs", () => {
    const { clock, breaker, node, events, fail } = breakerOf();
    const stragglers = Array.from({ length: 100 }, () => breaker.noteAcquired(node));
    const end = (outcome: OutcomeCode, status: number) => {
      for (let n = 0; n < 15; n++) breaker.observe(node, stragglers.pop()!, outcome, status);
    };
    fail(10);
    end(Outcome.ANSWERED, 200);
    end(Outcome.FAILED, 0);
    assert.equal(breaker.stateOf(node)?.kind, "open");
    clock.pass(500);
    const probe = breaker.noteAcquired(node);
    end(Outcome.ANSWERED, 200);
    end(Outcome.FAILED, 0);
    end(Outcome.LEFT, 0);
    assert.equal(breaker.stateOf(node)?.kind, "half-open");
    assert.equal(breaker.mayPass(node), false);
    breaker.observe(node, probe, Outcome.ANSWERED, 200);
    end(Outcome.FAILED, 0);
    assert.deepEqual(events, ["a:80 open 500 #1", "a:80 closed"]);
    assert.deepEqual(breaker.stateOf(node), { kind: "closed", faults: 0 });
  });

  it("are no more than those that got past it while it was open", () => {
    const { clock, breaker, node, events, fail, exchange } = breakerOf();
    fail(10);
    // By affinity, or in want of anybody better.
    for (let n = 0; n < 20; n++) exchange(200);
    const past = breaker.noteAcquired(node);
    clock.pass(500);
    const probe = breaker.noteAcquired(node);
    const beside = breaker.noteAcquired(node);
    breaker.observe(node, beside, Outcome.ANSWERED, 200);
    breaker.observe(node, past, Outcome.FAILED, 0);
    assert.equal(breaker.stateOf(node)?.kind, "half-open");
    breaker.observe(node, probe, Outcome.FAILED, 0);
    assert.deepEqual(events, ["a:80 open 500 #1", "a:80 open 750 #2"]);
  });
});

describe("resetting a circuit breaker", () => {
  it("closes it at once, and says whether there was something to do", () => {
    const { breaker, node, fail, events } = breakerOf();
    assert.equal(breaker.reset(node), false);
    fail(10);
    assert.equal(breaker.reset(node), true);
    assert.equal(breaker.mayPass(node), true);
    assert.equal(breaker.reset(node), false);
    assert.deepEqual(events, ["a:80 open 500 #1", "a:80 closed"]);
  });

  it("forgets the faults so far, and the probe", () => {
    const { clock, breaker, node, fail, events } = breakerOf();
    fail(9);
    breaker.reset(node);
    fail(9);
    assert.deepEqual(events, []);
    fail(1);
    clock.pass(500);
    const probe = breaker.noteAcquired(node);
    assert.equal(breaker.reset(node), true);
    breaker.observe(node, probe, Outcome.FAILED, 0);
    assert.deepEqual(breaker.stateOf(node), { kind: "closed", faults: 0 });
  });
});

describe("circuit breakers and the membership", () => {
  it("stay as they are for nodes that stay, and begin closed for nodes that come", () => {
    const { breaker, nodes, node, fail } = breakerOf();
    fail(10);
    breaker.update([...nodes].reverse());
    assert.equal(breaker.mayPass(node), false);
    breaker.update([nodes[1]]);
    assert.equal(breaker.stateOf(node), undefined);
    assert.equal(breaker.mayPass(node), true);
    breaker.update(nodes);
    assert.equal(breaker.mayPass(node), true);
  });

  it("do not hear of nodes that have left", () => {
    const { breaker, nodes, node } = breakerOf({ consecutiveFaults: 1 });
    const stamp = breaker.noteAcquired(node);
    const heir = createNode("c:80", 0, node.address, 1);
    breaker.update([heir, nodes[1]]);
    breaker.observe(node, stamp, Outcome.FAILED, 0);
    breaker.noteDialFailed(node, stamp);
    breaker.noteAnswered(node, stamp, 500);
    breaker.observe(node, breaker.noteAcquired(node), Outcome.FAILED, 0);
    assert.equal(breaker.reset(node), false);
    assert.equal(breaker.stateOf(heir)?.kind, "closed");
  });
});

describe("circuit breaker options", () => {
  it("are refused out of range, by name", () => {
    const make = (options: CircuitBreakerOptions) => () =>
      new CircuitBreaker({ clock: new FakeClock(), random: NO_JITTER }, options);
    assert.throws(make({ consecutiveFaults: -1 }), { code: "ERR_OPTION", message: /^option "consecutiveFaults" / });
    assert.throws(make({ openMs: 0 }), { code: "ERR_OPTION", message: /^option "openMs" / });
    assert.throws(make({ openMs: 1000, openMaxMs: 10 }), {
      code: "ERR_OPTION",
      message: 'option "openMaxMs" must be a number from 1000 upwards, got 10',
    });
  });
});
