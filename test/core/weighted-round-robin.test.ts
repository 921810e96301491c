import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Node } from "../../src/core/node.js";
import type { Policy } from "../../src/core/policies/policy.js";
import { weightedRoundRobin } from "../../src/core/policies/weighted-round-robin.js";
import { exchangeOf, nodesOf, untried } from "./small-cluster.js";

const ANYBODY = () => true;
const MODES = ["smooth", "interleaved"] as const;

/** Nodes `a`, `b`, `c`, … of these weights. */
function named(...weights: number[]): Node[] {
  const ids = weights.map((_, position) => String.fromCharCode(97 + position));
  return nodesOf(ids, (id) => weights[ids.indexOf(id)]);
}

function turnsOf(mode: (typeof MODES)[number], nodes: readonly Node[]): Policy {
  const policy = weightedRoundRobin({ mode });
  policy.update(nodes);
  return policy;
}

/** Who gets the next picks, as `a b a`. */
function next(policy: Policy, count: number, eligible: (node: Node) => boolean = ANYBODY): string {
  return Array.from({ length: count }, () => policy.pick(exchangeOf("/"), eligible)?.id ?? "-").join(" ");
}

describe("weighted round robin, smooth", () => {
  for (const [weights, cycle] of [
    [[1], "a"],
    [[1, 1], "a b"],
    [[3, 2, 1], "a b a c b a"],
    [[5, 1, 1], "a a b a c a a"],
    [[4, 3, 2], "a b c a b a c b a"],
    [[2, 2, 1], "a b c a b"],
    [[0.5, 0.5, 0.25], "a b c a b"],
    [[30, 20, 10], "a b a c b a"],
    [[3, 0, 1], "a c a a"],
  ] as const) {
    it(`O1: gives weights ${weights.join(", ")} the cycle ${cycle}`, () => {
      const policy = turnsOf("smooth", named(...weights));
      const turns = cycle.split(" ").length;
      for (let round = 0; round < 50; round++) assert.equal(next(policy, turns), cycle);
    });
  }

  it("is the default", () => {
    const policy = weightedRoundRobin();
    policy.update(named(3, 2, 1));
    assert.equal(next(policy, 6), "a b a c b a");
  });

  it("never keeps a light node waiting when a heavy one dies", () => {
    const policy = turnsOf("smooth", named(1000, 1, 1));
    for (let turn = 0; turn < 750; turn++) policy.pick(exchangeOf("/"), ANYBODY);
    const picked = next(policy, 10, ({ id }) => id !== "a").split(" ");
    for (let at = 2; at < picked.length; at++) assert.notEqual(picked[at], picked[at - 1], picked.join(" "));
  });
});

describe("weighted round robin, interleaved", () => {
  // The table of oxy's sequences.
  for (const [weights, cycle] of [
    [[1], "a"],
    [[1, 1], "a b"],
    [[3, 2, 1], "a a b a b c"],
    [[1, 2, 3], "c b c a b c"],
    [[5, 1, 1], "a a a a a b c"],
    [[10, 1], "a a a a a a a a a a b"],
    [[4, 2], "a a b"],
    [[6, 4, 2], "a a b a b c"],
    [[1, 3], "b b a b"],
    [[7, 3], "a a a a a b a b a b"],
    [[3, 2, 0], "a a b a b"],
    [[0, 0], "-"],
  ] as const) {
    it(`O1: gives weights ${weights.join(", ")} the cycle ${cycle}`, () => {
      const policy = turnsOf("interleaved", named(...weights));
      const turns = cycle.split(" ").length;
      for (let round = 0; round < 50; round++) assert.equal(next(policy, turns), cycle);
    });
  }

  it("goes down the levels that the eligible nodes have", () => {
    const policy = turnsOf("interleaved", named(9, 2, 1));
    assert.equal(
      next(policy, 6, ({ id }) => id !== "a"),
      "b b c b b c",
    );
  });
});

