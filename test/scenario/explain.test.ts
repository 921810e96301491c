import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import type { RequestSketch } from "../../src/core/operations.js";
import { HTTP_STATUS } from "../../src/errors.js";
import { sketchedRequest } from "../../src/http1/sketched-request.js";
import { memoryStore } from "../../src/store/memory-store.js";
import { systemClock } from "../../src/system/clock.js";
import { localNode, startBalancer, type TestConfig } from "../support/balancer.js";
import { type ClustersUnderTest, configWith, startClusters } from "../support/clusters.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { connectClient } from "../support/raw-peer.js";

/** Sends the request as sketched; gives the status, and the code of a problem. */
async function ask(t: TestContext, port: number, sketch: RequestSketch) {
  const sketched = sketchedRequest(sketch);
  assert.ok(sketched.kind === "head");
  const client = await connectClient(t, port);
  const response = await client.ask(sketched.bytes, sketch.method);
  client.destroy();
  const code = response.status >= 400 ? String(response.json().code) : undefined;
  return { status: response.status, code, location: response.header("location"), response };
}

const SECRET = "a secret of 32 bytes or thereab.";

describe("a request that no node gets", () => {
  const config: ClustersUnderTest = {
    clusters: {
      open: { nodes: [1] },
      keyed: { nodes: [1], key: [{ kind: "header", name: "x-tenant" }], keyRequired: true },
      small: { nodes: [1], bodyBytesMax: 10 },
      none: { nodes: [] },
    },
    routes: [
      { hosts: ["open.example"], path: "/docs", redirectsSlash: true, cluster: "open" },
      { path: "/keyed", cluster: "keyed" },
      { path: "/small", cluster: "small" },
      { path: "/none", cluster: "none" },
    ],
    process: { targetBytesMax: 100, headFieldsMax: 8 },
  };
  const length = (bytes: number): [string, string] => ["Content-Length", String(bytes)];
  const rows: readonly (readonly [what: string, sketch: RequestSketch])[] = [
    ["without a route", { url: "http://other.example/docs" }],
    ["without a route, because it has no host", { url: "/docs" }],
    ["without its key", { url: "http://a/keyed" }],
    ["with a body that is too large", { url: "http://a/small", method: "POST", headers: [length(11)] }],
    ["to a cluster without nodes", { url: "http://a/none" }],
    ["with a method that is not forwarded", { url: "http://a/keyed", method: "TRACE" }],
    ["with a target that is too long", { url: `http://a/${"x".repeat(100)}` }],
    ["with too many fields", { url: "http://a/keyed", headers: Array.from({ length: 9 }, (_, n) => [`x-${n}`, ""]) }],
    ["with two lengths", { url: "http://a/keyed", headers: [length(1), length(2)] }],
    ["with length and coding", { url: "http://a/keyed", headers: [length(1), ["Transfer-Encoding", "chunked"]] }],
    ["with a coding that is not spoken", { url: "http://a/keyed", headers: [["Transfer-Encoding", "gzip"]] }],
    ["with an expectation", { url: "http://a/keyed", headers: [["Expect", "wonders"]] }],
  ];
  for (const [what, sketch] of rows) {
    it(`is foretold the answer that it gets: ${what}`, async (t) => {
      const { balancer, port } = await startClusters(t, config);
      const { problem, node, order } = balancer.explain(sketch);
      const { status, code } = await ask(t, port, sketch);
      assert.equal(problem?.code, code);
      assert.equal(problem === undefined ? 0 : HTTP_STATUS[problem.code], status);
      assert.notEqual(problem?.detail, "");
      assert.equal(node, undefined);
      assert.ok(order.every(({ attempt }) => attempt === undefined));
    });
  }

  it("is foretold its redirect", async (t) => {
    const { balancer, port } = await startClusters(t, config);
    const sketch = { url: "http://open.example/docs?q" };
    const { redirect, route, cluster, problem } = balancer.explain(sketch);
    const { status, location } = await ask(t, port, sketch);
    assert.deepEqual([redirect, route, cluster, problem], [{ status, location }, "route-1", "open", undefined]);
    // A POST is served where it is, by nobody in this case.
    assert.equal(balancer.explain({ ...sketch, method: "POST" }).redirect, undefined);
  });

  it("is answered by the balancer itself when it asks about the balancer", async (t) => {
    const { balancer } = await startClusters(t, config);
    const { problem, route, notes } = balancer.explain({ url: "*", method: "OPTIONS", headers: [["Host", "a"]] });
    assert.deepEqual([problem, route, notes.length], [undefined, undefined, 1]);
  });

  it("has gone in a circle", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { balancer, port } = await startBalancer(t, { nodes: [node.port] });
    await ask(t, port, { url: "http://a/" });
    const { rawHeaders } = node.calls[0];
    const via = rawHeaders[rawHeaders.findIndex((name) => name.toLowerCase() === "via") + 1];
    const looped: RequestSketch = { url: "http://a/", headers: [["Via", `${via}, ${via}`]] };
    assert.equal(balancer.explain(looped).problem?.code, "ERR_LOOP");
    assert.equal((await ask(t, port, looped)).code, "ERR_LOOP");
    assert.equal(balancer.explain({ ...looped, headers: [["Via", via]] }).problem, undefined);
  });

  it("is no request at all", async (t) => {
    const { balancer } = await startClusters(t, config);
    for (const [sketch, field] of [
      [{ url: "nonsense" }, "url"],
      [{ url: "/", client: "not an address" }, "client"],
      [{ url: "/", headers: [["a", "b\r\nc: d"]] }, "headers[0]"],
    ] as const satisfies readonly (readonly [RequestSketch, string])[]) {
      const { problem, order } = balancer.explain(sketch);
      assert.equal(problem?.code, "ERR_BAD_REQUEST");
      assert.ok(problem?.detail.startsWith(`"${field}" `), problem?.detail);
      assert.equal(problem?.field, field.replace("[0]", ""));
      assert.deepEqual(order, []);
    }
  });

  it("finds all nodes dead, or disabled", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const store = memoryStore({ clock: systemClock });
    const { balancer, port, event } = await startBalancer(
      t,
      { nodes: nodes.map((node) => node.port), pingIntervalMs: 60_000 },
      { store },
    );
    const sketch = { url: "http://a/x" };
    for (const node of nodes) await node.stop();
    assert.equal(balancer.explain(sketch).problem, undefined, "nobody knows yet");
    await ask(t, port, sketch);
    await event("node_dead");
    const dead = balancer.explain(sketch);
    const { code } = await ask(t, port, sketch);
    assert.equal(dead.problem?.code, code);
    assert.deepEqual(
      dead.order.map(({ reasons }) => reasons),
      [["dead"], ["dead"]],
    );
    await store.edit(
      "default",
      nodes.map((node) => ({ id: `127.0.0.1:${node.port}`, mode: "disabled" as const })),
    );
    const off = balancer.explain(sketch);
    assert.equal(off.problem?.code, "ERR_NO_ACTIVE_NODE");
    assert.equal((await ask(t, port, sketch)).code, "ERR_NO_ACTIVE_NODE");
    assert.deepEqual(off.order[0].states, ["dead", "disabled"]);
  });

  it("finds its nodes at their limit, and waits where there is a queue", async (t) => {
    const node = await startGatedNode(t);
    const limits: Partial<TestConfig> = { nodeConnectionsMax: 1, silenceMs: 0 };
    for (const queueMax of [0, 2]) {
      const { balancer, port, until } = await startBalancer(t, { nodes: [node.port], ...limits, queueMax });
      const busy = await connectClient(t, port);
      const waiting = await connectClient(t, port);
      busy.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
      const call = await node.next();
      const full = balancer.explain({ url: "http://a/x" });
      assert.deepEqual(full.order[0].reasons, ["full"]);
      assert.equal(full.node, undefined);
      if (queueMax === 0) {
        assert.equal(full.problem?.code, "ERR_AT_CAPACITY");
        assert.equal((await ask(t, port, { url: "http://a/x" })).code, "ERR_AT_CAPACITY");
      } else {
        assert.equal(full.problem, undefined);
        assert.deepEqual(full.notes, ["it would wait for a place, 5000 ms at most"]);
        waiting.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        await until("one to wait", ({ queued }) => queued === 1);
        assert.match(balancer.explain({ url: "http://a/x" }).notes[0], /behind 1 that wait already/);
        const another = await connectClient(t, port);
        another.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        await until("two to wait", ({ queued }) => queued === 2);
        assert.equal(balancer.explain({ url: "http://a/x" }).problem?.code, "ERR_AT_CAPACITY");
        assert.equal((await ask(t, port, { url: "http://a/x" })).code, "ERR_AT_CAPACITY");
      }
      call.answer();
      await busy.response();
      await balancer.close();
    }
  });
});

