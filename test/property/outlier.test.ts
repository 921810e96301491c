import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FaultWindow, SLICES } from "../../src/core/fault-window.js";
import type { Node } from "../../src/core/node.js";
import { ejectedNodesMax, isPanic, OutlierDetector } from "../../src/core/outlier.js";
import { Outcome, type OutcomeCode } from "../../src/core/policies/policy.js";
import { addresses, nodesOf } from "../core/small-cluster.js";
import { FakeClock } from "../support/fake-clock.js";

const EJECTION_MS = 1000;
const EJECTION_MAX_MS = 3500;
const LOOP_MS = 250;

type Step =
  | { readonly kind: "end"; readonly node: number; readonly outcome: OutcomeCode; readonly status: number }
  /** A stretch of one answer after the other, or faults would hardly ever come in a row. */
  | { readonly kind: "answers"; readonly node: number; readonly status: number; readonly times: number }
  | { readonly kind: "dial-failed"; readonly node: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "health"; readonly node: number; readonly what: "alive" | "suspect" | "mode" | "weight" }
  | { readonly kind: "membership"; readonly without: number };

const index = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      node: index,
      outcome: fc.constantFrom(Outcome.ANSWERED, Outcome.FAILED, Outcome.LEFT, Outcome.NONE),
      status: fc.constantFrom(0, 200, 404, 500, 503),
    }),
    weight: 5,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant("answers" as const),
      node: index,
      status: fc.constantFrom(200, 500),
      times: fc.integer({ min: 1, max: 30 }),
    }),
    weight: 5,
  },
  { arbitrary: fc.record({ kind: fc.constant("dial-failed" as const), node: index }), weight: 1 },
  {
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.oneof(fc.nat(300), fc.nat(5000)) }),
    weight: 5,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant("health" as const),
      node: index,
      what: fc.constantFrom("alive" as const, "suspect" as const, "mode" as const, "weight" as const),
    }),
    weight: 1,
  },
  { arbitrary: fc.record({ kind: fc.constant("membership" as const), without: index }), weight: 1 },
);

const history = fc.record({
  count: fc.integer({ min: 1, max: 9 }),
  ejectedShareMax: fc.constantFrom(0, 0.1, 0.34, 0.5, 1),
  panicShare: fc.constantFrom(0, 0.5, 1),
  faultShareMax: fc.constantFrom(0, 0.5),
  steps: fc.array(step, { maxLength: 120, size: "max" }),
});
type History = typeof history extends fc.Arbitrary<infer H> ? H : never;

function isServing(node: Node): boolean {
  return node.mode === "active" && node.weight > 0 && node.alive;
}

/** Lives through a history in which the last node never answers badly, and holds every promise against every step. */
function live({ count, ejectedShareMax, panicShare, faultShareMax, steps }: History) {
  const clock = new FakeClock();
  const all = nodesOf(addresses(count));
  const good = all[count - 1];
  let members: readonly Node[] = all;
  const outSinceMs = new Map<Node, { readonly sinceMs: number; readonly forMs: number }>();
  const detector = new OutlierDetector(
    {
      clock,
      onEjected(node, _, forMs) {
        assert.ok(node.ejected && !outSinceMs.has(node), "once per transition");
        assert.ok(forMs >= EJECTION_MS && forMs <= EJECTION_MAX_MS, `out for ${forMs}`);
        assert.notEqual(node, good, "a node that answers well");
        const serving = members.filter(isServing);
        assert.ok(serving.includes(node), "only who serves");
        const out = serving.filter((own) => own.ejected).length;
        assert.ok(out <= ejectedNodesMax(serving.length, ejectedShareMax), `${out} of ${serving.length}`);
        outSinceMs.set(node, { sinceMs: clock.now(), forMs });
      },
      onReturned(node) {
        const out = outSinceMs.get(node);
        assert.ok(out !== undefined && !node.ejected, "once per transition");
        assert.ok(clock.now() >= out.sinceMs + out.forMs, "not before its time");
        outSinceMs.delete(node);
      },
    },
    { ejectionMs: EJECTION_MS, ejectionMaxMs: EJECTION_MAX_MS, ejectedShareMax, panicShare, faultShareMax },
  );
  detector.update(all);

  const pass = (ms: number) => {
    const untilMs = clock.now() + ms;
    do {
      clock.pass(Math.min(LOOP_MS, untilMs - clock.now()));
      detector.advance();
    } while (clock.now() < untilMs);
  };
  const end = (node: Node, outcome: OutcomeCode, status: number) => {
    const isGood = outcome !== Outcome.FAILED && status < 500;
    if (node !== good || isGood) detector.observe(node, outcome, 0, status);
  };
  const flip = (node: Node, what: "alive" | "suspect" | "mode" | "weight") => {
    if (what === "alive") node.alive = !node.alive;
    else if (what === "suspect") node.suspect = !node.suspect;
    else if (what === "mode") node.mode = node.mode === "active" ? "draining" : "active";
    else node.weight = 1 - node.weight;
    detector.noteHealth();
  };

  for (const given of steps) {
    const node = all[("node" in given ? given.node : 0) % count];
    switch (given.kind) {
      case "end":
        end(node, given.outcome, given.status);
        break;
      case "answers":
        for (let n = 0; n < given.times; n++) end(node, Outcome.ANSWERED, given.status);
        break;
      case "dial-failed":
        if (node !== good) detector.noteDialFailed(node);
        break;
      case "pass":
        pass(given.ms);
        break;
      case "health":
        flip(node, given.what);
        break;
      case "membership": {
        const gone = all[given.without % count];
        members = members.includes(gone) ? members.filter((own) => own !== gone) : [...members, gone];
        detector.update(members);
        if (!members.includes(gone)) outSinceMs.delete(gone);
      }
    }
    assert.equal(detector.isPanic, isPanic(members, panicShare));
    for (const own of all) {
      assert.equal(own.ejected, outSinceMs.has(own));
      const out = outSinceMs.get(own);
      if (out !== undefined) assert.ok(clock.now() < out.sinceMs + out.forMs + LOOP_MS, "back in bounded time");
    }
    assert.ok(detector.ejectionsSpared >= 0);
  }
  return { all, pass };
}

