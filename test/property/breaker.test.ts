import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CircuitBreaker } from "../../src/core/breaker.js";
import { Outcome, type OutcomeCode } from "../../src/core/policies/policy.js";
import { nodesOf } from "../core/small-cluster.js";
import { FakeClock } from "../support/fake-clock.js";

const FAULTS = 3;
const OPEN_MS = 100;
const OPEN_MAX_MS = 1000;

type Step =
  /** Somebody asks, and goes ahead if he may. */
  | { readonly kind: "acquire" }
  /** Somebody goes ahead without asking. */
  | { readonly kind: "force" }
  /** One of those in flight ends. */
  | { readonly kind: "end"; readonly which: number; readonly outcome: OutcomeCode; readonly status: number }
  | { readonly kind: "answered"; readonly which: number; readonly status: number }
  | { readonly kind: "dial-failed"; readonly which: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "reset" };

const which = fc.nat(1000);
const status = fc.constantFrom(200, 404, 500, 503);
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.constant({ kind: "acquire" } as const), weight: 6 },
  { arbitrary: fc.constant({ kind: "force" } as const), weight: 1 },
  {
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      which,
      outcome: fc.constantFrom(Outcome.ANSWERED, Outcome.ANSWERED, Outcome.FAILED, Outcome.LEFT, Outcome.NONE),
      status,
    }),
    weight: 6,
  },
  { arbitrary: fc.record({ kind: fc.constant("answered" as const), which, status }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("dial-failed" as const), which }), weight: 1 },
  {
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.oneof(fc.nat(100), fc.nat(2500)) }),
    weight: 4,
  },
  { arbitrary: fc.constant({ kind: "reset" } as const), weight: 1 },
);

interface InFlight {
  readonly stamp: number;
  /** In which life of the breaker it was acquired: each opening, closing and reset begins another. */
  readonly life: number;
  readonly role: "ordinary" | "probe" | "past";
}

/** What a probe that is out tells of itself. */
interface Probe {
  readonly exchange: InFlight;
  readonly acquiredMs: number;
}

