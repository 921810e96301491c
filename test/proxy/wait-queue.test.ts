import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TimerWheel } from "../../src/core/timer-wheel.js";
import { WaitQueue } from "../../src/proxy/wait-queue.js";

const TICK_MS = 25;

function queueOf({ queueMax = 10, queueTimeoutMs = 1000 } = {}) {
  const wheel = new TimerWheel({ tickMs: TICK_MS, slots: 64 });
  const options = { queueMax, queueTimeoutMs };
  const timedOut: string[] = [];
  let looks = 0;
  let onTimeout = (_waiter: string) => {};
  const queue = new WaitQueue<string>(wheel, options, {
    onTimeout(waiter) {
      timedOut.push(waiter);
      onTimeout(waiter);
    },
    onLook: () => looks++,
  });
  const pass = (ms: number) => {
    for (const untilMs = wheel.nowMs + ms; wheel.nowMs < untilMs; ) wheel.advance(wheel.nowMs + TICK_MS);
  };
  return {
    queue,
    wheel,
    options,
    timedOut,
    pass,
    order: () => [...queue.waiters()].join(""),
    get looks() {
      return looks;
    },
    set onTimeout(then: (waiter: string) => void) {
      onTimeout = then;
    },
  };
}

describe("wait queue", () => {
  it("lets in as many as may wait, and one more when one has left", () => {
    const { queue, order } = queueOf({ queueMax: 2 });
    assert.deepEqual([queue.join("a"), queue.join("b"), queue.join("c")], [true, true, false]);
    queue.leave("a");
    assert.equal(queue.join("c"), true);
    assert.equal(order(), "bc");
  });

  it("puts whoever has had its turn before the newcomers, in the order of their return, however full it is", () => {
    const { queue, order } = queueOf({ queueMax: 2 });
    queue.join("c");
    queue.join("d");
    queue.rejoin("a");
    queue.rejoin("b");
    assert.deepEqual([order(), queue.size, queue.hasReturned], ["abcd", 4, true]);
    queue.leave("c");
    queue.leave("d");
    assert.equal(queue.join("e"), false, "they count for those who want to come");
    queue.leave("a");
    queue.leave("b");
    assert.deepEqual([queue.join("e"), queue.hasReturned], [true, false]);
  });

  it("gives up at the limit, no earlier, and each for itself", () => {
    const { queue, timedOut, pass } = queueOf({ queueTimeoutMs: 1000 });
    queue.join("a");
    pass(500);
    queue.join("b");
    pass(500);
    assert.deepEqual(timedOut, []);
    pass(100);
    assert.deepEqual(timedOut, ["a"]);
    pass(400);
    assert.deepEqual(timedOut, ["a"]);
    pass(100);
    assert.deepEqual([timedOut, queue.size], [["a", "b"], 0]);
  });

  it("looks again while anybody waits, for room that comes by time alone, and never else", () => {
    const state = queueOf();
    state.pass(1000);
    assert.equal(state.looks, 0);
    state.queue.join("a");
    state.pass(500);
    assert.ok(state.looks >= 3 && state.looks <= 5, `${state.looks}`);
    state.queue.leave("a");
    const { looks } = state;
    state.pass(1000);
    assert.equal(state.looks, looks);
  });

  it("takes a new limit for those who join later", () => {
    const { queue, options, timedOut, pass } = queueOf({ queueMax: 1, queueTimeoutMs: 5000 });
    queue.join("a");
    options.queueMax = 2;
    options.queueTimeoutMs = 200;
    assert.equal(queue.join("b"), true);
    pass(4900);
    assert.deepEqual(timedOut, [], "behind one who has more time nobody gives up first");
    pass(200);
    assert.deepEqual(timedOut, ["a", "b"]);
  });

  it("bears that a timeout makes others leave and join", () => {
    const state = queueOf({ queueMax: 3, queueTimeoutMs: 100 });
    const { queue, timedOut, pass, order } = state;
    state.onTimeout = (waiter) => {
      queue.leave("b");
      if (waiter === "a") queue.join("d");
    };
    for (const waiter of ["a", "b", "c"]) queue.join(waiter);
    pass(150);
    assert.deepEqual([timedOut, order()], [["a", "c"], "d"]);
    pass(150);
    assert.deepEqual([timedOut, order()], [["a", "c", "d"], ""]);
  });

  it("keeps order, bound and timer whatever comes and goes", () => {
    const command = fc.record({
      kind: fc.constantFrom("join", "join", "rejoin", "leave", "pass"),
      which: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (commands, queueMax) => {
        const { queue, wheel, timedOut, pass } = queueOf({ queueMax, queueTimeoutMs: 300 });
        let came = 0;
        let returned: string[] = [];
        let newcomers: string[] = [];
        for (const { kind, which } of commands) {
          const all = [...returned, ...newcomers];
          if (kind === "join") {
            const waiter = `n${came++}`;
            assert.equal(queue.join(waiter), all.length < queueMax);
            if (all.length < queueMax) newcomers.push(waiter);
          } else if (kind === "rejoin") {
            const waiter = `r${came++}`;
            queue.rejoin(waiter);
            returned.push(waiter);
          } else if (kind === "leave" && all.length > 0) {
            const waiter = all[which % all.length];
            queue.leave(waiter);
            returned = returned.filter((name) => name !== waiter);
            newcomers = newcomers.filter((name) => name !== waiter);
          } else if (kind === "pass") {
            pass(TICK_MS * which);
            returned = returned.filter((name) => !timedOut.includes(name));
            newcomers = newcomers.filter((name) => !timedOut.includes(name));
          }
          assert.deepEqual([...queue.waiters()], [...returned, ...newcomers]);
          assert.equal(wheel.size, queue.size > 0 ? 1 : 0, "a timer exactly while somebody waits");
        }
        pass(500);
        assert.deepEqual([queue.size, wheel.size], [0, 0]);
      }),
    );
  });
});
