import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { getGlobalDispatcher, request, setGlobalDispatcher, fetch as undiciFetch } from "undici";
import { FallbackRoundTripper, type FallbackRoundTripperOptions } from "../../src/client/fallback-round-tripper.js";
import { weightedRoundRobin } from "../../src/core/policies/weighted-round-robin.js";
import { localNode } from "../support/balancer.js";
import { openDispatcher, pathTo, type Told } from "../support/dispatcher.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { orderOf } from "../support/paths.js";
import { startRawOrigin } from "../support/raw-origin.js";

const open = (t: TestContext, ports: readonly number[], options: Partial<FallbackRoundTripperOptions> = {}) =>
  openDispatcher(
    t,
    ports.map((port) => ({ port })),
    options,
  );

async function ask(
  dispatcher: FallbackRoundTripper,
  path: string,
  init: { method?: string; body?: string } = {},
): Promise<Told> {
  const response = await undiciFetch(`http://functions.example${path}`, { dispatcher, ...init });
  assert.equal(response.status, 200);
  return (await response.json()) as Told;
}

describe("fallback round tripper as a dispatcher", () => {
  it("sends each path to its node by the ring, whatever origin and query say, and keeps the host", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { dispatcher } = open(
      t,
      nodes.map(({ port }) => port),
    );
    const list = nodes.map(({ port }) => localNode(port));
    for (let number = 0; number < 20; number++) {
      const { node, target } = await ask(dispatcher, `/f${number}?call=${number}`);
      assert.equal(nodes.find(({ name }) => name === node)?.address, orderOf(list, `/f${number}`)[0]);
      assert.equal(target, `/f${number}?call=${number}`);
    }
    const [call] = nodes.flatMap(({ calls }) => calls);
    const host = call.rawHeaders.findIndex((name) => name.toLowerCase() === "host");
    assert.equal(call.rawHeaders[host + 1], "functions.example");
  });

  it("works with the runtime's own fetch, and for everything after setGlobalDispatcher", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const { dispatcher } = open(
      t,
      nodes.map(({ port }) => port),
    );
    const before = getGlobalDispatcher();
    t.after(() => setGlobalDispatcher(before));
    setGlobalDispatcher(dispatcher);
    const response = await fetch("http://functions.example/f", { method: "POST", body: "hello" });
    assert.deepEqual([response.status, ((await response.json()) as Told).bodyBytes], [200, 5]);
    const { statusCode, body } = await request("http://functions.example/g");
    assert.equal(statusCode, 200);
    await body.dump();
  });

  it("brings any request whose node refuses to the next one, a POST with a body that is a stream too", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const opened = open(
      t,
      nodes.map(({ port }) => port),
    );
    const { dispatcher } = opened;
    const path = pathTo(nodes, nodes[0]);
    await nodes[0].stop();
    const body = Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(1000)));
    const { statusCode, body: answer } = await request(`http://functions.example${path}`, {
      dispatcher,
      method: "POST",
      body,
    });
    assert.deepEqual([statusCode, ((await answer.json()) as Told).bodyBytes], [200, 100_000]);
    assert.deepEqual(
      dispatcher.nodes.map(({ alive }) => alive),
      [false, true, true],
    );
    assert.equal((await ask(dispatcher, path)).node, (await ask(dispatcher, path)).node, "one substitute");
    assert.deepEqual(opened.eventNames, ["node_dead"]);
  });

  it("gives a node its paths back when a ping succeeds", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    let isBack = () => {};
    const back = new Promise<void>((resolve) => {
      isBack = resolve;
    });
    const log = {
      debug() {},
      warn() {},
      error() {},
      info: ({ event }: { readonly event: string }) => (event === "node_alive" ? isBack() : undefined),
    };
    const { dispatcher } = open(
      t,
      nodes.map(({ port }) => port),
      { pingIntervalMs: 20, log },
    );
    const path = pathTo(nodes, nodes[0]);
    await nodes[0].stop();
    assert.equal((await ask(dispatcher, path)).node, "b");
    await nodes[0].start();
    await back;
    assert.equal((await ask(dispatcher, path)).node, "a");
  });

  it("fails with ErrNoFallbackNodeFound when all are dead, and serves the very next request when one is back", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const { dispatcher } = open(
      t,
      nodes.map(({ port }) => port),
      { pingIntervalMs: 60_000 },
    );
    for (const node of nodes) await node.stop();
    await assert.rejects(request("http://functions.example/f", { dispatcher }), {
      name: "ErrNoFallbackNodeFound",
      code: "ERR_NO_FALLBACK_NODE_FOUND",
    });
    const failed = await undiciFetch("http://functions.example/f", { dispatcher }).catch((error: Error) => error);
    assert.equal(((failed as Error).cause as { readonly code: string }).code, "ERR_NO_FALLBACK_NODE_FOUND");
    await nodes[1].start();
    assert.equal((await ask(dispatcher, "/f")).node, "b");
  });

  for (const [method, isRepeated] of [
    ["GET", true],
    ["PUT", true],
    ["POST", false],
  ] as const) {
    it(`${isRepeated ? "repeats" : "never repeats"} a ${method} that a node has read and not answered`, async (t) => {
      const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
      const good = await startFunctionNode(t, { name: "good" });
      const { dispatcher } = open(t, [bad.port, good.port]);
      const path = pathTo([bad, good], bad);
      const asked = request(`http://functions.example${path}`, {
        dispatcher,
        method,
        ...(method === "GET" ? {} : { body: "pay 5" }),
      });
      if (isRepeated) {
        const { statusCode, body } = await asked;
        assert.deepEqual([statusCode, ((await body.json()) as Told).node], [200, "good"]);
      } else await assert.rejects(asked, { code: "UND_ERR_SOCKET" });
      assert.equal(good.headsSeen, isRepeated ? 1 : 0);
      assert.equal(dispatcher.nodes[0].alive, true, "only a failed dial speaks against a node");
    });
  }

  it("does not call a node dead, nor asks another, when its caller gives up", async (t) => {
    let seen = () => {};
    const arrived = new Promise<void>((resolve) => {
      seen = resolve;
    });
    const onHead = () => {
      seen();
      return true;
    };
    const nodes: FunctionNode[] = await startFunctionNodes(t, 2, { onHead });
    const { dispatcher, events } = open(
      t,
      nodes.map(({ port }) => port),
    );
    const abort = new AbortController();
    const asked = undiciFetch("http://functions.example/f", { dispatcher, signal: abort.signal });
    await arrived;
    abort.abort();
    await assert.rejects(asked, { name: "AbortError" });
    assert.deepEqual([nodes[0].headsSeen + nodes[1].headsSeen, events], [1, []]);
  });

  it("puts a path under a node's base path", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { dispatcher } = open(t, [node.port], { nodes: `http://127.0.0.1:${node.port}/base` });
    assert.equal((await ask(dispatcher, "/dir?x=1")).target, "/base/dir?x=1");
  });

  it("takes its key where it is told, and any policy", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const ports = nodes.map(({ port }) => port);
    const { dispatcher: pinned } = open(t, ports, { key: () => "always the same" });
    const { dispatcher: turns } = open(t, ports, { policy: weightedRoundRobin() });
    const askAll = async (dispatcher: FallbackRoundTripper) => {
      const answered = new Set<string>();
      for (let number = 0; number < 9; number++) answered.add((await ask(dispatcher, `/f${number % 2}`)).node);
      return answered.size;
    };
    assert.deepEqual([await askAll(pinned), await askAll(turns)], [1, 3]);
  });

  it("refuses a list that is none", () => {
    assert.throws(() => new FallbackRoundTripper({ nodes: "a,,b" }), { code: "ERR_OPTION" });
  });
});
