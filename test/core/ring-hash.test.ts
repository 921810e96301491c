import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { hashString } from "../../src/core/hash.js";
import { ketamaHash } from "../../src/core/ketama.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";
import { POLICIES } from "../../src/core/policies/table.js";
import { addresses, exchangeOf, nodesOf, paths, untried } from "./small-cluster.js";

const THREE = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"];

function ringOf(ids: readonly string[], options = {}) {
  const ring = ringHash(options);
  ring.update(nodesOf(ids));
  return ring;
}

function homesOf(ids: readonly string[], keys: readonly string[]): Map<string, string> {
  const ring = ringOf(ids);
  return new Map(keys.map((key) => [key, ring.pick(exchangeOf(key), untried)!.id]));
}

/** Fraction of the keys that each node has, relative to a fair share. */
function sharesOf(homes: Map<string, string>, ids: readonly string[]): number[] {
  return ids.map((id) => ([...homes.values()].filter((home) => home === id).length / homes.size) * ids.length);
}

describe("ring hash", () => {
  it("sends a key to the same node every time", () => {
    const ring = ringOf(THREE);
    const homes = new Set(Array.from({ length: 100 }, () => ring.pick(exchangeOf("/f/hello"), untried)));
    assert.equal(homes.size, 1);
  });

  it("never moves a key from one version to the next", () => {
    const ring = ringOf(THREE);
    const placement = paths(12).map((key) =>
      ring
        .order(hashString(key))
        .map((node) => node.id[7])
        .join(" "),
    );
    assert.deepEqual(placement, GOLDEN_FAST);
  });

  it("picks the next node on the ring for a key whose nodes were tried, and nobody when all were", () => {
    const ring = ringOf(THREE);
    const exchange = exchangeOf("/f/hello");
    const picked = [];
    for (let node = ring.pick(exchange, untried); node; node = ring.pick(exchange, untried)) {
      picked.push(node);
      exchange.tried.add(node.index);
    }
    assert.deepEqual(picked, ring.order(exchange.keyHash));
    assert.equal(picked.length, 3);
  });

  it("asks each node once, and gives up when the last one refused", () => {
    const ids = addresses(50);
    const ring = ringOf(ids);
    for (const key of paths(100)) {
      const asked: string[] = [];
      const nobody = ring.pick(exchangeOf(key), (node) => {
        asked.push(node.id);
        return false;
      });
      assert.equal(nobody, undefined);
      // The home is asked on the short way and again by the walk.
      assert.equal(asked.length, ids.length + 1);
      assert.deepEqual(new Set(asked), new Set(ids));
    }
  });

  it("still finds everybody after more walks than it can number", () => {
    const ring = ringOf(THREE);
    const exchange = exchangeOf("/f/hello");
    const [home, second, third] = ring.order(exchange.keyHash);
    exchange.tried.add(home.index);
    for (let n = 0; n < 70_000; n++) assert.equal(ring.pick(exchange, untried), second);
    exchange.tried.add(second.index);
    assert.equal(ring.pick(exchange, untried), third);
  });

  it("has nobody to pick in an empty cluster, and in one that everybody left", () => {
    const ring = ringHash();
    assert.equal(ring.pick(exchangeOf("/"), untried), undefined);
    assert.deepEqual(ring.order(0), []);
    ring.update(nodesOf(THREE));
    ring.update([]);
    assert.equal(ring.pick(exchangeOf("/"), untried), undefined);
    assert.deepEqual(ring.order(0), []);
  });

  it("gives everything to an only node", () => {
    const ring = ringOf(["10.0.0.1:8080"]);
    for (const key of paths(100)) assert.equal(ring.pick(exchangeOf(key), untried)?.id, "10.0.0.1:8080");
  });

  it("spreads a dead node's keys over all the others, and gives each key one substitute", () => {
    const ids = addresses(10);
    const ring = ringOf(ids);
    const keys = paths(20_000).filter((key) => ring.pick(exchangeOf(key), untried)?.id === ids[0]);
    const alive = (node: { id: string }) => node.id !== ids[0];
    const substitutes = new Map(keys.map((key) => [key, ring.pick(exchangeOf(key), alive)!.id]));
    for (const share of sharesOf(substitutes, ids.slice(1))) assert.ok(share > 0.3 && share < 2.5, `${share}`);
    for (const key of keys) assert.equal(ring.pick(exchangeOf(key), alive)!.id, substitutes.get(key));
  });

  it("gives a node without weight no keys, not even as a fallback", () => {
    const ring = ringHash();
    ring.update(nodesOf(THREE, (id) => (id === THREE[0] ? 0 : 1)));
    for (const key of paths(100)) {
      assert.deepEqual(
        ring
          .order(hashString(key))
          .map((node) => node.id)
          .sort(),
        THREE.slice(1),
      );
    }
  });

  it("shares keys by weight", () => {
    const ring = ringHash();
    const ids = addresses(6);
    ring.update(nodesOf(ids, (id) => ids.indexOf(id) + 1));
    const counts = new Map(ids.map((id) => [id, 0]));
    for (const key of paths(50_000)) {
      const { id } = ring.pick(exchangeOf(key), untried)!;
      counts.set(id, counts.get(id)! + 1);
    }
    for (const [id, count] of counts) {
      const fair = (50_000 * (ids.indexOf(id) + 1)) / 21;
      assert.ok(count > fair * 0.75 && count < fair * 1.25, `${id}: ${count / fair}`);
    }
  });

  it("leaves a node of the smallest weight in the ring", () => {
    const ring = ringHash();
    ring.update(nodesOf(THREE, (id) => (id === THREE[0] ? 0.001 : 1)));
    assert.equal(ring.order(0).length, 3);
  });

  it("keeps shares by weight when the weights ask for more points than a ring may have", () => {
    const ring = ringHash();
    ring.update(nodesOf(THREE, (id) => (id === THREE[0] ? 2e6 : 1e6)));
    const mine = paths(20_000).filter((key) => ring.pick(exchangeOf(key), untried)?.id === THREE[0]);
    assert.ok(Math.abs(mine.length / 20_000 - 0.5) < 0.02, `${mine.length}`);
  });

  for (const [count, over, under] of [
    [2, 1.2, 0.8],
    [3, 1.25, 0.8],
    [10, 1.3, 0.75],
    [100, 1.45, 0.65],
  ] as const) {
    it(`gives each of ${count} nodes between ${under} and ${over} of a fair share`, () => {
      const keys = paths(count * 2000);
      const lists = [
        addresses(count),
        Array.from({ length: count }, (_, n) => `127.0.0.1:${8080 + n}`),
        Array.from({ length: count }, (_, n) => `fn-${n}.functions.internal:80`),
      ];
      for (const ids of lists) {
        const counts = new Map<string, number>();
        for (const home of homesOf(ids, keys).values()) counts.set(home, (counts.get(home) ?? 0) + 1);
        for (const id of ids) {
          const share = (counts.get(id) ?? 0) / 2000;
          assert.ok(share > under && share < over, `${id}: ${share}`);
        }
      }
    });
  }

  it("evens the shares out with more points", () => {
    const ids = addresses(20);
    const worst = (pointsPerNode: number) => {
      const ring = ringOf(ids, { pointsPerNode });
      const counts = new Map<string, number>();
      for (const key of paths(40_000)) {
        const { id } = ring.pick(exchangeOf(key), untried)!;
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      return Math.max(...counts.values()) / 2000;
    };
    assert.ok(worst(640) < worst(40));
    assert.ok(worst(640) < 1.15);
  });

  it("takes any node id as it is", () => {
    const ids = [
      "[::1]:8080",
      "unix:/run/fn.sock",
      "10.0.0.1:8080/base",
      "__proto__:80",
      "constructor:80",
      "__proto__",
      "80",
      "7",
    ];
    const ring = ringOf(ids);
    const homes = new Set(paths(2000).map((key) => ring.pick(exchangeOf(key), untried)!.id));
    assert.deepEqual(homes, new Set(ids));
    assert.deepEqual(Object.keys(Object.prototype), []);
  });

  it("refuses options out of range", () => {
    for (const pointsPerNode of [0, 3, -160, 1e9, Number.NaN]) {
      assert.throws(() => ringHash({ pointsPerNode }), { code: "ERR_OPTION", message: /"pointsPerNode"/ });
    }
    for (const balanceFactor of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => ringHash({ balanceFactor }), { code: "ERR_OPTION", message: /"balanceFactor"/ });
    }
  });

  it("is in the table of policies", () => {
    assert.equal(POLICIES["ring-hash"], ringHash);
  });
});

