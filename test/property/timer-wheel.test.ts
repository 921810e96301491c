import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TimerEntry, TimerWheel } from "../../src/core/timer-wheel.js";

const ENTRIES = 6;

type Step =
  | { readonly kind: "schedule"; readonly entry: number; readonly delayMs: number }
  | { readonly kind: "cancel"; readonly entry: number }
  | { readonly kind: "advance"; readonly byMs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("schedule" as const),
    entry: fc.nat(ENTRIES - 1),
    delayMs: fc.oneof(fc.nat(300), fc.nat(20_000)),
  }),
  fc.record({ kind: fc.constant("cancel" as const), entry: fc.nat(ENTRIES - 1) }),
  fc.record({ kind: fc.constant("advance" as const), byMs: fc.oneof(fc.nat(150), fc.nat(20_000)) }),
);

/** What an owner does when its entry fires: nothing, or schedule some entry, itself among them. */
const reaction = fc.option(fc.record({ entry: fc.nat(ENTRIES - 1), delayMs: fc.nat(2000) }), { nil: undefined });

describe("timer wheel", () => {
  it("fires what a list of deadlines would fire", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 32 }),
        fc.array(step, { maxLength: 200, size: "max" }),
        (tickMs, slots, steps) => {
          const wheel = new TimerWheel({ tickMs, slots });
          const fired: number[] = [];
          const entries = Array.from({ length: ENTRIES }, (_, n) => new TimerEntry({ onTimer: () => fired.push(n) }));
          const deadlineTicks = new Map<number, number>();
          const tick = () => Math.floor(wheel.nowMs / tickMs);
          for (const { kind, ...given } of steps) {
            const { entry = 0, delayMs = 0, byMs = 0 } = given as { entry?: number; delayMs?: number; byMs?: number };
            if (kind === "schedule") {
              wheel.schedule(entries[entry], delayMs);
              deadlineTicks.set(entry, tick() + Math.ceil(delayMs / tickMs) + 1);
            } else if (kind === "cancel") {
              wheel.cancel(entries[entry]);
              deadlineTicks.delete(entry);
            } else {
              wheel.advance(wheel.nowMs + byMs);
              const due = [...deadlineTicks.keys()].filter((n) => deadlineTicks.get(n)! <= tick());
              for (const n of due) deadlineTicks.delete(n);
              assert.deepEqual(fired.splice(0).sort(), due.sort());
            }
            assert.equal(wheel.size, deadlineTicks.size);
            for (const [n, own] of entries.entries()) assert.equal(own.isScheduled, deadlineTicks.has(n));
          }
        },
      ),
    );
  });

  it("never fires early by the real clock, and late by two ticks at most, one for whole ticks", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 32 }),
        fc.array(fc.record({ afterMs: fc.nat(500), delayMs: fc.nat(5000) }), { minLength: 1 }),
        (tickMs, slots, timers) => {
          const wheel = new TimerWheel({ tickMs, slots });
          let realMs = 0;
          const runUntil = (untilMs: number) => {
            while (wheel.nowMs + tickMs <= untilMs) {
              realMs = wheel.nowMs + tickMs;
              wheel.advance(realMs);
            }
            realMs = untilMs;
          };
          for (const { afterMs, delayMs } of timers) {
            runUntil(realMs + afterMs);
            const dueMs = realMs + delayMs;
            const slackMs = delayMs % tickMs === 0 ? tickMs : 2 * tickMs;
            const onTimer = () => assert.ok(realMs >= dueMs && realMs <= dueMs + slackMs, `${realMs - dueMs}`);
            wheel.schedule(new TimerEntry({ onTimer }), delayMs);
          }
          runUntil(realMs + 6000);
          assert.equal(wheel.size, 0);
        },
      ),
    );
  });

  it("stays whole when owners schedule one another while they fire", () => {
    fc.assert(
      fc.property(
        fc.array(reaction, { minLength: ENTRIES, maxLength: ENTRIES }),
        fc.array(fc.nat(3000)),
        (reactions, leapsMs) => {
          const wheel = new TimerWheel({ tickMs: 50, slots: 8 });
          const entries: TimerEntry[] = reactions.map(
            (next) =>
              new TimerEntry({
                onTimer(own) {
                  assert.equal(own.isScheduled, false);
                  if (next) wheel.schedule(entries[next.entry], next.delayMs);
                },
              }),
          );
          for (const [n, entry] of entries.entries()) wheel.schedule(entry, n * 70);
          for (const leapMs of leapsMs) {
            wheel.advance(wheel.nowMs + leapMs);
            assert.equal(wheel.size, entries.filter((entry) => entry.isScheduled).length);
          }
          for (const entry of entries) wheel.cancel(entry);
          assert.equal(wheel.size, 0);
          wheel.advance(wheel.nowMs + 10_000);
          assert.equal(wheel.size, 0);
        },
      ),
    );
  });
});
