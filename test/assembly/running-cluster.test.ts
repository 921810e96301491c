import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { RunningCluster } from "../../src/assembly/running-cluster.js";
import { readDiscovery } from "../../src/config/discovery.js";
import type { Clock } from "../../src/core/clock.js";
import { Counters } from "../../src/core/counters.js";
import type { AddressRecord, OpenLookup } from "../../src/core/lookup.js";
import type { NodeChange } from "../../src/core/registry.js";
import { TimerWheel } from "../../src/core/timer-wheel.js";
import type { ProxyContext } from "../../src/proxy/context.js";
import { memoryStore } from "../../src/store/memory-store.js";
import { exchangeOf } from "../core/small-cluster.js";
import { DEFAULTS, type FlatConfig, localNode } from "../support/balancer.js";
import { eventually, FakeClock, turns } from "../support/fake-clock.js";
import { seeded } from "../support/seeded-random.js";

/** A cluster at work that nobody sends anything to, with its nodes at hand, and resolvers that a test answers for. */
async function startCluster(t: TestContext, settings: Partial<FlatConfig>) {
  const clock = new FakeClock();
  const record = () => {};
  const records = new Map<string, readonly AddressRecord[]>();
  const names = new Map<string, Promise<readonly string[]>>();
  const config: FlatConfig = { ...DEFAULTS, ...settings };
  const context: ProxyContext = {
    config,
    clock: clock satisfies Clock,
    wheel: new TimerWheel({ tickMs: 25, slots: 512 }),
    counters: new Counters(),
    log: { debug: record, info: record, warn: record, error: record },
    dial: () => () => {},
    accessLog: undefined,
    isTrusted: () => false,
    viaName: "fnlb-test",
    requestId: () => "",
    date: () => "",
  };
  const openLookup: OpenLookup = () => ({
    addresses: (name) => Promise.resolve(records.get(name) ?? []),
    services: () => Promise.resolve([]),
    close() {},
  });
  const store = memoryStore({ clock });
  const stop = new AbortController();
  const loops: Promise<unknown>[] = [];
  const cluster = new RunningCluster(
    {
      context,
      random: seeded(1),
      resolve: (host) => names.get(host) ?? Promise.reject(Object.assign(new Error("unknown"), { code: "ENOTFOUND" })),
      openLookup,
      store,
      securityOf: () => undefined,
      stopping: stop.signal,
      keep: (loop) => void loops.push(loop),
    },
    { ...config, name: "c" },
  );
  t.after(async () => {
    stop.abort();
    await cluster.destroy();
    await Promise.all(loops);
    assert.equal(clock.pending, 0, "a loop goes on");
  });
  const list = (...hosts: string[]) =>
    records.set(
      "fn",
      hosts.map((address) => ({ address, ttlMs: 1000 })),
    );
  return {
    cluster,
    clock,
    counters: context.counters,
    context,
    config,
    names,
    list,
    nodeAt: (id: string) => {
      const found = cluster.nodes.find(({ node }) => node.id === id)?.node;
      assert.ok(found !== undefined, `no ${id} among ${cluster.nodes.map(({ node }) => node.id).join(" ")}`);
      return found;
    },
    edit: (...changes: readonly NodeChange[]) => store.edit("c", changes),
    ids: () => cluster.nodes.map(({ node }) => node.id),
    async start() {
      await cluster.open();
      await cluster.run();
    },
    async look() {
      await clock.advance(1000);
      await turns(5);
    },
    async reload(other: Partial<FlatConfig>) {
      await cluster.stage(config, { ...config, ...other, name: "c" });
      cluster.commit(context);
    },
  };
}

const BY_NAME = { nodes: [], discover: readDiscovery({ texts: ["dns4:fn:80"], source: "test" }) };

describe("what the operator said of a node", () => {
  it("is not changed by what is discovered", async (t) => {
    const { start, list, look, nodeAt, ids, edit } = await startCluster(t, BY_NAME);
    list("10.0.0.1", "10.0.0.2");
    await start();
    await edit({ id: "10.0.0.1:80", mode: "draining", weight: 7 });
    list("10.0.0.3", "10.0.0.1");
    await look();
    assert.deepEqual(ids(), ["10.0.0.1:80", "10.0.0.3:80"]);
    const { mode, weight } = nodeAt("10.0.0.1:80");
    assert.deepEqual([mode, weight], ["draining", 7]);
  });

  it("still holds when the node was gone for a while, and for that one alone", async (t) => {
    const { start, list, look, nodeAt, edit } = await startCluster(t, BY_NAME);
    list("10.0.0.1", "10.0.0.2");
    await start();
    await edit({ id: "10.0.0.1:80", mode: "draining" });
    list("10.0.0.3");
    await look();
    list("10.0.0.1", "10.0.0.2");
    await look();
    assert.deepEqual([nodeAt("10.0.0.1:80").mode, nodeAt("10.0.0.2:80").mode], ["draining", "active"]);
    await edit({ id: "10.0.0.1:80", mode: "active" });
    list("10.0.0.3");
    await look();
    list("10.0.0.1");
    await look();
    assert.equal(nodeAt("10.0.0.1:80").mode, "active");
  });

  it("holds whatever weight the list says", async (t) => {
    const { start, nodeAt, reload, edit } = await startCluster(t, { nodes: [localNode(1), localNode(2)] });
    await start();
    await edit({ id: "127.0.0.1:1", weight: 9 });
    await reload({ nodes: [localNode(1), localNode(2, 3), localNode(4)] });
    const weights = [1, 2, 4].map((port) => nodeAt(`127.0.0.1:${port}`).weight);
    assert.deepEqual(weights, [9, 3, 1]);
    await edit({ id: "127.0.0.1:1", weight: null });
    assert.equal(nodeAt("127.0.0.1:1").weight, 1);
  });
});