/** libketama as its C source has it, written again for this test: 40 digests a server, four points a digest. */
function ketama(servers: readonly string[]): (key: string) => string {
  const md5 = (text: string) => createHash("md5").update(text).digest();
  const continuum = servers
    .flatMap((server) =>
      Array.from({ length: 40 }, (_, k) => md5(`${server}-${k}`)).flatMap((digest) =>
        [0, 1, 2, 3].map((h) => ({
          server,
          point: digest[3 + h * 4] * 2 ** 24 + digest[2 + h * 4] * 2 ** 16 + digest[1 + h * 4] * 2 ** 8 + digest[h * 4],
        })),
      ),
    )
    .sort((a, b) => a.point - b.point);
  return (key) => {
    const digest = md5(key);
    const hash = digest[3] * 2 ** 24 + digest[2] * 2 ** 16 + digest[1] * 2 ** 8 + digest[0];
    return (continuum.find(({ point }) => point >= hash) ?? continuum[0]).server;
  };
}

describe("ring hash with ketama", () => {
  it("puts every key where libketama puts it", () => {
    for (const ids of [THREE, addresses(7), ["10.0.1.1:11211", "10.0.1.2:11211", "[::1]:11211", "cache-4:11211"]]) {
      const ring = ringOf(ids, { hash: "ketama" });
      const expected = ketama(ids);
      for (const key of [...paths(3000), "", "__proto__", "/straße/☃"]) {
        assert.equal(ring.pick(exchangeOf(key, ketamaHash(key)), untried)?.id, expected(key), key);
      }
    }
  });

  it("hashes a key to the first word of its md5, little endian", () => {
    // md5("") is d41d8cd98f00b204e9800998ecf8427e.
    assert.equal(ketamaHash(""), 0xd98c1dd4);
    assert.equal(ketamaHash(Buffer.from("/f/hello")), ketamaHash("/f/hello"));
  });
});

/** For `/f/0` to `/f/11`: the last digit of the address of the home, the first and the second fallback. */
const GOLDEN_FAST = [
  "2 3 1",
  "3 2 1",
  "1 2 3",
  "1 3 2",
  "3 2 1",
  "1 3 2",
  "3 1 2",
  "2 1 3",
  "1 3 2",
  "1 2 3",
  "1 3 2",
  "2 1 3",
];
