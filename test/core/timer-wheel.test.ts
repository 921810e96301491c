import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimerEntry, TimerWheel } from "../../src/core/timer-wheel.js";

/** A wheel of ten ticks of 100 ms, and entries that note their names when they fire. */
function wheelOf() {
  const wheel = new TimerWheel({ tickMs: 100, slots: 10 });
  const fired: string[] = [];
  const entry = (name: string, onFire?: (entry: TimerEntry) => void) =>
    new TimerEntry({
      onTimer(own) {
        fired.push(name);
        onFire?.(own);
      },
    });
  return { wheel, fired, entry };
}

describe("timer wheel", () => {
  it("fires after the delay and at most one tick late", () => {
    const { wheel, fired, entry } = wheelOf();
    wheel.schedule(entry("a"), 300);
    wheel.advance(300);
    assert.deepEqual(fired, []);
    wheel.advance(400);
    assert.deepEqual(fired, ["a"]);
  });

  it("does not fire early for what was scheduled late in a tick", () => {
    const { wheel, fired, entry } = wheelOf();
    wheel.advance(199);
    wheel.schedule(entry("a"), 100);
    wheel.advance(200);
    wheel.advance(298);
    assert.deepEqual(fired, []);
    wheel.advance(300);
    assert.deepEqual(fired, ["a"]);
  });

  it("fires once", () => {
    const { wheel, fired, entry } = wheelOf();
    wheel.schedule(entry("a"), 100);
    for (let nowMs = 100; nowMs <= 5000; nowMs += 100) wheel.advance(nowMs);
    assert.deepEqual(fired, ["a"]);
  });

  it("fires a delay of 0 at the next tick, not within the call", () => {
    const { wheel, fired, entry } = wheelOf();
    wheel.schedule(entry("a"), 0);
    assert.deepEqual(fired, []);
    wheel.advance(100);
    assert.deepEqual(fired, ["a"]);
  });

  it("keeps delays of many revolutions", () => {
    const { wheel, fired, entry } = wheelOf();
    wheel.schedule(entry("a"), 12_345);
    for (let nowMs = 100; nowMs <= 12_400; nowMs += 100) wheel.advance(nowMs);
    assert.deepEqual(fired, []);
    wheel.advance(12_500);
    assert.deepEqual(fired, ["a"]);
  });

  it("moves the deadline of a scheduled entry, later and earlier", () => {
    const { wheel, fired, entry } = wheelOf();
    const late = entry("late");
    const early = entry("early");
    wheel.schedule(late, 200);
    wheel.schedule(early, 800);
    wheel.schedule(late, 800);
    wheel.schedule(early, 200);
    assert.equal(wheel.size, 2);
    wheel.advance(300);
    assert.deepEqual(fired, ["early"]);
    wheel.advance(800);
    assert.deepEqual(fired, ["early"]);
    wheel.advance(900);
    assert.deepEqual(fired, ["early", "late"]);
  });

  it("does not fire what was cancelled; cancelling twice does nothing", () => {
    const { wheel, fired, entry } = wheelOf();
    const a = entry("a");
    wheel.schedule(a, 100);
    wheel.cancel(a);
    wheel.cancel(a);
    assert.equal(a.isScheduled, false);
    assert.equal(wheel.size, 0);
    wheel.advance(1000);
    assert.deepEqual(fired, []);
  });

  it("lets an owner schedule its entry again while it fires", () => {
    const { wheel, fired, entry } = wheelOf();
    const a = entry("a", (own) => wheel.schedule(own, 100));
    wheel.schedule(a, 100);
    for (let nowMs = 100; nowMs <= 1000; nowMs += 100) wheel.advance(nowMs);
    assert.equal(fired.length, 5);
    assert.equal(wheel.size, 1);
  });

  it("lets an owner cancel and schedule others that are due in the same tick", () => {
    const { wheel, fired, entry } = wheelOf();
    const cancelled = entry("cancelled");
    const delayed = entry("delayed");
    wheel.schedule(
      entry("first", () => {
        wheel.cancel(cancelled);
        wheel.schedule(delayed, 500);
      }),
      100,
    );
    wheel.schedule(cancelled, 100);
    wheel.schedule(delayed, 100);
    wheel.advance(200);
    assert.deepEqual(fired, ["first"]);
    wheel.advance(800);
    assert.deepEqual(fired, ["first", "delayed"]);
  });

  it("fires everything that is due after a leap of many revolutions, and counts new delays from there", () => {
    const { wheel, fired, entry } = wheelOf();
    const again = entry("again", (own) => wheel.schedule(own, 400));
    wheel.schedule(again, 100);
    wheel.schedule(entry("long"), 2500);
    wheel.schedule(entry("longer"), 60_000);
    wheel.advance(50_000);
    assert.deepEqual(fired.toSorted(), ["again", "long"]);
    wheel.advance(50_400);
    assert.equal(fired.length, 2);
    wheel.advance(50_500);
    assert.deepEqual(fired.at(-1), "again");
    assert.equal(wheel.size, 2);
  });

  it("tells coarse time, which never goes back", () => {
    const wheel = new TimerWheel({ tickMs: 100, slots: 10, nowMs: 1_700_000_000_000 });
    assert.equal(wheel.nowMs, 1_700_000_000_000);
    wheel.advance(1_700_000_000_150);
    wheel.advance(1_700_000_000_000);
    assert.equal(wheel.nowMs, 1_700_000_000_150);
  });

  it("tells an owner of several entries which one fired", () => {
    const wheel = new TimerWheel({ tickMs: 100, slots: 10 });
    const fired: TimerEntry[] = [];
    const owner = { onTimer: (entry: TimerEntry) => fired.push(entry) };
    const head = new TimerEntry(owner);
    const body = new TimerEntry(owner);
    wheel.schedule(head, 100);
    wheel.schedule(body, 300);
    wheel.advance(200);
    assert.equal(fired.length, 1);
    assert.equal(fired[0], head);
  });
});
