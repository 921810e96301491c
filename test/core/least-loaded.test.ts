import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Node } from "../../src/core/node.js";
import { leastLoaded } from "../../src/core/policies/least-loaded.js";
import { addresses, exchangeOf, nodesOf, untried } from "./small-cluster.js";

function clusterOf(nodes: readonly Node[]) {
  const policy = leastLoaded();
  policy.update(nodes);
  return {
    policy,
    /** Picks and starts an exchange. */
    start(eligible: (node: Node) => boolean = () => true): Node {
      const node = policy.pick(exchangeOf("/"), eligible)!;
      node.inFlight++;
      policy.noteLoad?.(node);
      return node;
    },
    end(node: Node): void {
      node.inFlight--;
      policy.noteLoad?.(node);
    },
  };
}

describe("least loaded", () => {
  it("picks the node with the fewest exchanges in flight, whatever happened before", () => {
    const nodes = nodesOf(addresses(50));
    const { start, end } = clusterOf(nodes);
    const running: Node[] = [];
    for (let turn = 0; turn < 5000; turn++) {
      if (turn % 3 === 2) end(running.splice((turn * 7919) % running.length, 1)[0]);
      else {
        const least = Math.min(...nodes.map((node) => node.inFlight));
        const node = start();
        assert.equal(node.inFlight - 1, least);
        running.push(node);
      }
    }
  });

  it("counts what is in flight by weight", () => {
    const nodes = nodesOf(["a", "b"], (id) => (id === "a" ? 3 : 1));
    const { start } = clusterOf(nodes);
    for (let turn = 0; turn < 400; turn++) start();
    assert.deepEqual(
      nodes.map((node) => node.inFlight),
      [300, 100],
    );
  });

  it("rotates among equals by weight instead of always taking the first", () => {
    const nodes = nodesOf(["a", "b", "c"], (id) => (id === "a" ? 2 : 1));
    const { policy } = clusterOf(nodes);
    const picked = Array.from({ length: 400 }, () => policy.pick(exchangeOf("/"), () => true)?.id);
    assert.equal(picked.filter((id) => id === "a").length, 200);
    assert.equal(picked.filter((id) => id === "b").length, 100);
    assert.deepEqual(new Set(picked.slice(0, 4)), new Set(["a", "b", "c"]));
  });

  it("takes the least loaded of those who are eligible", () => {
    const nodes = nodesOf(addresses(4));
    const { start } = clusterOf(nodes);
    for (let turn = 0; turn < 30; turn++) start((node) => node.index > 1);
    assert.deepEqual(
      nodes.map((node) => node.inFlight),
      [0, 0, 15, 15],
    );
  });

  it("gives a node that comes back idle its turn, and no turns that it missed", () => {
    const nodes = nodesOf(addresses(3));
    const { policy } = clusterOf(nodes);
    for (let turn = 0; turn < 1000; turn++) policy.pick(exchangeOf("/"), (node) => node.index > 0);
    const picked = Array.from({ length: 12 }, () => policy.pick(exchangeOf("/"), () => true)?.index);
    const turns = picked.filter((index) => index === 0).length;
    assert.ok(turns === 4 || turns === 5, picked.join(" "));
  });

  it("O3: gives a node of weight 0 nothing", () => {
    const nodes = nodesOf(["a", "b"], (id) => (id === "a" ? 0 : 1));
    const { policy, start } = clusterOf(nodes);
    for (let turn = 0; turn < 10; turn++) assert.equal(start().id, "b");
    assert.equal(
      policy.pick(exchangeOf("/"), (node) => node.id === "a"),
      undefined,
    );
    // Sessions still end there.
    nodes[0].inFlight = 1;
    policy.noteLoad?.(nodes[0]);
  });

  it("O5: an update that says the same changes nothing, also under load", () => {
    const plain = clusterOf(nodesOf(addresses(5)));
    const updated = clusterOf(nodesOf(addresses(5)));
    for (let turn = 0; turn < 7; turn++) {
      plain.start();
      updated.start();
    }
    const nodes = nodesOf(addresses(5));
    for (let turn = 0; turn < 7; turn++) nodes[turn % 5].inFlight++;
    updated.policy.update(nodes);
    for (let turn = 0; turn < 20; turn++) assert.equal(updated.start().id, plain.start().id);
  });

  it("O6: never picks a node that was removed, and lets what runs there end", () => {
    const nodes = nodesOf(addresses(3));
    const { policy, start, end } = clusterOf(nodes);
    const running = [start(), start(), start()];
    policy.update(nodes.slice(1));
    for (const node of running) end(node);
    for (let turn = 0; turn < 10; turn++) assert.notEqual(start(), nodes[0]);
  });

  it("has nobody to pick when nobody is eligible", () => {
    const { policy } = clusterOf(nodesOf(addresses(3)));
    const exchange = exchangeOf("/");
    for (let turn = 0; turn < 3; turn++) exchange.tried.add(policy.pick(exchange, untried)!.index);
    assert.equal(policy.pick(exchange, untried), undefined);
    assert.equal(
      leastLoaded().pick(exchange, () => true),
      undefined,
    );
  });
});