describe("outlier detection", () => {
  it("never ejects above the share, nor a node that answers well, and brings everybody back in bounded time", () => {
    fc.assert(
      fc.property(history, (given) => {
        const { all, pass } = live(given);
        // Faults in a row that nobody had room for are not forgotten: one may yet go for them, and each at most once.
        pass((EJECTION_MAX_MS + LOOP_MS) * (all.length + 1));
        assert.deepEqual(
          all.filter((node) => node.ejected),
          [],
        );
      }),
      { numRuns: 400 },
    );
  });

  it("ejects when a list of all answers says so, and only then", () => {
    const answers = fc.record({
      isGood: fc.boolean(),
      times: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 25 })),
      afterMs: fc.oneof(fc.constant(0), fc.nat(400), fc.nat(20_000)),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(0, 3, 5),
        fc.constantFrom(0, 0.2, 0.5, 1),
        fc.array(answers, { maxLength: 60, size: "max" }),
        (consecutiveFaults, faultShareMax, stretches) => {
          const clock = new FakeClock();
          const beganMs = clock.now();
          const [node, ...others] = nodesOf(addresses(4));
          const windowMs = 10_000;
          const volumeMin = 20;
          const options = { consecutiveFaults, faultShareMax, windowMs, volumeMin };
          const detector = new OutlierDetector({ clock }, options);
          detector.update([node, ...others]);

          let seen: { readonly slice: number; readonly isGood: boolean }[] = [];
          let inARow = 0;
          let backMs: number | undefined;
          let ejections = 0;
          let forgivenMs = 0;
          const sliceNow = () => Math.floor((clock.now() - beganMs) / (windowMs / SLICES));
          const judge = () => {
            const recent = seen.filter(({ slice }) => slice > sliceNow() - SLICES);
            const faults = recent.filter(({ isGood }) => !isGood).length;
            const isByShare =
              faultShareMax > 0 && recent.length >= volumeMin && faults / recent.length >= faultShareMax;
            if (!isByShare && !(consecutiveFaults > 0 && inARow >= consecutiveFaults)) return;
            ejections++;
            backMs = clock.now() + Math.min(30_000 * ejections, 300_000);
          };
          const pass = (ms: number) => {
            clock.pass(ms);
            detector.advance();
            if (backMs !== undefined && clock.now() >= backMs) {
              backMs = undefined;
              seen = [];
              inARow = 0;
              forgivenMs = clock.now() + 30_000;
            }
            if (backMs !== undefined) return;
            for (; ejections > 0 && clock.now() >= forgivenMs; forgivenMs += 30_000) ejections--;
            judge();
          };
          for (const { isGood, times, afterMs } of stretches) {
            pass(afterMs);
            for (let n = 0; n < times; n++) {
              detector.observe(node, Outcome.ANSWERED, 0, isGood ? 200 : 502);
              if (backMs === undefined) {
                seen.push({ slice: sliceNow(), isGood });
                inARow = isGood ? 0 : inARow + 1;
                if (!isGood) judge();
              }
              assert.equal(node.ejected, backMs !== undefined);
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe("fault window", () => {
  it("counts what a list of its slices counts, never below zero", () => {
    const entry = fc.oneof(
      { arbitrary: fc.constantFrom("good" as const, "fault" as const), weight: 4 },
      { arbitrary: fc.integer({ min: 0, max: 12 }), weight: 1 },
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 200, size: "max" }), (entries) => {
        const window = new FaultWindow();
        let slice = 0;
        const seen: { readonly slice: number; readonly isFault: boolean }[] = [];
        for (const given of entries) {
          if (typeof given === "number") {
            window.roll(given);
            slice += given;
          } else {
            window.answers++;
            if (given === "fault") window.faults++;
            seen.push({ slice, isFault: given === "fault" });
          }
          const recent = seen.filter((own) => own.slice > slice - SLICES);
          const faults = recent.filter(({ isFault }) => isFault).length;
          assert.equal(window.answers, recent.length);
          assert.equal(window.faults, faults);
          assert.equal(window.faultShare, recent.length === 0 ? 0 : faults / recent.length);
        }
        window.clear();
        assert.deepEqual([window.answers, window.faults], [0, 0]);
      }),
    );
  });
});