for (const mode of MODES) {
  describe(`weighted round robin, ${mode}`, () => {
    it("O3: gives a node of weight 0 no turn, from the first update on", () => {
      const policy = turnsOf(mode, named(0, 1));
      assert.equal(next(policy, 4), "b b b b");
      assert.equal(
        next(policy, 2, ({ id }) => id === "a"),
        "- -",
      );
    });

    it("O5: an update that says the same changes nothing, wherever in the cycle", () => {
      for (let turns = 0; turns < 12; turns++) {
        const plain = turnsOf(mode, named(3, 2, 1));
        const updated = turnsOf(mode, named(3, 2, 1));
        next(plain, turns);
        next(updated, turns);
        updated.update(named(3, 2, 1));
        assert.equal(next(updated, 12), next(plain, 12), `after ${turns}`);
      }
    });

    it("O5: keeps its place through an update that follows a pick in vain", () => {
      const policy = turnsOf(mode, named(1, 2));
      const plain = turnsOf(mode, named(1, 2));
      for (const each of [policy, plain]) {
        next(each, 1);
        next(each, 1, () => false);
      }
      policy.update(named(1, 2));
      assert.equal(next(policy, 6), next(plain, 6));
    });

    it("O5: does not favour the head of the list when updates come all the time", () => {
      const policy = turnsOf(mode, named(1, 1, 1));
      const counts = new Map<string, number>();
      for (let round = 0; round < 300; round++) {
        const id = next(policy, 1);
        counts.set(id, (counts.get(id) ?? 0) + 1);
        policy.update(named(1, 1, 1, ...(round % 2 === 0 ? [1] : [])));
      }
      for (const id of ["a", "b", "c"]) assert.ok(counts.get(id)! > 60, `${id}: ${counts.get(id)}`);
    });

    it("O5: the others keep their turns when a node joins", () => {
      const policy = turnsOf(mode, named(1, 1, 1));
      next(policy, 2);
      policy.update(named(1, 1, 1, 1));
      assert.equal(next(policy, 1), "c");
    });

    it("O6: never picks a node that was removed, and goes on behind it", () => {
      const [a, b, c] = named(1, 1, 1);
      const policy = turnsOf(mode, [a, b, c]);
      assert.equal(next(policy, 2), "a b");
      policy.update([a, c]);
      assert.equal(next(policy, 4), "c a c a");
      policy.update([]);
      assert.equal(next(policy, 1), "-");
      policy.update([b]);
      assert.equal(next(policy, 2), "b b");
    });

    it("shares the turns of a dead node among the others by weight", () => {
      const policy = turnsOf(mode, named(3, 2, 1));
      const picked = next(policy, 300, ({ id }) => id !== "a").split(" ");
      assert.equal(picked.filter((id) => id === "b").length, 200);
    });

    it("does not pay a node back for the time it was dead", () => {
      const policy = turnsOf(mode, named(1, 1, 1));
      next(policy, 1000, ({ id }) => id !== "a");
      const picked = next(policy, 12).split(" ");
      const turns = picked.filter((id) => id === "a").length;
      assert.ok(turns === 4 || turns === 5, picked.join(" "));
      assert.ok(!picked.join(" ").includes("a a"));
    });

    it("goes to nodes that were not tried yet until there is none", () => {
      const policy = turnsOf(mode, named(5, 1, 1));
      const exchange = exchangeOf("/");
      const picked = new Set<string>();
      for (let node = policy.pick(exchange, untried); node; node = policy.pick(exchange, untried)) {
        picked.add(node.id);
        exchange.tried.add(node.index);
      }
      assert.equal(picked.size, 3);
    });

    it("keeps its place when nobody is eligible", () => {
      const policy = turnsOf(mode, named(1, 1, 1));
      next(policy, 1);
      assert.equal(
        next(policy, 3, () => false),
        "- - -",
      );
      assert.equal(next(policy, 3), "b c a");
    });
  });
}
