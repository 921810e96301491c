import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ringView } from "../../src/assembly/explanation.js";
import { staticCluster } from "../../src/core/cluster.js";
import type { Node } from "../../src/core/node.js";
import { type RingHashOptions, ringHash } from "../../src/core/policies/ring-hash.js";
import { Rebalancer } from "../../src/core/rebalancer.js";
import { POLICY_NAMES, policyNamed } from "../core/every-policy.js";
import { addresses, nodesOf } from "../core/small-cluster.js";
import { FakeClock } from "../support/fake-clock.js";

const HASHES = 2 ** 32;
const STEP = 2 ** 16;

const weights = fc.array(fc.constantFrom(0, 1, 1, 2, 5, 0.5), { maxLength: 6 });
const hash = fc.constantFrom("fast" as const, "ketama" as const);

function weighted(given: readonly number[]): Node[] {
  const ids = addresses(given.length);
  return nodesOf(ids, (id) => given[ids.indexOf(id)]);
}

function ringOf(nodes: readonly Node[], options: RingHashOptions) {
  const ring = ringHash(options);
  ring.update(nodes);
  return ring;
}

describe("the arcs of a ring", () => {
  it("are as wide as the keys that each node owns", () => {
    fc.assert(
      fc.property(weights, hash, fc.constantFrom(4, 12, 40), (given, kind, pointsPerNode) => {
        const nodes = weighted(given);
        const ring = ringOf(nodes, { hash: kind, pointsPerNode });
        const { shares } = ring.arcs(1);
        const counts = new Map<string, number>();
        for (let key = 0; key < HASHES; key += STEP) {
          const [owner] = ring.order(key);
          if (owner !== undefined) counts.set(owner.id, (counts.get(owner.id) ?? 0) + 1);
        }
        for (const { id, weight } of nodes) {
          const share = shares.get(id) ?? 0;
          // Evenly spaced keys miss the width of each arc by less than one of them.
          const arcs = Math.max(4, Math.round(weight * (pointsPerNode / 4)) * 4);
          const seen = ((counts.get(id) ?? 0) * STEP) / HASHES;
          assert.ok(Math.abs(share - seen) <= (arcs * STEP) / HASHES, `${id}: ${share} for ${seen}`);
          assert.equal(share > 0, weight > 0);
        }
        const sum = [...shares.values()].reduce((all, share) => all + share, 0);
        assert.equal(sum, shares.size === 0 ? 0 : 1);
      }),
      { numRuns: 40 },
    );
  });

  it("give each sector to the owner of its middle", () => {
    fc.assert(
      fc.property(weights, hash, fc.integer({ min: 1, max: 400 }), (given, kind, sectors) => {
        const ring = ringOf(weighted(given), { hash: kind, pointsPerNode: 8 });
        const owners = Array.from({ length: sectors }, (_, sector) => {
          const middle = Math.floor(((2 * sector + 1) * HASHES) / (2 * sectors));
          return ring.order(middle)[0]?.id;
        });
        assert.deepEqual(ring.arcs(sectors).sectors, owners);
      }),
    );
  });

  it("belong to the weights that a rebalancer has moved", () => {
    const nodes = weighted([1, 1]);
    const clock = new FakeClock();
    const rebalancer = new Rebalancer(ringHash({}), { clock }, { intervalMs: 0 });
    rebalancer.update(nodes);
    const before = rebalancer.arcs(1)?.shares.get(nodes[0].id) ?? 0;
    for (let turn = 0; turn < 3000; turn++) {
      clock.pass(20);
      rebalancer.record(nodes[0], 500, 5);
      rebalancer.record(nodes[1], 200, 5);
    }
    assert.ok((rebalancer.weightOf(nodes[0]) ?? 1) < (rebalancer.weightOf(nodes[1]) ?? 1));
    assert.ok((rebalancer.arcs(1)?.shares.get(nodes[0].id) ?? 1) < before);
  });
});

describe("the view of a ring", () => {
  const clusterOf = (policy: (typeof POLICY_NAMES)[number], nodes: readonly Node[]) =>
    staticCluster(
      { policy: policyNamed(policy, { tableSize: 211 }), now: () => 0, random: () => 0 },
      { nodeConnectionsMax: 10, slowStartMs: 0 },
      nodes,
    );

  it("has the nodes in the order of the cluster, and sectors that point at them", () => {
    const nodes = weighted([1, 0, 3]);
    const view = ringView("all", clusterOf("ring-hash", nodes), 360);
    assert.equal(view?.cluster, "all");
    assert.deepEqual(
      view?.nodes.map(({ id }) => id),
      nodes.map(({ id }) => id),
    );
    assert.equal(view?.nodes[1].share, 0);
    assert.equal(view?.sectors.length, 360);
    const places = new Set(view?.sectors);
    assert.deepEqual([...places].sort(), [0, 2]);
  });

  it("has sectors of nobody where nobody has a weight", () => {
    assert.deepEqual(ringView("all", clusterOf("ring-hash", weighted([0])), 2)?.sectors, [-1, -1]);
    assert.deepEqual(ringView("all", clusterOf("ring-hash", []), 2), { cluster: "all", nodes: [], sectors: [-1, -1] });
  });

  it("is there for rings only", () => {
    const nodes = weighted([1, 1]);
    const withRing = POLICY_NAMES.filter((name) => ringView("all", clusterOf(name, nodes), 1) !== undefined);
    assert.deepEqual(withRing, ["ring-hash"]);
  });

  it("is refused for a number of sectors that is none", () => {
    const cluster = clusterOf("ring-hash", weighted([1]));
    for (const sectors of [0, -1, 1.5, 4097, Number.NaN]) {
      assert.throws(() => ringView("all", cluster, sectors), { code: "ERR_BAD_REQUEST", message: /"sectors"/ });
    }
  });
});
