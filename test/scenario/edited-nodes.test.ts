import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { NodeChange } from "../../src/core/registry.js";
import { memoryStore } from "../../src/store/memory-store.js";
import { systemClock } from "../../src/system/clock.js";
import { localNode, oneCluster, startBalancer, type TestBalancer, type TestConfig } from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { startBlackHole } from "../support/node-process.js";
import { connectClient } from "../support/raw-peer.js";

/** A balancer and an operator. */
async function startEdited(t: TestContext, config: TestConfig) {
  const store = memoryStore({ clock: systemClock });
  const started = await startBalancer(t, config, { store });
  const edit = (...changes: readonly NodeChange[]) => store.edit("default", changes);
  return { ...started, store, edit };
}

/** Who answers many paths, sorted. */
async function served(t: TestContext, { port }: Pick<TestBalancer, "port">, count = 60): Promise<string[]> {
  const client = await connectClient(t, port);
  const names = new Set<string>();
  for (let n = 0; n < count; n++) {
    const response = await client.ask(`GET /f/${n} HTTP/1.1\r\nHost: fn\r\n\r\n`);
    names.add(response.status === 200 ? String(response.json().node) : String(response.status));
  }
  return [...names].sort();
}

const idOf = ({ port }: FunctionNode) => `127.0.0.1:${port}`;

