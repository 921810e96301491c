import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import HashRing from "hashring";
import { digest16, hashString } from "../../src/core/hash.js";
import type { Node } from "../../src/core/node.js";
import { loadCap } from "../../src/core/policies/bounded-load.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";
import { addresses, exchangeOf, nodesOf, paths, untried } from "../core/small-cluster.js";

const nodeId = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`),
  fc.tuple(fc.ipV6(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `[${host}]:${port}`),
  fc.tuple(fc.domain(), fc.webPath()).map(([host, path]) => `${host}:80${path}`),
  fc.string({ unit: "grapheme", minLength: 1 }).map((name) => `unix:/run/${name}`),
  fc.constantFrom("__proto__:80", "constructor:80", "toString:80", "[::1]:8080", "a:80/__proto__"),
);
const nodeIds = fc.uniqueArray(nodeId, { minLength: 1, maxLength: 12 });
const key = fc.oneof(
  fc.webPath().map((path) => path || "/"),
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "/", "/__proto__", "/constructor", "__proto__", "constructor", "hasOwnProperty", "toString"),
);
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

/** `hashring` itself, over the same list. A key `=n` hashes to n, so that the edges between points can be asked for. */
function reference(nodes: readonly Node[], pointsPerNode = 160): HashRing {
  const servers: Record<string, { vnodes: number }> = {};
  for (const node of nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    servers[node.id] = { vnodes: Math.max(1, Math.round((node.weight * pointsPerNode) / 4)) };
  }
  const algorithm = (text: string) => {
    if (!/^=\d+$/.test(text)) return digest16(text);
    const digest = Buffer.alloc(16);
    digest.writeUInt32LE(Number(text.slice(1)));
    return digest;
  };
  return new HashRing(servers, algorithm, { "vnode count": 0 });
}

function ringOf(nodes: readonly Node[], options = {}) {
  const ring = ringHash(options);
  ring.update(nodes);
  return ring;
}

function idsOf(nodes: readonly Node[]): string[] {
  return nodes.map((node) => node.id);
}

describe("flat ring", () => {
  it("agrees with hashring on the order of nodes for any list, weights and key", () => {
    fc.assert(
      fc.property(nodeIds, fc.array(fc.integer({ min: 1, max: 5 })), key, (ids, weights, text) => {
        const nodes = nodesOf(ids, (id) => weights[ids.indexOf(id)] ?? 1);
        assert.deepEqual(idsOf(ringOf(nodes).order(hashString(text))), reference(nodes).range(text));
      }),
    );
    assert.deepEqual(Object.keys(Object.prototype), []);
  });

  it("agrees with hashring at any hash, on every point, and on either side of it", () => {
    fc.assert(
      fc.property(nodeIds, fc.constantFrom(4, 8, 160), uint32, fc.nat(), (ids, pointsPerNode, hash, at) => {
        const nodes = nodesOf(ids);
        const ring = ringOf(nodes, { pointsPerNode });
        const expected = reference(nodes, pointsPerNode);
        const { value } = expected.ring[at % expected.ring.length];
        for (const edge of [hash, value, Math.max(value - 1, 0), Math.min(value + 1, 2 ** 32 - 1), 0, 2 ** 32 - 1]) {
          assert.deepEqual(idsOf(ring.order(edge)), expected.range(`=${edge}`));
        }
      }),
    );
  });

  it("agrees with hashring where two nodes share a point", () => {
    const nodes = nodesOf(addresses(1000));
    const { ring: points } = reference(nodes);
    const shared = points.filter((point, at) => at > 0 && points[at - 1].value === point.value);
    assert.notEqual(shared.length, 0);
    const ring = ringOf(nodes);
    const expected = reference(nodes);
    for (const { value } of shared) {
      assert.deepEqual(idsOf(ring.order(value)).slice(0, 20), expected.range(`=${value}`).slice(0, 20));
    }
  });

  it("places keys the same whatever the order of the list: every replica agrees", () => {
    fc.assert(
      fc.property(
        nodeIds.chain((ids) => fc.tuple(fc.constant(ids), fc.shuffledSubarray(ids, { minLength: ids.length }))),
        fc.array(key, { minLength: 1 }),
        ([ids, shuffled], keys) => {
          const one = ringOf(nodesOf(ids));
          const other = ringOf(nodesOf(shuffled));
          for (const text of keys) {
            assert.deepEqual(idsOf(one.order(hashString(text))), idsOf(other.order(hashString(text))));
          }
        },
      ),
    );
  });

  it("does not remember earlier lists", () => {
    fc.assert(
      fc.property(fc.array(nodeIds, { minLength: 1, maxLength: 4 }), uint32, (lists, hash) => {
        const used = ringHash();
        for (const ids of lists) used.update(nodesOf(ids));
        assert.deepEqual(idsOf(used.order(hash)), idsOf(ringOf(nodesOf(lists.at(-1)!)).order(hash)));
      }),
    );
  });

  it("picks the first eligible node in the order of the key", () => {
    fc.assert(
      fc.property(nodeIds, fc.array(fc.boolean()), uint32, (ids, alive, hash) => {
        const nodes = nodesOf(ids);
        const ring = ringOf(nodes);
        const eligible = (node: Node) => alive[node.index] ?? false;
        assert.equal(ring.pick(exchangeOf("", hash), eligible), ring.order(hash).find(eligible));
      }),
    );
  });
});

describe("membership", () => {
  it("moves only a leaver's keys, each to its next node on the ring; a joiner only takes", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(nodeId, { minLength: 2, maxLength: 12 }),
        fc.array(uint32),
        ([leaver, ...rest], hashes) => {
          const large = ringOf(nodesOf([leaver, ...rest]));
          const small = ringOf(nodesOf(rest));
          for (const hash of hashes) {
            const before = idsOf(large.order(hash));
            assert.deepEqual(
              idsOf(small.order(hash)),
              before.filter((id) => id !== leaver),
            );
          }
        },
      ),
    );
  });

  it("spreads a leaver's keys over all the others", () => {
    const ids = addresses(10);
    const keys = paths(30_000);
    const before = ringOf(nodesOf(ids));
    for (const leaver of ids) {
      const after = ringOf(nodesOf(ids.filter((id) => id !== leaver)));
      const moved = keys.filter((text) => before.pick(exchangeOf(text), untried)!.id === leaver);
      const heirs = new Map<string, number>();
      for (const text of moved) {
        const { id } = after.pick(exchangeOf(text), untried)!;
        heirs.set(id, (heirs.get(id) ?? 0) + 1);
      }
      assert.equal(heirs.size, 9);
      for (const count of heirs.values()) assert.ok(count < moved.length * 0.3, `${count} of ${moved.length}`);
    }
  });

  it("moves keys only towards a node whose weight grows", () => {
    fc.assert(
      fc.property(nodeIds, fc.integer({ min: 2, max: 8 }), fc.array(uint32), (ids, weight, hashes) => {
        const before = ringOf(nodesOf(ids));
        const after = ringOf(nodesOf(ids, (id) => (id === ids[0] ? weight : 1)));
        for (const hash of hashes) {
          const [home] = idsOf(after.order(hash));
          assert.ok(home === ids[0] || home === before.order(hash)[0].id);
        }
      }),
    );
  });
});

describe("bounded load", () => {
  interface Step {
    readonly hash: number;
    /** Exchanges that end before this pick, by the node that holds them. */
    readonly ended: readonly number[];
    readonly dead: readonly number[];
  }
  const step: fc.Arbitrary<Step> = fc.record({
    hash: fc.oneof(fc.constantFrom(0, 2 ** 31), uint32),
    ended: fc.array(fc.nat(4), { maxLength: 2 }),
    dead: fc.uniqueArray(fc.nat(4), { maxLength: 2 }),
  });

  it("takes no node over its cap while another eligible one is below it, and else the first on the ring below", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 5, maxLength: 5 }),
        fc.constantFrom(0.5, 1, 1.25, 1.5, 3),
        fc.array(step, { minLength: 60, maxLength: 200, size: "max" }),
        (weights, balanceFactor, steps) => {
          const nodes = nodesOf(addresses(5), (id) => weights[addresses(5).indexOf(id)]);
          const ring = ringOf(nodes, { balanceFactor });
          for (const { hash, ended, dead } of steps) {
            for (const index of ended) nodes[index].inFlight = Math.max(0, nodes[index].inFlight - 1);
            const eligible = (node: Node) => !dead.includes(node.index);
            const load = {
              inFlight: nodes.filter(eligible).reduce((sum, node) => sum + node.inFlight, 0),
              weight: nodes.filter(eligible).reduce((sum, node) => sum + node.weight, 0),
            };
            const ordered = ring.order(hash).filter(eligible);
            const below = ordered.filter((node) => node.inFlight < loadCap(load, node.weight, balanceFactor));
            if (balanceFactor >= 1) assert.notEqual(below.length, 0);
            const picked = ring.pick(exchangeOf("", hash), eligible);
            assert.equal(picked, below[0] ?? ordered[0]);
            picked!.inFlight++;
          }
        },
      ),
    );
  });

  it("spreads one hot key by weight", () => {
    const nodes = nodesOf(addresses(3), (id) => (id === addresses(3)[0] ? 2 : 1));
    const ring = ringOf(nodes, { balanceFactor: 1 });
    for (let n = 0; n < 400; n++) ring.pick(exchangeOf("/f/hot"), untried)!.inFlight++;
    assert.deepEqual(
      nodes.map((node) => node.inFlight),
      [200, 100, 100],
    );
  });
});
