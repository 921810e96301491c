import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { staticCluster } from "../../src/core/cluster.js";
import { Outcome } from "../../src/core/policies/policy.js";
import type { PolicyName } from "../../src/core/policies/table.js";
import { seeded } from "../support/seeded-random.js";
import { BY_KEY, POLICY_NAMES, policyNamed } from "./every-policy.js";
import { addresses, exchangeOf, nodesOf } from "./small-cluster.js";

const SLOW_START_MS = 10_000;

/** A cluster with a clock of its own. Each exchange lasts a millisecond of it. */
function clusterOf(name: PolicyName, { count = 4, slowStartMs = SLOW_START_MS } = {}) {
  let nowMs = 0;
  const now = () => nowMs;
  const nodes = nodesOf(addresses(count));
  const policy = policyNamed(name, { now });
  const cluster = staticCluster({ policy, now, random: seeded(5) }, { nodeConnectionsMax: 1024, slowStartMs }, nodes);
  return {
    nodes,
    cluster,
    advance(ms: number): void {
      nowMs += ms;
    },
    /** Share that each node gets of `picks` exchanges with many keys, so many of them at once, while time stands still. */
    shares(picks = 4000, atOnce = 1): number[] {
      const counts = nodes.map(() => 0);
      for (let pick = 0; pick < picks; pick += atOnce) {
        const acquired = Array.from(
          { length: atOnce },
          (_, turn) => cluster.acquire(exchangeOf(`/f/${pick + turn}`)) ?? assert.fail("nobody was picked"),
        );
        for (const node of acquired) {
          counts[node.index]++;
          cluster.release(node, Outcome.ANSWERED, 1);
        }
      }
      return counts.map((own) => own / picks);
    },
    die(index: number): void {
      nodes[index].alive = false;
    },
    revive(index: number): void {
      nodes[index].alive = true;
      cluster.noteReturn(nodes[index]);
    },
  };
}

for (const name of POLICY_NAMES) {
  describe(`slow start, ${name}`, () => {
    it("lets a node that is back grow from a tenth of its share to all of it, without a burst", () => {
      const { shares, advance, die, revive } = clusterOf(name);
      const [full] = shares();
      die(0);
      shares();
      revive(0);
      let last = 0;
      for (let tenth = 0; tenth <= 10; tenth++) {
        const [own] = shares();
        assert.ok(own <= full * Math.max(0.1, tenth / 10) * 1.3 + 0.01, `${own} of ${full} after ${tenth} tenths`);
        assert.ok(own > last * 0.7, `${own} after ${last}`);
        last = own;
        advance(SLOW_START_MS / 10);
      }
      assert.ok(last > full * 0.8, `${last} of ${full}`);
    });

    it("holds it back under load as well, when it alone has nothing to do", () => {
      const { shares, nodes, cluster, die, revive, advance } = clusterOf(name);
      die(0);
      for (let pick = 0; pick < 300; pick++) cluster.acquire(exchangeOf(`/f/${pick}`));
      revive(0);
      advance(SLOW_START_MS / 5);
      for (let pick = 0; pick < 100; pick++) cluster.acquire(exchangeOf(`/f/${pick}`));
      assert.ok(nodes[0].inFlight <= 25, `${nodes.map((node) => node.inFlight)}`);
      assert.ok(nodes[0].inFlight > 0);
      for (const node of nodes) while (node.inFlight > 0) cluster.release(node, 0);
      assert.equal(shares(100).length, 4);
    });

    it("serves from a node that is back alone, however young", () => {
      const { shares, die, revive } = clusterOf(name);
      for (const index of [0, 1, 2, 3]) die(index);
      revive(2);
      assert.deepEqual(shares(200), [0, 0, 1, 0]);
    });

    it("starts with warm nodes, and lets one that joins later grow", () => {
      const { shares, nodes, cluster, advance } = clusterOf(name);
      const [full] = shares();
      assert.ok(full > 0.15);
      const removed = nodes[0];
      cluster.update(nodes.slice(1));
      assert.equal(shares(500)[0], 0);
      cluster.update(nodes);
      assert.equal(cluster.nodes.length, 4);
      assert.ok(shares()[0] < full * 0.2);
      advance(SLOW_START_MS);
      assert.ok(shares()[0] > full * 0.8);
      assert.equal(removed.inFlight, 0);
    });

    it("does nothing when it is off", () => {
      const { shares, die, revive } = clusterOf(name, { slowStartMs: 0 });
      const before = shares()[0];
      die(0);
      shares(400);
      revive(0);
      assert.ok(Math.abs(shares()[0] - before) < 0.05);
    });
  });
}

for (const name of BY_KEY) {
  describe(`slow start, ${name}`, () => {
    it("brings keys home one by one, each once", () => {
      const { nodes, cluster, advance, die, revive } = clusterOf(name);
      const homeOf = (key: string) => {
        const node = cluster.acquire(exchangeOf(key))!;
        cluster.release(node, 0);
        return node;
      };
      const keys = Array.from({ length: 2000 }, (_, number) => `/f/${number}`);
      const mine = keys.filter((key) => homeOf(key) === nodes[0]);
      die(0);
      revive(0);
      let home = new Set<string>();
      for (let tenth = 0; tenth <= 10; tenth++) {
        const back = new Set(mine.filter((key) => homeOf(key) === nodes[0]));
        for (const key of home) assert.ok(back.has(key), `${key} left again`);
        home = back;
        advance(SLOW_START_MS / 10);
      }
      assert.equal(home.size, mine.length);
    });
  });
}
