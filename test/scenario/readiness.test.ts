import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import { DEFAULTS, localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { startClusters } from "../support/clusters.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { startMoodyNode } from "../support/moody-node.js";
import { pathsOf } from "../support/paths.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;

describe("a balancer's readiness", () => {
  it("is starting before it listens, ready then, and draining from the first word of its end on", async (t) => {
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const idle = createBalancer(oneCluster({ ...DEFAULTS, nodes: [localNode(1)] }), { log });
    const { readiness, startedAtMs } = idle.snapshot();
    assert.deepEqual([readiness, startedAtMs], ["starting", 0]);
    await idle.close();
    const clock = new FakeClock();
    const gated = await startGatedNode(t);
    const { balancer, port, event } = await startBalancer(t, { nodes: [gated.port] }, { clock });
    assert.equal(balancer.snapshot().readiness, "ready");
    assert.equal(balancer.snapshot().startedAtMs, clock.wallNow());
    const client = await connectClient(t, port);
    const running = client.ask(get("/f"));
    const call = await gated.next();
    const drained = balancer.drain();
    await event("draining");
    assert.equal(balancer.snapshot().readiness, "draining");
    call.answer();
    await running;
    client.end();
    await drained;
    assert.equal(balancer.snapshot().readiness, "draining");
  });

  it("goes with the last node that can serve, and comes back with the first", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const settings = { nodes: [a.port, b.port], pingIntervalMs: 20 };
    const { balancer, config, port, event, until } = await startBalancer(t, settings);
    const client = await connectClient(t, port);
    await a.stop();
    const [path] = pathsOf(config.nodes, a.address, 1);
    assert.equal((await client.ask(get(path))).json().node, "b");
    await event("node_dead");
    assert.equal(balancer.snapshot().readiness, "ready");
    await b.stop();
    assert.equal((await client.ask(get("/f"))).status, 502);
    assert.equal(balancer.snapshot().readiness, "no-node-alive");
    await b.start();
    await until("it to be ready", ({ readiness }) => readiness === "ready");
    const id = `127.0.0.1:${b.port}`;
    for (const change of [{ mode: "draining" }, { mode: "disabled" }, { mode: "active", weight: 0 }] as const) {
      await balancer.editNode("default", { id, ...change });
      assert.equal(balancer.snapshot().readiness, "no-node-alive", JSON.stringify(change));
    }
    await balancer.editNode("default", { id, weight: null });
    assert.equal(balancer.snapshot().readiness, "ready");
  });

  it("waits for the first check of a node, where there are checks", async (t) => {
    const ill = await startMoodyNode(t, "ill", 500);
    const settings = { nodes: [ill.port], checkPath: "/health", checkIntervalMs: 20 };
    const { balancer, until } = await startBalancer(t, settings);
    assert.equal(balancer.snapshot().readiness, "no-node-alive");
    ill.status = 200;
    await until("it to be ready", ({ readiness }) => readiness === "ready");
  });

  it("is not lost to open breakers: without traffic none of them would ever close", async (t) => {
    const ill = await startMoodyNode(t, "ill", 500);
    const settings = { nodes: [ill.port], breakerFaults: 1, retryOn: { closed: false, silent: false, statuses: [] } };
    const { balancer, port } = await startBalancer(t, settings, { clock: new FakeClock() });
    const client = await connectClient(t, port);
    assert.equal((await client.ask(get("/f"))).status, 500);
    assert.equal((await client.ask(get("/f"))).status, 503);
    const { nodes, readiness } = balancer.snapshot();
    assert.deepEqual([nodes[0].breaker, readiness], ["open", "ready"]);
  });

  it("is that of its clusters together: one without a node takes nothing from the others", async (t) => {
    const a = await startFunctionNode(t, { name: "a" });
    const { balancer } = await startClusters(t, { clusters: { empty: { nodes: [] }, a: { nodes: [a.port] } } });
    const { clusters, readiness } = balancer.snapshot();
    assert.deepEqual(
      clusters.map(({ name, canServe }) => [name, canServe]),
      [
        ["empty", false],
        ["a", true],
      ],
    );
    assert.equal(readiness, "ready");
    await balancer.editNode("a", { id: `127.0.0.1:${a.port}`, mode: "disabled" });
    assert.equal(balancer.snapshot().readiness, "no-node-alive");
  });

  it("goes while every listener is paused, not while one is open", async (t) => {
    const a = await startFunctionNode(t, { name: "a" });
    const [listener] = DEFAULTS.listeners;
    const { balancer, addresses } = await startBalancer(t, { nodes: [a.port], listeners: [listener, listener] });
    const readiness = () => balancer.snapshot().readiness;
    balancer.pauseListener(addresses[0]);
    assert.equal(readiness(), "ready");
    balancer.pauseListener(addresses[1]);
    assert.equal(readiness(), "paused");
    balancer.resumeListener(addresses[0]);
    assert.equal(readiness(), "ready");
  });
});

describe("a snapshot", () => {
  it("says who names each node, by which policy they are picked, and whether operators have said anything", async (t) => {
    const a = await startFunctionNode(t, { name: "a" });
    const { balancer } = await startBalancer(t, { nodes: [a.port], policy: "maglev" });
    const facts = () => {
      const { clusters, nodes } = balancer.snapshot();
      return [clusters[0].policy, clusters[0].registryVersion !== "", ...nodes.map(({ origin }) => origin)];
    };
    assert.deepEqual(facts(), ["maglev", false, "config"]);
    await balancer.editNode("default", { id: "127.0.0.1:1", presence: "added" });
    await balancer.editNode("default", { id: `127.0.0.1:${a.port}`, presence: "added" });
    assert.deepEqual(facts(), ["maglev", true, "config", "operator"]);
  });
});
