import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Node } from "../../src/core/node.js";
import { maglev } from "../../src/core/policies/maglev.js";
import { addresses, exchangeOf, nodesOf, paths, untried } from "./small-cluster.js";

const ANYBODY = () => true;
const KEYS = paths(50_000);

function tableOf(nodes: readonly Node[], options = {}) {
  const policy = maglev(options);
  policy.update(nodes);
  return policy;
}

function homesOf(nodes: readonly Node[], keys: readonly string[] = KEYS): string[] {
  const policy = tableOf(nodes);
  return keys.map((key) => policy.pick(exchangeOf(key), ANYBODY)!.id);
}

/** Share of the keys that moved although their node is in both lists. */
function disruption(before: readonly Node[], after: readonly Node[]): number {
  const left = new Set(after.map((node) => node.id));
  const joined = after.filter(({ id }) => !before.some((node) => node.id === id)).map((node) => node.id);
  const old = homesOf(before);
  const moved = homesOf(after).filter((id, at) => left.has(old[at]) && id !== old[at] && !joined.includes(id));
  return moved.length / KEYS.length;
}

describe("maglev", () => {
  it("gives every node its fair share to within two percent of it, by the places of its table", () => {
    for (const count of [2, 3, 10, 100]) {
      const policy = tableOf(nodesOf(addresses(count)));
      const places = new Map<string, number>();
      for (let place = 0; place < 65_537; place++) {
        const { id } = policy.pick(exchangeOf("", place), ANYBODY)!;
        places.set(id, (places.get(id) ?? 0) + 1);
      }
      const fair = 65_537 / count;
      for (const [id, own] of places) assert.ok(Math.abs(own - fair) <= 1, `${id}: ${own} of ${fair}`);
      assert.equal(places.size, count);
    }
  });

  it("gives places by weight, and one to the lightest node", () => {
    const ids = ["a", "b", "c", "d"];
    const policy = tableOf(nodesOf(ids, (id) => ({ a: 1, b: 2, c: 5, d: 0.000_01 })[id]!));
    const places = new Map<string, number>();
    for (let place = 0; place < 65_537; place++) {
      const { id } = policy.pick(exchangeOf("", place), ANYBODY)!;
      places.set(id, (places.get(id) ?? 0) + 1);
    }
    assert.ok(Math.abs(places.get("a")! - 65_537 / 8) < 5);
    assert.ok(Math.abs(places.get("b")! - 65_537 / 4) < 5);
    assert.equal(places.get("d"), 1);
  });

  it("places keys the same whatever the order of the list", () => {
    const nodes = nodesOf(addresses(12));
    assert.deepEqual(homesOf(nodes), homesOf(nodes.toReversed()));
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

  it("moves few keys of those who stay when a node leaves or joins: below three percent", () => {
    for (const count of [3, 10, 100]) {
      const nodes = nodesOf(addresses(count + 1));
      const leaves = disruption(nodes, nodes.slice(1));
      const joins = disruption(nodes.slice(1), nodes);
      assert.ok(leaves < 0.03 && joins < 0.03, `${count}: ${leaves} and ${joins}`);
    }
  });

  it("falls on from a dead node to all the others, and gives each key one substitute", () => {
    const nodes = nodesOf(addresses(10));
    const policy = tableOf(nodes);
    const keys = KEYS.filter((key) => policy.pick(exchangeOf(key), ANYBODY) === nodes[0]);
    const alive = (node: Node) => node !== nodes[0];
    const counts = nodes.map(() => 0);
    for (const key of keys) {
      const substitute = policy.pick(exchangeOf(key), alive)!;
      assert.equal(policy.pick(exchangeOf(key), alive), substitute);
      counts[substitute.index]++;
    }
    for (const count of counts.slice(1)) assert.ok(count > keys.length / 18 && count < keys.length / 5, `${counts}`);
  });

  it("goes on to every node once, and then to nobody", () => {
    const policy = tableOf(nodesOf(addresses(30)));
    const exchange = exchangeOf("/f");
    for (let turn = 0; turn < 30; turn++) exchange.tried.add(policy.pick(exchange, untried)!.index);
    assert.equal(policy.pick(exchange, untried), undefined);
    assert.equal(maglev().pick(exchange, untried), undefined);
  });

  it("O3, O6: gives a node of weight 0 and one that was removed no keys, not even as a fallback", () => {
    const nodes = nodesOf(["a", "b", "c"], (id) => (id === "a" ? 0 : 1));
    const policy = tableOf(nodes);
    policy.update(nodes.slice(0, 2));
    for (const key of paths(100)) assert.equal(policy.pick(exchangeOf(key), ANYBODY)?.id, "b");
    assert.equal(
      policy.pick(exchangeOf("/"), (node) => node.id !== "b"),
      undefined,
    );
  });

  it("has a place for everybody, also in a table that is too small", () => {
    const homes = tableOf(nodesOf(addresses(50)), { tableSize: 7 });
    const seen = new Set(KEYS.map((key) => homes.pick(exchangeOf(key), ANYBODY)!.id));
    assert.equal(seen.size, 50);
  });

  it("O4: refuses a table size that is no prime, or too large", () => {
    for (const tableSize of [0, 1, 65_536, 6.5, -7, Number.NaN, 1_000_000_007]) {
      assert.throws(() => maglev({ tableSize }), { code: "ERR_OPTION", message: /"tableSize"/ });
    }
  });
});

/** For `/f/0` to `/f/23`: the last digit of the address. */
const GOLDEN = "223333233231211123122323";