describe("nodes that an operator edits", () => {
  it("take traffic as soon as they are added, and none once they are removed", async (t) => {
    const [a, b, c] = await startFunctionNodes(t, 3);
    const balancer = await startEdited(t, { nodes: [a.port, b.port] });
    assert.deepEqual(await served(t, balancer), ["a", "b"]);
    await balancer.edit({ id: idOf(c), presence: "added" });
    assert.equal((await balancer.event("node_added")).node, idOf(c));
    assert.deepEqual(await served(t, balancer), ["a", "b", "c"]);
    await balancer.edit({ id: idOf(a), presence: "removed" });
    assert.equal((await balancer.event("node_removed")).node, idOf(a));
    assert.deepEqual(await served(t, balancer), ["b", "c"]);
    await balancer.edit({ id: idOf(a), presence: null }, { id: idOf(c), presence: null });
    assert.deepEqual(await served(t, balancer), ["a", "b"]);
  });

  it("are known from the start, where they were edited before", async (t) => {
    const [a, b, c] = await startFunctionNodes(t, 3);
    const store = memoryStore({ clock: systemClock });
    await store.edit("default", [
      { id: idOf(a), presence: "removed" },
      { id: idOf(b), mode: "draining" },
      { id: idOf(c), presence: "added", weight: 2 },
    ]);
    const balancer = await startBalancer(t, { nodes: [a.port, b.port], slowStartMs: 3_600_000 }, { store });
    assert.deepEqual(
      balancer.balancer.snapshot().nodes.map(({ id, mode, weight }) => ({ id, mode, weight })),
      [
        { id: idOf(b), mode: "draining", weight: 1 },
        { id: idOf(c), mode: "active", weight: 2 },
      ],
    );
    assert.deepEqual(await served(t, balancer), ["c"]);
  });

  it("are as warm as the others, where they were added before the start", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const store = memoryStore({ clock: systemClock });
    await store.edit("default", [{ id: idOf(b), presence: "added" }]);
    const config = { nodes: [a.port], slowStartMs: 3_600_000, policy: "weighted-round-robin" } as const;
    await served(t, await startBalancer(t, config, { store }));
    assert.deepEqual([a.calls.length, b.calls.length], [30, 30]);
  });

  it("stay edited when the config is loaded again", async (t) => {
    const [a, b, c] = await startFunctionNodes(t, 3);
    const balancer = await startEdited(t, { nodes: [a.port] });
    await balancer.edit({ id: idOf(b), presence: "added", weight: 3 }, { id: idOf(c), presence: "removed" });
    const nodes = [localNode(a.port, 2), localNode(c.port)];
    await balancer.balancer.reload(oneCluster({ ...balancer.config, nodes }));
    assert.deepEqual(
      balancer.balancer.snapshot().nodes.map(({ id, weight }) => [id, weight]),
      [
        [idOf(a), 2],
        [idOf(b), 3],
      ],
    );
    // A config that says nothing new leaves everything alone.
    const before = balancer.events.length;
    await balancer.balancer.reload(oneCluster({ ...balancer.config, nodes }));
    assert.deepEqual(
      balancer.events.slice(before).map(({ event }) => event),
      ["reloaded"],
    );
  });

  it("get what their weights say", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const balancer = await startEdited(t, { nodes: [a.port, b.port], policy: "weighted-round-robin" });
    await balancer.edit({ id: idOf(a), weight: 3 });
    await served(t, balancer, 40);
    assert.deepEqual([a.calls.length, b.calls.length], [30, 10]);
    await balancer.edit({ id: idOf(a), weight: 0 });
    assert.deepEqual(await served(t, balancer, 20), ["b"]);
    await balancer.edit({ id: idOf(a), weight: null });
    await served(t, balancer, 20);
    assert.deepEqual([a.calls.length, b.calls.length], [40, 40]);
  });

  for (const mode of ["draining", "disabled"] as const) {
    it(`get nothing new while they are ${mode}, and again when they are active`, async (t) => {
      const [a, b] = await startFunctionNodes(t, 2);
      const balancer = await startEdited(t, { nodes: [a.port, b.port] });
      await balancer.edit({ id: idOf(a), mode });
      const { node, mode: logged } = await balancer.event("node_mode_changed");
      assert.deepEqual([node, logged], [idOf(a), mode]);
      assert.deepEqual(await served(t, balancer), ["b"]);
      await balancer.edit({ id: idOf(a), mode: "active" });
      assert.deepEqual(await served(t, balancer), ["a", "b"]);
      assert.equal(balancer.events.filter(({ event }) => event === "node_added" || event === "node_removed").length, 0);
    });
  }

  it("leave a place to who waits when they are added", async (t) => {
    const answers: (() => void)[] = [];
    const slow = await startFunctionNode(t, {
      name: "slow",
      answer: (_, response) => answers.push(() => response.end("x")),
    });
    const free = await startFunctionNode(t, { name: "free" });
    const config = { nodes: [slow.port], nodeConnectionsMax: 1, queueMax: 10, queueTimeoutMs: 60_000 };
    const balancer = await startEdited(t, config);
    const first = await connectClient(t, balancer.port);
    first.send("GET /1 HTTP/1.1\r\nHost: fn\r\n\r\n");
    await balancer.until("the node to be full", () => slow.calls.length === 1);
    const second = await connectClient(t, balancer.port);
    const waiting = second.ask("GET /2 HTTP/1.1\r\nHost: fn\r\n\r\n");
    await balancer.until("one to wait", ({ queued }) => queued === 1);
    await balancer.edit({ id: idOf(free), presence: "added" });
    assert.equal((await waiting).json().node, "free");
    answers[0]();
  });

  it("are pinged back to life that died while they were disabled", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const balancer = await startEdited(t, { nodes: [a.port, b.port], pingIntervalMs: 20 });
    assert.deepEqual(await served(t, balancer), ["a", "b"]);
    await a.stop();
    await served(t, balancer);
    await balancer.event("node_dead");
    await balancer.edit({ id: idOf(a), mode: "disabled" });
    await a.start();
    await balancer.event("node_alive");
    await balancer.edit({ id: idOf(a), mode: "active" });
    assert.deepEqual(await served(t, balancer), ["a", "b"]);
  });

  it("are pinged back to life whose last dial failed when they were disabled already", async (t) => {
    const hole = await startBlackHole(t);
    const [a] = await startFunctionNodes(t, 1);
    const config = { nodes: [hole.port, a.port], connectTimeoutMs: 500, pingIntervalMs: 20 };
    const balancer = await startEdited(t, config);
    const requests = served(t, balancer, 20);
    await balancer.until("a dial into the hole", ({ nodes }) => nodes[0].inFlight > 0);
    await balancer.edit({ id: `127.0.0.1:${hole.port}`, mode: "disabled" });
    await balancer.event("node_dead");
    assert.deepEqual(await requests, ["a"]);
    hole.thaw();
    await balancer.event("node_alive");
    await balancer.edit({ id: `127.0.0.1:${hole.port}`, mode: "active" });
    assert.equal((await served(t, balancer)).length, 2);
  });

  it("finish what runs at them when they are removed", async (t) => {
    const answers: (() => void)[] = [];
    const slow = await startFunctionNode(t, {
      name: "slow",
      answer: (_, response) => answers.push(() => response.end("x")),
    });
    const [b] = await startFunctionNodes(t, 1);
    const balancer = await startEdited(t, { nodes: [slow.port] });
    const client = await connectClient(t, balancer.port);
    const waiting = client.ask("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
    await balancer.until("the call", () => answers.length === 1);
    await balancer.edit({ id: idOf(slow), presence: "removed" }, { id: idOf(b), presence: "added" });
    assert.deepEqual(await served(t, balancer), ["a"]);
    answers[0]();
    assert.equal((await waiting).status, 200);
  });

  it("leave nobody when all are removed, and the cluster says so", async (t) => {
    const [a] = await startFunctionNodes(t, 1);
    const balancer = await startEdited(t, { nodes: [a.port] });
    await balancer.edit({ id: idOf(a), presence: "removed" });
    assert.deepEqual(await served(t, balancer, 3), ["503"]);
    await balancer.edit({ id: idOf(a), presence: "added" });
    assert.deepEqual(await served(t, balancer, 3), ["a"]);
  });

  it("are left out where nobody can tell what they are", async (t) => {
    const [a] = await startFunctionNodes(t, 1);
    const balancer = await startEdited(t, { nodes: [a.port] });
    const ids = ["quic://a:80", "a:80:90", "A:80", "127.0.0.1", "http://127.0.0.1:80", "a:80=3", "a:80,b:80"];
    for (const id of ids) await balancer.edit({ id, presence: "added" });
    assert.equal(balancer.balancer.snapshot().nodes.length, 1);
  });

  it("are spoken to in TLS as the cluster's options say", async (t) => {
    const authority = createAuthority();
    const tls = authority.issue({ ips: ["127.0.0.1"] });
    const [a] = await startFunctionNodes(t, 1);
    const secure = await startFunctionNode(t, { name: "secure", tls });
    const nodeTlsCaFile = certificateFiles(t).write("ca.crt", authority.cert);
    const balancer = await startEdited(t, { nodes: [a.port], nodeTlsCaFile });
    await balancer.edit({ id: idOf(a), presence: "removed" }, { id: `https://${idOf(secure)}`, presence: "added" });
    assert.deepEqual(await served(t, balancer, 3), ["secure"]);
  });

  it("are checked before they get anything, where checks are on", async (t) => {
    const [a] = await startFunctionNodes(t, 1);
    const ill = await startFunctionNode(t, {
      name: "ill",
      onHead: (request, response) => {
        if (request.url !== "/health") return false;
        response.writeHead(500).end();
        return true;
      },
    });
    const balancer = await startEdited(t, { nodes: [a.port], checkPath: "/health", checkIntervalMs: 20 });
    await balancer.edit({ id: idOf(ill), presence: "added" });
    await balancer.until("its first check", ({ nodes }) => nodes.some(({ check }) => check === "failing"));
    assert.deepEqual(await served(t, balancer), ["a"]);
  });

  it("cannot be moved to another store by a reload", async (t) => {
    const [a] = await startFunctionNodes(t, 1);
    const { balancer, config } = await startEdited(t, { nodes: [a.port] });
    const reload = balancer.reload(oneCluster({ ...config, store: "redis://elsewhere" }));
    await assert.rejects(reload, { code: "ERR_OPTION", message: 'option "store" must stay as it is while fnlb runs' });
  });
});