/** Lives through a history and holds every promise against every step. */
function live(steps: readonly Step[], chances: readonly number[]) {
  const clock = new FakeClock();
  const [node] = nodesOf(["a:80"]);
  let life = 0;
  let draws = 0;
  const breaker = new CircuitBreaker(
    {
      clock,
      random: () => chances[draws++ % chances.length],
      onOpened: (_, openMs) => {
        life++;
        assert.ok(openMs >= OPEN_MS / 2 && openMs < OPEN_MAX_MS * 1.5, `open for ${openMs}`);
      },
      onClosed: () => life++,
    },
    { consecutiveFaults: FAULTS, openMs: OPEN_MS, openMaxMs: OPEN_MAX_MS },
  );
  breaker.update([node]);
  const inFlight: InFlight[] = [];
  let probe: Probe | undefined;
  /** Faults in a row that an onlooker counts. */
  let faults = 0;
  const state = () => structuredClone(breaker.stateOf(node)!);

  const ask = () => {
    const before = state();
    const may = breaker.mayPass(node);
    assert.deepEqual(state(), before, "asking changes nothing");
    return may;
  };
  const acquire = () => {
    const { kind } = state();
    const may = ask();
    const stamp = breaker.noteAcquired(node);
    const role = kind === "closed" ? "ordinary" : may ? "probe" : "past";
    const exchange: InFlight = { stamp, life, role };
    inFlight.push(exchange);
    if (role !== "probe") return;
    const now = clock.now();
    assert.ok(probe === undefined || now - probe.acquiredMs >= OPEN_MAX_MS, "two probes at once");
    assert.equal(ask(), false, "nobody beside the probe");
    probe = { exchange, acquiredMs: now };
  };
  /** Does this exchange, in this moment, say anything? */
  const isHeard = (exchange: InFlight) => exchange.role !== "past" && exchange.life === life;
  const report = (exchange: InFlight, tell: () => void, says: "good" | "fault" | "nothing") => {
    const before = state();
    const lifeBefore = life;
    const isHeardNow = isHeard(exchange);
    tell();
    if (!isHeardNow) {
      assert.deepEqual(state(), before, "who is not of this life changes nothing");
      return;
    }
    if (exchange.role === "ordinary") {
      faults = says === "good" ? 0 : says === "fault" ? faults + 1 : faults;
      assert.equal(state().kind, faults >= FAULTS ? "open" : "closed");
      if (faults >= FAULTS) faults = 0;
      return;
    }
    const expected = says === "good" ? "closed" : "open";
    assert.equal(state().kind, expected, `a probe that says ${says}`);
    if (says === "nothing") {
      assert.equal(ask(), true, "the place is free");
      life++;
    } else assert.equal(life, lifeBefore + 1, "one transition");
    probe = undefined;
  };

  for (const given of steps) {
    switch (given.kind) {
      case "acquire":
        if (ask()) acquire();
        break;
      case "force":
        acquire();
        break;
      case "pass":
        clock.pass(given.ms);
        break;
      case "reset": {
        const wasClosed = state().kind === "closed";
        assert.equal(breaker.reset(node), !wasClosed);
        // Nothing is said of a closed breaker that is closed again, but what it has counted is gone.
        if (wasClosed) life++;
        probe = undefined;
        faults = 0;
        break;
      }
      default: {
        if (inFlight.length === 0) break;
        const place = given.which % inFlight.length;
        const exchange = inFlight[place];
        const isFault = "status" in given && given.status >= 500;
        if (given.kind === "answered") {
          const isProbe = exchange.role === "probe" && isHeard(exchange);
          const before = state();
          const tell = () => breaker.noteAnswered(node, exchange.stamp, given.status);
          if (isProbe) report(exchange, tell, isFault ? "fault" : "good");
          else {
            tell();
            assert.deepEqual(state(), before, "only a probe is judged by its head");
          }
          break;
        }
        inFlight.splice(place, 1);
        if (given.kind === "dial-failed") {
          report(exchange, () => breaker.noteDialFailed(node, exchange.stamp), "fault");
          break;
        }
        const { outcome } = given;
        const says =
          outcome === Outcome.ANSWERED
            ? isFault
              ? "fault"
              : "good"
            : outcome === Outcome.FAILED
              ? "fault"
              : "nothing";
        report(exchange, () => breaker.observe(node, exchange.stamp, outcome, given.status), says);
      }
    }
    const now = state();
    if (now.kind === "closed") assert.ok(now.faults >= 0 && now.faults < FAULTS, `${now.faults} faults`);
    else assert.ok(now.trips >= 1);
  }
  return { clock, node, breaker };
}

const history = fc.record({
  steps: fc.array(step, { maxLength: 150, size: "max" }),
  chances: fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 20 }),
});

describe("circuit breaker", () => {
  it("lets one probe through at a time, and hears nobody but it, and those acquired since it closed", () => {
    fc.assert(
      fc.property(history, ({ steps, chances }) => {
        live(steps, chances);
      }),
      { numRuns: 500 },
    );
  });

  it("lets somebody through within its longest time whatever has happened, and closes when he succeeds", () => {
    fc.assert(
      fc.property(history, ({ steps, chances }) => {
        const { clock, node, breaker } = live(steps, chances);
        clock.pass(OPEN_MAX_MS * 1.5);
        assert.equal(breaker.mayPass(node), true);
        breaker.observe(node, breaker.noteAcquired(node), Outcome.ANSWERED, 200);
        assert.equal(breaker.stateOf(node)?.kind, "closed");
      }),
    );
  });

  it("never opens for what clients do", () => {
    const harmless = fc.record({
      outcome: fc.constantFrom(Outcome.ANSWERED, Outcome.LEFT, Outcome.NONE),
      status: fc.integer({ min: 100, max: 499 }),
    });
    fc.assert(
      fc.property(fc.array(harmless, { maxLength: 100 }), (ends) => {
        const [node] = nodesOf(["a:80"]);
        const breaker = new CircuitBreaker({ clock: new FakeClock(), random: () => 0 }, { consecutiveFaults: 1 });
        breaker.update([node]);
        for (const { outcome, status: given } of ends) {
          breaker.observe(node, breaker.noteAcquired(node), outcome, given);
          assert.equal(breaker.mayPass(node), true);
        }
      }),
    );
  });
});
