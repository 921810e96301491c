import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Meter, MeterReading } from "../../src/core/meter.js";
import { createNode, type Node } from "../../src/core/node.js";
import { Outcome, type Policy } from "../../src/core/policies/policy.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";
import { weightedRoundRobin } from "../../src/core/policies/weighted-round-robin.js";
import { REBALANCE_OXY } from "../../src/core/rebalance.js";
import { Rebalancer, type RebalancerOptions } from "../../src/core/rebalancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { HEALTHY, SimulatedTraffic, WeightedChance } from "../support/simulated-traffic.js";
import { exchangeOf, nodesOf, paths, untried } from "./small-cluster.js";

const TICK_MS = 11_000;
const IDS = ["a:80", "b:80", "c:80"];

/** A meter that says what the test says. */
class StillMeter implements Meter {
  reading: MeterReading = { isReady: true, requests: 1000, errorRatio: 0, latencyMs: 10 };
  readonly records: string[] = [];

  record(status: number, latencyMs: number): void {
    this.records.push(`${status} ${latencyMs}`);
  }

  read(): MeterReading {
    return this.reading;
  }
}

function rebalancerOf(weights: readonly number[], options: RebalancerOptions = REBALANCE_OXY) {
  const clock = new FakeClock();
  const policy = new WeightedChance();
  const nodes = nodesOf(IDS.slice(0, weights.length));
  for (const node of nodes) node.weight = weights[node.index];
  const meters = new Map<string, StillMeter>();
  const moves: string[] = [];
  const rebalancer = new Rebalancer(
    policy,
    {
      clock,
      meter: ({ id }) => {
        const meter = new StillMeter();
        meters.set(id, meter);
        return meter;
      },
      onMove: (node, weight) => moves.push(`${node.id} ${weight}`),
    },
    options,
  );
  rebalancer.update(nodes);
  const rate = (id: string, errorRatio: number) => {
    const meter = meters.get(id)!;
    meter.reading = { ...meter.reading, errorRatio };
  };
  /** What the wrapped policy goes by. */
  const seen = () => policy.nodes.map(({ id, weight }) => `${id.slice(0, 1)}${weight}`).join(" ");
  const ticks = (count: number) => {
    for (let n = 0; n < count; n++) {
      clock.pass(TICK_MS);
      rebalancer.record(nodes[0], 200, 1);
    }
    return seen();
  };
  return { clock, policy, nodes, meters, moves, rebalancer, rate, seen, ticks };
}