describe("a request that a node gets", () => {
  it("goes past its home for a reason, and the home stands first", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const store = memoryStore({ clock: systemClock });
    const { balancer, port } = await startBalancer(t, { nodes: nodes.map((node) => node.port) }, { store });
    const sketch = { url: "http://a/x" };
    const before = balancer.explain(sketch);
    const home = before.order[0].id;
    assert.deepEqual([before.source, before.node, before.isFixed], ["live", home, true]);
    assert.deepEqual(
      before.order.map(({ attempt }) => attempt),
      [1, 2, 3],
    );
    await store.edit("default", [{ id: home, mode: "draining" }]);
    const after = balancer.explain(sketch);
    assert.deepEqual(
      after.order.map(({ id }) => id),
      before.order.map(({ id }) => id),
    );
    assert.deepEqual(after.order[0], { id: home, states: ["draining"], isEligible: false, reasons: ["draining"] });
    assert.equal(after.node, before.order[1].id);
    assert.equal(after.order[1].attempt, 1);
    const { response } = await ask(t, port, sketch);
    assert.equal(`127.0.0.1:${nodes.find(({ name }) => name === response.json().node)?.port}`, after.node);
  });

  for (const by of ["cookie", "header"] as const) {
    it(`stays on the node that a ${by} names, over a policy that takes turns`, async (t) => {
      const nodes = await startFunctionNodes(t, 3);
      const store = memoryStore({ clock: systemClock });
      const { balancer, port } = await startBalancer(
        t,
        {
          nodes: nodes.map((node) => node.port),
          policy: "weighted-round-robin",
          [by === "cookie" ? "stickyCookie" : "stickyHeader"]: "x-stay",
          stickySecrets: [SECRET],
        },
        { store },
      );
      const first = await ask(t, port, { url: "http://a/x" });
      const id = `127.0.0.1:${nodes.find(({ name }) => name === first.response.json().node)?.port}`;
      const sent =
        by === "cookie"
          ? ["Cookie", first.response.header("set-cookie")?.split(";")[0] ?? ""]
          : ["X-Stay", first.response.header("x-stay") ?? ""];
      const sketch: RequestSketch = { url: "http://a/x", headers: [[sent[0], sent[1]]] };
      const kept = balancer.explain(sketch);
      assert.deepEqual([kept.sticky, kept.node, kept.isFixed], [{ by, node: id }, id, true]);
      assert.equal(kept.order[0].attempt, 1);

      await store.edit("default", [{ id, mode: "draining" }]);
      const draining = balancer.explain(sketch);
      assert.deepEqual([draining.node, draining.order[0].reasons], [id, []], "a draining node keeps its clients");

      await store.edit("default", [{ id, mode: "disabled" }]);
      const gone = balancer.explain(sketch);
      assert.deepEqual([gone.sticky, gone.node, gone.isFixed], [{ by, node: id }, undefined, false]);

      const forged: RequestSketch = {
        url: "http://a/x",
        headers: [[sent[0], by === "cookie" ? "x-stay=forged" : "forged"]],
      };
      assert.deepEqual(balancer.explain(forged).sticky, { by });
      assert.equal(balancer.explain({ url: "/x", headers: [["Cookie", "other=1"]] }).sticky, undefined);
    });
  }

  it("is not foretold where turns or chance decide, and costs nobody a turn", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    for (const policy of ["weighted-round-robin", "least-loaded", "p2c-ewma", "random"] as const) {
      const { balancer } = await startBalancer(t, { nodes: nodes.map((node) => node.port), policy });
      const before = balancer.snapshot();
      const { node, isFixed, order, problem } = balancer.explain({ url: "http://a/x" });
      assert.deepEqual([node, isFixed, problem], [undefined, false, undefined]);
      assert.deepEqual(
        order.map(({ id }) => id),
        nodes.map(({ port }) => `127.0.0.1:${port}`),
      );
      assert.ok(order.every(({ isEligible, attempt }) => isEligible && attempt === undefined));
      assert.deepEqual(balancer.snapshot(), before);
    }
  });

  it("has a path for a key when it has no part of it, and says so", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [localNode(1)], key: [{ kind: "header", name: "x-tenant" }] });
    const without = balancer.explain({ url: "http://a/x" });
    assert.equal(without.key, "/x");
    assert.match(without.notes[0], /no part of the key/);
    const given = balancer.explain({ url: "http://a/x", headers: [["X-Tenant", "blue"]] });
    assert.deepEqual([given.key, given.notes], ["blue", []]);
  });
});

describe("a balancer that does not run", () => {
  it("explains nothing", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [localNode(1)] });
    assert.throws(() => balancer.ring("other", 4), { code: "ERR_NOT_FOUND" });
    assert.throws(() => balancer.ring("default", 0), { code: "ERR_BAD_REQUEST" });
    assert.deepEqual(balancer.ring("default", 4)?.nodes, [{ id: "127.0.0.1:1", share: 1 }]);
    await balancer.close();
    assert.throws(() => balancer.explain({ url: "/" }), { code: "ERR_DRAINING" });
    assert.throws(() => balancer.ring("default", 4), { code: "ERR_DRAINING" });
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const early = createBalancer(configWith({ a: { nodes: [1] } }), { log });
    assert.throws(() => early.explain({ url: "/" }), { code: "ERR_DRAINING" });
    await early.close();
  });
});
