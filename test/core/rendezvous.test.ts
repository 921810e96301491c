import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Node } from "../../src/core/node.js";
import { rendezvous } from "../../src/core/policies/rendezvous.js";
import { addresses, exchangeOf, nodesOf, paths, untried } from "./small-cluster.js";

const ANYBODY = () => true;
const KEYS = paths(40_000);

function policyOf(nodes: readonly Node[]) {
  const policy = rendezvous();
  policy.update(nodes);
  return policy;
}

function homesOf(nodes: readonly Node[], keys: readonly string[] = KEYS): string[] {
  const policy = policyOf(nodes);
  return keys.map((key) => policy.pick(exchangeOf(key), ANYBODY)!.id);
}

/** The order in which a key tries the nodes. */
function orderOf(nodes: readonly Node[], key: string): string[] {
  const policy = policyOf(nodes);
  const exchange = exchangeOf(key);
  const order: string[] = [];
  for (let node = policy.pick(exchange, untried); node; node = policy.pick(exchange, untried)) {
    order.push(node.id);
    exchange.tried.add(node.index);
  }
  return order;
}

describe("rendezvous", () => {
  it("shares keys by weight", () => {
    const ids = addresses(6);
    for (const weightOf of [() => 1, (id: string) => ids.indexOf(id) + 1]) {
      const homes = homesOf(nodesOf(ids, weightOf));
      const sum = ids.reduce((total, id) => total + weightOf(id), 0);
      for (const id of ids) {
        const fair = (KEYS.length * weightOf(id)) / sum;
        const own = homes.filter((home) => home === id).length;
        assert.ok(Math.abs(own - fair) < fair * 0.08, `${id}: ${own} of ${fair}`);
      }
    }
  });

  it("moves only a leaver's keys, each to the next in its order", () => {
    const nodes = nodesOf(addresses(8), (id) => (id.includes(".3:") ? 3 : 1));
    const rest = nodes.filter((node) => node.index !== 4);
    for (const key of paths(2000)) {
      assert.deepEqual(
        orderOf(rest, key),
        orderOf(nodes, key).filter((id) => id !== nodes[4].id),
      );
    }
  });

  it("moves keys only towards a node whose weight grows", () => {
    const ids = addresses(5);
    const before = homesOf(nodesOf(ids));
    const after = homesOf(nodesOf(ids, (id) => (id === ids[2] ? 4 : 1)));
    for (const [at, id] of after.entries()) assert.ok(id === before[at] || id === ids[2]);
  });

  it("places keys the same whatever the order of the list", () => {
    const nodes = nodesOf(addresses(12));
    assert.deepEqual(homesOf(nodes, paths(2000)), homesOf(nodes.toReversed(), paths(2000)));
  });

  it("never moves a key from one version to the next", () => {
    const nodes = nodesOf(["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]);
    assert.equal(
      homesOf(nodes, paths(24))
        .map((id) => id[7])
        .join(""),
      GOLDEN,
    );
  });

  it("overflows a hot key to the next in its order, and spreads it by load", () => {
    const nodes = nodesOf(addresses(4));
    const policy = policyOf(nodes);
    for (let pick = 0; pick < 400; pick++) policy.pick(exchangeOf("/hot"), ANYBODY)!.inFlight++;
    for (const node of nodes) assert.ok(node.inFlight <= 150, `${nodes.map(({ inFlight }) => inFlight)}`);
  });

  it("O3, O6: gives a node of weight 0 and one that was removed no keys, not even as a fallback", () => {
    const nodes = nodesOf(["a", "b", "c"], (id) => (id === "a" ? 0 : 1));
    const policy = policyOf(nodes);
    policy.update(nodes.slice(0, 2));
    for (const key of paths(100)) assert.equal(policy.pick(exchangeOf(key), ANYBODY)?.id, "b");
    assert.equal(
      policy.pick(exchangeOf("/"), (node) => node.id !== "b"),
      undefined,
    );
    assert.equal(rendezvous().pick(exchangeOf("/"), ANYBODY), undefined);
  });

  it("O4: refuses options out of range", () => {
    assert.throws(() => rendezvous({ balanceFactor: -1 }), { code: "ERR_OPTION", message: /"balanceFactor"/ });
    assert.throws(() => rendezvous({ spread: 0 }), { code: "ERR_OPTION", message: /"spread"/ });
  });
});

/** For `/f/0` to `/f/23`: the last digit of the address. */
const GOLDEN = "231331223223223322132322";