describe("rebalancer", () => {
  it("O8: hands the moved weights to its policy, up to 4096 and back to the originals", () => {
    const { rate, ticks, seen } = rebalancerOf([2, 3]);
    rate("a:80", 0.3);
    assert.equal(ticks(5), "a1 b1536");
    rate("a:80", 0);
    assert.equal(ticks(4), "a2 b3");
    assert.equal(seen(), "a2 b3");
  });

  it("never writes the operator's weight", () => {
    const { nodes, rate, ticks, rebalancer } = rebalancerOf([2, 3]);
    rate("a:80", 1);
    ticks(3);
    assert.deepEqual(
      nodes.map((node) => node.weight),
      [2, 3],
    );
    assert.deepEqual(
      nodes.map((node) => rebalancer.weightOf(node)),
      [1, 96],
    );
  });

  it("gives back the cluster's own nodes, and asks about them", () => {
    const { nodes, rebalancer } = rebalancerOf([1, 1]);
    const asked = new Set<Node>();
    const node = rebalancer.pick(exchangeOf("/"), (candidate) => {
      asked.add(candidate);
      return candidate.index === 1;
    });
    assert.equal(node, nodes[1]);
    assert.deepEqual([...asked], nodes);
    assert.equal(
      rebalancer.pick(exchangeOf("/"), () => false),
      undefined,
    );
  });

  it("lets its policy see the live state of the nodes, and change it", () => {
    const { nodes, policy } = rebalancerOf([1, 1]);
    nodes[0].inFlight = 3;
    nodes[0].alive = false;
    nodes[0].mode = "draining";
    nodes[0].suspect = true;
    nodes[0].check = "unknown";
    nodes[0].ejected = true;
    const [view] = policy.nodes;
    assert.deepEqual(
      [view.id, view.index, view.address, view.inFlight, view.alive, view.mode, view.suspect, view.check, view.ejected],
      ["a:80", 0, nodes[0].address, 3, false, "draining", true, "unknown", true],
    );
    view.inFlight++;
    view.alive = true;
    view.suspect = false;
    view.check = "passing";
    view.ejected = false;
    view.mode = "active";
    const { inFlight, alive, suspect, mode, check, ejected } = nodes[0];
    assert.deepEqual([inFlight, alive, suspect, mode, check, ejected], [4, true, false, "active", "passing", false]);
  });

  it("says once which weight went where", () => {
    const { moves, rate, ticks } = rebalancerOf([1, 1, 1], { intervalMs: 0 });
    rate("b:80", 1);
    ticks(5);
    rate("b:80", 0);
    ticks(5);
    assert.deepEqual(moves, ["b:80 0.25", "b:80 0.0625", "b:80 0.015625", "b:80 0.0625", "b:80 0.25", "b:80 1"]);
  });

  it("O10: returns to the originals at once when a node joins or leaves or is upserted again", () => {
    const { nodes, rate, ticks, seen, rebalancer } = rebalancerOf([2, 3]);
    rate("a:80", 0.3);
    assert.equal(ticks(2), "a1 b24");
    const joined = createNode("c:80", 2, nodes[0].address, 1);
    rebalancer.upsert(joined);
    assert.equal(seen(), "a2 b3 c1");
    assert.equal(ticks(1), "a1 b6 c2");
    assert.equal(rebalancer.remove("c:80"), true);
    assert.equal(seen(), "a2 b3");
    assert.equal(ticks(1), "a1 b6", "and may move again at once: the back-off is over, too");
    rebalancer.upsert(nodes[0]);
    assert.equal(seen(), "a2 b3");
  });

  it("returns to the originals at once when the operator changes a weight", () => {
    const { nodes, rate, ticks, seen, rebalancer } = rebalancerOf([2, 3]);
    rate("a:80", 0.3);
    ticks(2);
    nodes[1].weight = 5;
    rebalancer.update(nodes);
    assert.equal(seen(), "a2 b5");
    rebalancer.update([nodes[1]]);
    assert.equal(seen(), "b5");
  });

  it("keeps the moved weights when a reload says what was said before", () => {
    const { rate, ticks, seen, rebalancer, policy } = rebalancerOf([2, 3]);
    rate("a:80", 0.3);
    ticks(2);
    const reloaded = nodesOf(["a:80", "b:80"], (id) => (id === "a:80" ? 2 : 3));
    const views = [...policy.nodes];
    rebalancer.update(reloaded);
    assert.equal(seen(), "a1 b24");
    assert.deepEqual(policy.nodes, views, "a policy that knows its nodes by identity still does");
    assert.equal(
      rebalancer.pick(exchangeOf("/"), (node) => node === reloaded[0]),
      reloaded[0],
    );
  });

  it("O11: a node that was upserted again is gone when it is removed, and rebalancing still works", () => {
    const { nodes, meters, rate, ticks, seen, rebalancer } = rebalancerOf([1, 1, 1]);
    rebalancer.upsert(nodes[0]);
    rebalancer.upsert({ ...nodes[0] });
    assert.equal(seen(), "a1 b1 c1");
    assert.equal(meters.size, 3);
    rate("b:80", 1);
    // The upserted object is the node now: what is recorded on the old one does not count.
    ticks(1);
    assert.equal(seen(), "a1 b1 c1");
    rebalancer.rebalance();
    assert.equal(seen(), "a4 b1 c4");

    assert.equal(rebalancer.remove("a:80"), true);
    assert.equal(seen(), "b1 c1");
    assert.equal(rebalancer.remove("a:80"), false);
    for (let n = 0; n < 200; n++) assert.notEqual(rebalancer.pick(exchangeOf("/"), () => true)?.id, "a:80");
    rebalancer.rebalance();
    assert.equal(seen(), "b1 c4");
  });

  it("ignores what comes late from a node that has left, and what it never knew", () => {
    const { nodes, meters, rebalancer } = rebalancerOf([1, 1]);
    rebalancer.remove("b:80");
    rebalancer.record(nodes[1], 500, 1);
    rebalancer.record(createNode("z:80", 7, nodes[0].address, 1), 500, 1);
    assert.deepEqual(meters.get("b:80")?.records, []);
    assert.equal(rebalancer.weightOf(nodes[1]), undefined);
    rebalancer.record(nodes[0], 204, 3);
    assert.deepEqual(meters.get("a:80")?.records, ["204 3"]);
  });

  it("decides once a second at most, however many responses come", () => {
    const { clock, rate, nodes, policy, rebalancer } = rebalancerOf([1, 1], { backoffMs: 0 });
    rate("a:80", 1);
    clock.pass(1);
    const before = policy.updates;
    for (let n = 0; n < 1000; n++) rebalancer.record(nodes[1], 200, 1);
    assert.equal(policy.updates, before + 1);
    clock.pass(999);
    rebalancer.record(nodes[1], 200, 1);
    assert.equal(policy.updates, before + 1);
    clock.pass(1);
    rebalancer.record(nodes[1], 200, 1);
    assert.equal(policy.updates, before + 2);
  });

  it("judges neither dead nodes nor suspect, ejected or draining ones, nor those whose checks do not pass", () => {
    const { nodes, rate, ticks, rebalancer } = rebalancerOf([1, 1, 1], {});
    rate("a:80", 1);
    nodes[0].alive = false;
    assert.equal(ticks(1), "a1 b1 c1");
    nodes[0].alive = true;
    nodes[0].suspect = true;
    assert.equal(ticks(1), "a1 b1 c1");
    nodes[0].suspect = false;
    nodes[0].ejected = true;
    assert.equal(ticks(1), "a1 b1 c1");
    nodes[0].ejected = false;
    nodes[0].mode = "draining";
    assert.equal(ticks(1), "a1 b1 c1");
    nodes[0].mode = "active";
    nodes[0].check = "failing";
    assert.equal(ticks(1), "a1 b1 c1");
    nodes[0].check = "passing";
    assert.equal(ticks(1), "a0.25 b1 c1");
    nodes[1].alive = false;
    nodes[2].alive = false;
    assert.deepEqual(rebalancer.rebalance(), { kind: "keep", reason: "few-nodes" });
  });

  it("O12: measures by 500 to 504, or by what it is told", () => {
    for (const [options, status, expected] of [
      [{}, 503, 0.25],
      [{}, 404, 1],
      [{}, 499, 1],
      [{}, 505, 1],
      [{ isError: (code: number) => code === 404 }, 404, 0.25],
      [{ isError: (code: number) => code === 404 }, 503, 1],
    ] as const) {
      const clock = new FakeClock();
      const nodes = nodesOf(["a:80", "b:80"]);
      const rebalancer = new Rebalancer(new WeightedChance(), { clock }, options);
      rebalancer.update(nodes);
      for (let n = 0; n < 220; n++) {
        rebalancer.record(nodes[0], status, 10);
        rebalancer.record(nodes[1], 200, 10);
        clock.pass(50);
      }
      assert.equal(rebalancer.weightOf(nodes[0]), expected, `${status}`);
    }
  });

  it("passes load and outcomes on to its policy, of its own nodes only", () => {
    const seen: string[] = [];
    const policy: Policy = {
      isKeyed: true,
      update: () => {},
      pick: () => undefined,
      noteLoad: (node) => seen.push(`load ${node.id}`),
      observe: (node, outcome, waitedMs) => seen.push(`${outcome} ${node.id} ${waitedMs}`),
    };
    const nodes = nodesOf(["a:80", "b:80"]);
    const rebalancer = new Rebalancer(policy, { clock: new FakeClock() });
    rebalancer.update(nodes.slice(0, 1));
    for (const node of nodes) {
      rebalancer.noteLoad(node);
      rebalancer.observe(node, Outcome.ANSWERED, 5);
    }
    assert.deepEqual(seen, ["load a:80", "1 a:80 5"]);
    assert.equal(rebalancer.isKeyed, true);
    assert.equal(rebalancerOf([1]).rebalancer.isKeyed, false);
  });

  it("meters what its cluster observes: answers by their status, failures as 502, clients that left as 499, no dials", () => {
    const meter = new StillMeter();
    const [node] = nodesOf(["a:80"]);
    const rebalancer = new Rebalancer(weightedRoundRobin(), { clock: new FakeClock(), meter: () => meter });
    rebalancer.update([node]);
    rebalancer.observe(node, Outcome.ANSWERED, 5, 204);
    rebalancer.observe(node, Outcome.ANSWERED, 6, 503);
    rebalancer.observe(node, Outcome.FAILED, 7, 0);
    rebalancer.observe(node, Outcome.LEFT, 8, 0);
    rebalancer.observe(node, Outcome.FAILED, 0, 0);
    rebalancer.observe(node, Outcome.NONE, 0, 0);
    assert.deepEqual(meter.records, ["204 5", "503 6", "502 7", "499 8"]);
  });

  for (const mode of ["smooth", "interleaved"] as const) {
    it(`gives a weighted round robin (${mode}) exact turns by the moved weights`, () => {
      const clock = new FakeClock();
      const nodes = nodesOf(["a:80", "b:80"]);
      const rebalancer = new Rebalancer(weightedRoundRobin({ mode }), { clock });
      rebalancer.update(nodes);
      for (let n = 0; n < 500; n++) {
        for (const node of nodes) rebalancer.record(node, node.index === 0 ? 500 : 200, 10);
        clock.pass(100);
      }
      const picks = Array.from({ length: 650 }, () => rebalancer.pick(exchangeOf("/"), () => true)!.id);
      assert.equal(picks.filter((id) => id === "a:80").length, 10);
    });
  }

  it("moves no key between the good nodes of a hash ring", () => {
    const clock = new FakeClock();
    const nodes = nodesOf(IDS);
    const rebalancer = new Rebalancer(ringHash(), { clock });
    rebalancer.update(nodes);
    const homes = () => paths(2000).map((path) => rebalancer.pick(exchangeOf(path), untried)!.id);
    const before = homes();
    for (let n = 0; n < 500; n++) {
      for (const node of nodes) rebalancer.record(node, node.index === 0 ? 500 : 200, 10);
      clock.pass(100);
    }
    assert.equal(rebalancer.weightOf(nodes[0]), 1 / 64);
    const after = homes();
    for (const [path, home] of after.entries()) {
      if (before[path] !== "a:80") assert.equal(home, before[path]);
    }
    const left = after.filter((home) => home === "a:80").length;
    assert.ok(left > 0 && left < 120, `${left} keys stay as probes`);
  });

  it("refuses options out of range", () => {
    for (const options of [{ intervalMs: -1 }, { growthFactor: 0 }]) {
      assert.throws(() => rebalancerOf([1], options), { code: "ERR_OPTION" });
    }
  });
});

