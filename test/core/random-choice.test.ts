import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Node } from "../../src/core/node.js";
import { randomChoice } from "../../src/core/policies/random.js";
import { seeded } from "../support/seeded-random.js";
import { addresses, exchangeOf, nodesOf, untried } from "./small-cluster.js";

const PICKS = 60_000;

/** How often each node is picked. */
function countsOf(nodes: readonly Node[], eligible: (node: Node) => boolean): number[] {
  const policy = randomChoice({ random: seeded(1) });
  policy.update(nodes);
  const counts = nodes.map(() => 0);
  for (let pick = 0; pick < PICKS; pick++) counts[policy.pick(exchangeOf("/"), eligible)!.index]++;
  return counts;
}

describe("random choice", () => {
  it("picks by weight", () => {
    const nodes = nodesOf(["a", "b", "c", "d"], (id) => ({ a: 1, b: 2, c: 3, d: 0.5 })[id]!);
    for (const [index, count] of countsOf(nodes, () => true).entries()) {
      const fair = (PICKS * nodes[index].weight) / 6.5;
      assert.ok(Math.abs(count - fair) < fair * 0.05, `${nodes[index].id}: ${count} of ${fair}`);
    }
  });

  it("keeps the ratio among those who are eligible, also when they are few", () => {
    const ids = addresses(200);
    const nodes = nodesOf(ids, (id) => 1 + ids.indexOf(id));
    const counts = countsOf(nodes, (node) => node.index < 3);
    for (const index of [0, 1, 2]) {
      const fair = (PICKS * (index + 1)) / 6;
      assert.ok(Math.abs(counts[index] - fair) < fair * 0.05, `${counts[index]} of ${fair}`);
    }
  });

  it("O3, O6: never picks a node of weight 0 or one that was removed", () => {
    const policy = randomChoice({ random: seeded(2) });
    const nodes = nodesOf(["a", "b", "c"], (id) => (id === "a" ? 0 : 1));
    policy.update(nodes);
    policy.update(nodes.slice(0, 2));
    for (let pick = 0; pick < 100; pick++) assert.equal(policy.pick(exchangeOf("/"), () => true)?.id, "b");
    assert.equal(
      policy.pick(exchangeOf("/"), (node) => node.id !== "b"),
      undefined,
    );
    policy.update([]);
    assert.equal(
      policy.pick(exchangeOf("/"), () => true),
      undefined,
    );
  });

  it("asks everybody before it gives up", () => {
    const policy = randomChoice({ random: () => 0.999_999 });
    policy.update(nodesOf(addresses(100)));
    const exchange = exchangeOf("/");
    for (let pick = 0; pick < 100; pick++) exchange.tried.add(policy.pick(exchange, untried)!.index);
    assert.equal(policy.pick(exchange, untried), undefined);
  });
});