describe("a node that is found by name", () => {
  /** A file with one node, in which another one by name is written, and has been there for two looks. */
  async function startWithName(t: TestContext) {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-nodes-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "nodes");
    writeFileSync(file, "10.0.0.1\n");
    const discover = readDiscovery({ texts: [`file:${file}`], source: "test" });
    const started = await startCluster(t, { nodes: [], discover });
    await started.start();
    let answer: (addresses: readonly string[]) => void = () => {};
    started.names.set(
      "fn-2",
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    const write = async (text: string) => {
      writeFileSync(file, text);
      for (let look = 0; look < 2; look++) {
        const { discoveries } = started.counters;
        await started.clock.advance(1000);
        await eventually(() => started.counters.discoveries > discoveries);
      }
    };
    await write("10.0.0.1\nfn-2\n");
    return { ...started, write, answer: (addresses: readonly string[]) => answer(addresses) };
  }

  it("gets nothing before somebody knows its address", async (t) => {
    const { ids, answer } = await startWithName(t);
    assert.deepEqual(ids(), ["10.0.0.1:8080"]);
    answer(["127.0.0.1"]);
    await turns(5);
    assert.deepEqual(ids(), ["10.0.0.1:8080", "fn-2:8080"]);
  });

  it("is let in after two seconds though nobody does: then it is the pings' business", async (t) => {
    const { ids, clock } = await startWithName(t);
    await clock.advance(2000);
    assert.deepEqual(ids(), ["10.0.0.1:8080", "fn-2:8080"]);
  });

  it("holds up what is found meanwhile no longer than that", async (t) => {
    const { ids, write } = await startWithName(t);
    await write("10.0.0.1\n10.0.0.3\n");
    await eventually(() => ids().includes("10.0.0.3:8080"));
    assert.deepEqual(ids(), ["10.0.0.1:8080", "10.0.0.3:8080"]);
  });

  it("goes on with a reload that comes while its name is looked up, and with one that is called off", async (t) => {
    const { ids, cluster, config, context } = await startWithName(t);
    const settings = { ...config, nodes: [localNode(1)], name: "c" };
    const staging = cluster.stage(config, settings);
    cluster.unstage();
    await turns(2);
    assert.deepEqual(ids(), ["10.0.0.1:8080"]);
    const again = cluster.stage(config, settings);
    cluster.commit(context);
    assert.deepEqual(ids(), ["127.0.0.1:1", "10.0.0.1:8080", "fn-2:8080"]);
    void Promise.all([staging, again]);
  });
});

describe("the nodes of the start", () => {
  it("are all equally old: slow start is for those that join later", async (t) => {
    const { start, list, look, cluster } = await startCluster(t, {
      nodes: [localNode(1)],
      discover: BY_NAME.discover,
      policy: "weighted-round-robin",
      slowStartMs: 3_600_000,
    });
    list("10.0.0.1");
    await start();
    const shares = () => {
      const counts = new Map<string, number>();
      const { cluster: members } = cluster.context;
      for (let turn = 0; turn < 300; turn++) {
        const exchange = exchangeOf(`/f${turn}`);
        const node = members.acquire(exchange);
        assert.ok(node !== undefined);
        members.release(node, exchange.stamp);
        counts.set(node.id, (counts.get(node.id) ?? 0) + 1);
      }
      return counts;
    };
    assert.deepEqual([...shares().values()], [150, 150]);
    list("10.0.0.1", "10.0.0.2");
    await look();
    assert.ok((shares().get("10.0.0.2:80") ?? 0) < 50);
  });
});

describe("the places of nodes", () => {
  it("are used again: thousands that come and go, some at once, need no more of them than were ever taken at one time", async (t) => {
    const { cluster, start, edit } = await startCluster(t, { nodes: [localNode(1)], policy: "least-loaded" });
    await start();
    let highest = 0;
    const idOf = (cycle: number) => `10.${cycle >> 16}.${(cycle >> 8) & 255}.${cycle & 255}:80`;
    for (let cycle = 1; cycle <= 3000; cycle++) {
      await edit({ id: idOf(cycle), presence: "added" });
      await turns(1);
      highest = Math.max(highest, ...cluster.nodes.map(({ node }) => node.index));
      assert.ok(cluster.nodes.length <= 4);
      if (cycle > 2) await edit({ id: idOf(cycle - 2), presence: null });
    }
    assert.ok(highest <= 4, `${highest}`);
  });
});