const FAILING = { errorRatio: 1, latencyMs: 10 };
const MINUTE = 60;

describe("rebalancing real traffic", () => {
  for (const [title, requestsPerSecond, ratioMax] of [
    ["50 requests a second", 50, 0.03],
    ["2 requests a second", 2, 0.04],
  ] as const) {
    describe(`of ${title}, one of two nodes failing all of them`, () => {
      const traffic = { requestsPerSecond, nodes: [FAILING, HEALTHY] };

      it("with oxy's parameters never settles", () => {
        const simulation = new SimulatedTraffic({ ...traffic, rebalance: REBALANCE_OXY });
        simulation.run(5 * MINUTE);
        assert.ok(simulation.run(15 * MINUTE).length > 60, "a move every back-off, to and fro");
      });

      it("by default converges in three moves and stays, whatever chance does", () => {
        for (const seed of [1, 2, 3, 4, 5]) {
          const simulation = new SimulatedTraffic({ ...traffic, rebalance: {}, seed });
          assert.deepEqual(
            simulation.run(2 * MINUTE),
            ["4", "16", "64"].map((weight) => `1:${weight}`),
          );
          assert.deepEqual(simulation.run(30 * MINUTE), []);
          assert.ok(simulation.failed / simulation.requests < ratioMax);
        }
      });

      it("by default comes back when the node has recovered", () => {
        const simulation = new SimulatedTraffic({ ...traffic, rebalance: {} });
        simulation.run(2 * MINUTE);
        simulation.behaviours[0] = HEALTHY;
        assert.deepEqual(simulation.run(30 * MINUTE), ["1:16", "1:4", "1:1"]);
      });
    });
  }

  describe("of 200 requests a second, with 1 % and 0 % errors", () => {
    const traffic = { requestsPerSecond: 200, nodes: [{ errorRatio: 0.01, latencyMs: 10 }, HEALTHY] };

    it("with oxy's parameters wanders between the weights", () => {
      const simulation = new SimulatedTraffic({ ...traffic, rebalance: REBALANCE_OXY });
      simulation.run(5 * MINUTE);
      const moves = simulation.run(10 * MINUTE);
      assert.ok(moves.length > 40);
      assert.ok(new Set(moves).size >= 3);
    });

    it("by default leaves it at that", () => {
      for (const seed of [1, 2, 3]) {
        assert.deepEqual(new SimulatedTraffic({ ...traffic, rebalance: {}, seed }).run(10 * MINUTE), []);
      }
    });
  });

  describe("of 50 requests a second, two of three nodes failing", () => {
    const traffic = { requestsPerSecond: 50, nodes: [FAILING, FAILING, HEALTHY] };

    it("with oxy's parameters does nothing while two thirds of all requests fail", () => {
      const simulation = new SimulatedTraffic({ ...traffic, rebalance: REBALANCE_OXY });
      assert.deepEqual(simulation.run(10 * MINUTE), []);
      assert.ok(simulation.failed / simulation.requests > 0.6);
    });

    it("by default leaves both a probe share, and comes back", () => {
      const simulation = new SimulatedTraffic({ ...traffic, rebalance: {} });
      assert.deepEqual(simulation.run(2 * MINUTE), ["1:1:4", "1:1:16", "1:1:64"]);
      assert.deepEqual(simulation.run(10 * MINUTE), []);
      simulation.behaviours.fill(HEALTHY);
      assert.equal(simulation.run(10 * MINUTE).at(-1), "1:1:1");
    });
  });

  describe("of 50 requests a second, one of three nodes eight times as slow", () => {
    const traffic = { requestsPerSecond: 50, nodes: [{ errorRatio: 0, latencyMs: 80 }, HEALTHY, HEALTHY] };

    it("with oxy's parameters does nothing", () => {
      const simulation = new SimulatedTraffic({ ...traffic, rebalance: REBALANCE_OXY });
      assert.deepEqual(simulation.run(10 * MINUTE), []);
    });

    it("by default lowers it and stays there", () => {
      const simulation = new SimulatedTraffic({ ...traffic, rebalance: {} });
      assert.deepEqual(simulation.run(2 * MINUTE), ["1:4:4", "1:16:16"]);
      assert.deepEqual(simulation.run(20 * MINUTE), []);
    });
  });

  it("of two requests a second is not moved by errors that are chance", () => {
    const nodes = Array.from({ length: 3 }, () => ({ errorRatio: 0.01, latencyMs: 10 }));
    const oxy = new SimulatedTraffic({ requestsPerSecond: 2, nodes, rebalance: REBALANCE_OXY });
    assert.ok(oxy.run(20 * MINUTE).length > 20);
    const standard = new SimulatedTraffic({ requestsPerSecond: 2, nodes, rebalance: {} });
    assert.deepEqual(standard.run(20 * MINUTE), []);
  });
});
