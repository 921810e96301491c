import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { request, fetch as undiciFetch } from "undici";
import { Outcome, type Policy } from "../../src/core/policies/policy.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";
import { localNode } from "../support/balancer.js";
import { addressOf, openDispatcher, pathTo, type Told } from "../support/dispatcher.js";
import { eventually, FakeClock, turns } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { orderOf } from "../support/paths.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";

const ORIGIN = "http://functions.example";

/** Reads one request a connection, and closes it without a word. */
const startCloser = (t: TestContext) =>
  startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));

/** A ring that notes what it is told of its nodes. */
function telling() {
  const loads: number[] = [];
  const outcomes: {
    readonly node: string;
    readonly outcome: number;
    readonly waitedMs: number;
    readonly status: number;
  }[] = [];
  const ring = ringHash();
  const policy: Policy = {
    isKeyed: true,
    update: (nodes) => ring.update(nodes),
    pick: (exchange, eligible) => ring.pick(exchange, eligible),
    noteLoad: ({ inFlight }) => void loads.push(inFlight),
    observe: ({ id }, outcome, waitedMs, status = 0) => void outcomes.push({ node: id, outcome, waitedMs, status }),
  };
  return { policy, loads, outcomes };
}

describe("the books of a dispatcher", () => {
  it("count a dead node that is dialled as a last resort like any other", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { policy, loads } = telling();
    const { dispatcher } = openDispatcher(t, [node], { policy, pingIntervalMs: 60_000 });
    await node.stop();
    await assert.rejects(request(`${ORIGIN}/f`, { dispatcher }), { code: "ERR_NO_FALLBACK_NODE_FOUND" });
    assert.deepEqual(loads.splice(0), [1, 0]);
    await node.start();
    const { body } = await request(`${ORIGIN}/f`, { dispatcher });
    await body.dump();
    assert.deepEqual(loads, [1, 0]);
  });

  it("tell the policy how attempts end", async (t) => {
    const closer = await startCloser(t);
    const good = await startFunctionNode(t, {
      name: "good",
      answer: (asked, response) => response.writeHead(asked.url === "/500" ? 500 : 200).end("good"),
    });
    const half = await startRawOrigin(t, (peer) => {
      peer.socket.once("data", () => {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        peer.end();
      });
    });
    const silent = await startRawOrigin(t);
    const outcomesOf = async (nodes: readonly { readonly port: number }[], ask: Parameters<typeof outcomes>[1]) =>
      (await outcomes(nodes, ask)).map(({ node, outcome, status }) => [
        nodes.findIndex((one) => addressOf(one) === node),
        outcome,
        status,
      ]);
    async function outcomes(
      nodes: readonly { readonly port: number }[],
      ask: (dispatcher: ReturnType<typeof openDispatcher>["dispatcher"]) => Promise<unknown>,
    ) {
      const told = telling();
      const { dispatcher } = openDispatcher(t, nodes, { policy: told.policy });
      await ask(dispatcher);
      await dispatcher.close();
      return told.outcomes;
    }
    const get = (path: string) => async (dispatcher: Parameters<Parameters<typeof outcomes>[1]>[0]) => {
      const { body } = await request(`${ORIGIN}${path}`, { dispatcher });
      await body.dump();
    };
    assert.deepEqual(await outcomesOf([good], get("/")), [[0, Outcome.ANSWERED, 200]]);
    assert.deepEqual(await outcomesOf([good], get("/500")), [[0, Outcome.ANSWERED, 500]]);
    const two = [closer, good];
    assert.deepEqual(await outcomesOf(two, get(pathTo(two, closer))), [
      [0, Outcome.FAILED, 0],
      [1, Outcome.ANSWERED, 200],
    ]);
    const broken = (dispatcher: Parameters<Parameters<typeof outcomes>[1]>[0]) =>
      assert.rejects(request(`${ORIGIN}/f`, { dispatcher }).then(({ body }) => body.text()));
    assert.deepEqual(await outcomesOf([half], broken), [[0, Outcome.FAILED, 200]]);
    assert.deepEqual(
      await outcomesOf([silent], async (dispatcher) => {
        const abort = new AbortController();
        const asked = request(`${ORIGIN}/f`, { dispatcher, signal: abort.signal });
        await (await silent.accept()).log.untilText("\r\n\r\n");
        abort.abort();
        await assert.rejects(asked);
      }),
      [[0, Outcome.LEFT, 0]],
    );
    assert.deepEqual(
      await outcomesOf([good], async (dispatcher) => {
        const body = new PassThrough();
        body.write("part");
        const asked = request(`${ORIGIN}/f`, { dispatcher, method: "POST", body });
        await eventually(() => good.connections > 0);
        body.destroy(Object.assign(new Error("no such file"), { code: "ENOENT", syscall: "open" }));
        await assert.rejects(asked, { code: "ENOENT" });
      }),
      [[0, Outcome.NONE, 0]],
      "a body that breaks says nothing of the node",
    );
    const early = telling();
    const { dispatcher: impatient } = openDispatcher(t, [good], { policy: early.policy });
    const leaving = new AbortController();
    const left = request(`${ORIGIN}/f`, { dispatcher: impatient, signal: leaving.signal });
    leaving.abort();
    await assert.rejects(left);
    await impatient.close();
    assert.deepEqual(
      early.outcomes.map(({ outcome, waitedMs }) => [outcome, waitedMs]),
      [[Outcome.NONE, 0]],
      "nobody has waited for a node that was not asked",
    );
    // A failed dial is no outcome: the dead-host set says it.
    const dead = { port: 1 };
    assert.deepEqual(await outcomesOf([dead, good], get(pathTo([dead, good], dead))), [[1, Outcome.ANSWERED, 200]]);
  });

  it("keep a body's own failure from the nodes, before a connection too", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const opened = openDispatcher(t, nodes);
    for (const error of [new Error("no code"), Object.assign(new Error("gone"), { code: "ENOENT", syscall: "open" })]) {
      const body = new Readable({ read() {} });
      const asked = request(`${ORIGIN}/f`, { dispatcher: opened.dispatcher, method: "POST", body });
      body.destroy(error);
      await assert.rejects(asked, error);
    }
    assert.deepEqual([opened.events, nodes[0].headsSeen + nodes[1].headsSeen], [[], 0]);
  });
});

describe("repeating through a dispatcher", () => {
  const ask = async (dispatcher: Parameters<typeof request>[1] & object, path: string) => {
    const { statusCode, body } = await request(`${ORIGIN}${path}`, dispatcher);
    return [statusCode, ((await body.json()) as Told).node];
  };

  it("pays for a repetition when the next node has been reached, and not for a search in vain", async (t) => {
    const closer = await startCloser(t);
    const second = await startFunctionNode(t, { name: "second" });
    const nodes = [closer, second];
    const path = pathTo(nodes, closer);
    // One token, and none is earned.
    const { dispatcher } = openDispatcher(t, nodes, { retryBudget: 0, retryReserve: 10, pingIntervalMs: 60_000 });
    await second.stop();
    await assert.rejects(request(`${ORIGIN}${path}`, { dispatcher }), { code: "UND_ERR_SOCKET" });
    await second.start();
    assert.deepEqual(await ask({ dispatcher }, path), [200, "second"]);
    await assert.rejects(request(`${ORIGIN}${path}`, { dispatcher }), { code: "UND_ERR_SOCKET" }, "the token is spent");
  });

  it("tells of the node that was reached when nobody else can be, not of a cluster that is gone", async (t) => {
    const closer = await startCloser(t);
    const nodes = [closer, { port: 1 }];
    const { dispatcher } = openDispatcher(t, nodes);
    await assert.rejects(request(`${ORIGIN}${pathTo(nodes, closer)}`, { dispatcher }), { code: "UND_ERR_SOCKET" });
  });

  it("repeats for nothing but what it is told to", async (t) => {
    const closer = await startCloser(t);
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [closer, good];
    const { dispatcher } = openDispatcher(t, nodes, { retryOn: { closed: false } });
    await assert.rejects(request(`${ORIGIN}${pathTo(nodes, closer)}`, { dispatcher }), { code: "UND_ERR_SOCKET" });
    assert.equal(good.headsSeen, 0);
  });

  it("repeats for statuses on another node, and gives the answer when there is no other", async (t) => {
    const busy: FunctionNode[] = await startFunctionNodes(t, 2, {
      answer: (_, response) => response.writeHead(503).end('{"node":"busy"}'),
    });
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [...busy, good];
    const { policy, outcomes } = telling();
    const { dispatcher } = openDispatcher(t, nodes, { policy, retryOn: { statuses: [503] }, pingIntervalMs: 60_000 });
    assert.deepEqual(await ask({ dispatcher }, pathTo(nodes, busy[0])), [200, "good"]);
    assert.ok(outcomes.some(({ status }) => status === 503));
    const post = { dispatcher, method: "POST", body: "pay 5" } as const;
    assert.deepEqual(await ask(post, pathTo(nodes, busy[1])), [503, "busy"]);
    await good.stop();
    // By the way all know that it is dead.
    assert.deepEqual(await ask({ dispatcher }, pathTo(nodes, good)), [503, "busy"]);
    assert.deepEqual(await ask({ dispatcher }, pathTo(nodes, busy[0])), [503, "busy"]);
    const response = await undiciFetch(`${ORIGIN}${pathTo(nodes, busy[0])}`, { dispatcher });
    assert.deepEqual([response.status, await response.text()], [503, '{"node":"busy"}']);
  });

  it("says what the node has answered that was left for one that cannot be reached, and pays nothing", async (t) => {
    const busy = await startFunctionNode(t, { name: "busy", answer: (_, response) => response.writeHead(503).end() });
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [busy, good];
    const path = pathTo(nodes, busy);
    const { dispatcher } = openDispatcher(t, nodes, {
      retryOn: { statuses: [503] },
      retryBudget: 0,
      retryReserve: 10,
      pingIntervalMs: 20,
    });
    await good.stop();
    await assert.rejects(request(`${ORIGIN}${path}`, { dispatcher }), { code: "ERR_NO_HEALTHY_NODE", message: /503/ });
    await good.start();
    await eventually(() => dispatcher.nodes[1].alive);
    assert.deepEqual(await ask({ dispatcher }, path), [200, "good"], "the one token was left");
  });

  it("takes the caller's word on what may be sent twice", async (t) => {
    const closer = await startCloser(t);
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [closer, good];
    const path = pathTo(nodes, closer);
    const { dispatcher } = openDispatcher(t, nodes);
    const twice = { dispatcher, method: "POST", body: "order 5", idempotent: true } as const;
    assert.deepEqual(await ask(twice, path), [200, "good"]);
    const once = request(`${ORIGIN}${path}`, { dispatcher, idempotent: false });
    await assert.rejects(once, { code: "UND_ERR_SOCKET" });
    assert.equal(good.headsSeen, 1);
  });

  it("never repeats what a node took too long for, and takes new paths elsewhere until it answers", async (t) => {
    const slow = await startRawOrigin(t);
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [slow, good];
    const path = pathTo(nodes, slow);
    const opened = openDispatcher(t, nodes, { responseTimeoutMs: 30, silenceMs: 0, pingIntervalMs: 60_000 });
    const { dispatcher } = opened;
    await assert.rejects(request(`${ORIGIN}${path}`, { dispatcher }), { code: "UND_ERR_HEADERS_TIMEOUT" });
    assert.deepEqual(
      [good.headsSeen, await opened.event("node_suspect")],
      [0, { event: "node_suspect", node: addressOf(slow), reason: "response timeout" }],
    );
    assert.deepEqual(await ask({ dispatcher }, path), [200, "good"]);
  });

  it("never repeats what a node has garbled, or broken off behind an interim response", async (t) => {
    const good = await startFunctionNode(t, { name: "good" });
    for (const [said, name] of [
      ["SSH-2.0-x\r\n\r\n", "HTTPParserError"],
      ["HTTP/1.1 103 Early Hints\r\n\r\n", "SocketError"],
    ]) {
      const bad = await startRawOrigin(t, (peer) => {
        peer.socket.once("data", () => {
          peer.send(said);
          peer.end();
        });
      });
      const nodes = [bad, good];
      const { dispatcher } = openDispatcher(t, nodes);
      await assert.rejects(request(`${ORIGIN}${pathTo(nodes, bad)}`, { dispatcher }), { name });
    }
    assert.equal(good.headsSeen, 0);
  });

  it("gives a node whose idle connection was stale one fresh chance", async (t) => {
    const closer = await startRawOrigin(t, (peer) => {
      let heads = 0;
      peer.socket.on("data", () => {
        if (heads++ === 0) peer.send(ok('{"node":"home"}'));
        else peer.destroy();
      });
    });
    const other = await startFunctionNode(t, { name: "other" });
    const nodes = [closer, other];
    const path = pathTo(nodes, closer);
    const { policy, outcomes } = telling();
    const { dispatcher } = openDispatcher(t, nodes, { policy });
    assert.deepEqual(await ask({ dispatcher }, path), [200, "home"]);
    // Until undici has put the connection back.
    await turns(5);
    assert.deepEqual(await ask({ dispatcher }, path), [200, "home"]);
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      [Outcome.ANSWERED, Outcome.NONE, Outcome.ANSWERED],
    );
    assert.equal(other.headsSeen, 0);
  });

  it("suspects a node that closes three fresh connections in a row before it answers", async (t) => {
    const closer = await startCloser(t);
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [closer, good];
    const path = pathTo(nodes, closer);
    const opened = openDispatcher(t, nodes, { pingIntervalMs: 60_000 });
    const { dispatcher } = opened;
    for (let count = 0; count < 4; count++) assert.deepEqual(await ask({ dispatcher }, path), [200, "good"]);
    const asked = closer.connections.filter(({ text }) => text.startsWith("GET "));
    assert.deepEqual([asked.length, opened.eventNames], [3, ["node_suspect"]]);
  });

  it("ends a repetition whose dials have taken too long together", async (t) => {
    const closer = await startCloser(t);
    const others = await startFunctionNodes(t, 2);
    const nodes = [closer, ...others];
    const clock = new FakeClock();
    const order = orderOf(
      nodes.map(({ port }) => localNode(port)),
      pathTo(nodes, closer),
    );
    const [next, last] = order.slice(1).map((id) => others.find((node) => node.address === id)!);
    await next.stop();
    const warn = ({ event }: { readonly event: string }) => {
      if (event === "node_dead") clock.pass(5000);
    };
    const { dispatcher } = openDispatcher(t, nodes, { clock, log: { debug() {}, info() {}, error() {}, warn } });
    await assert.rejects(request(`${ORIGIN}${pathTo(nodes, closer)}`, { dispatcher }), { code: "UND_ERR_SOCKET" });
    assert.equal(last.headsSeen, 0);
  });

  it("ends a search whose dials have taken too long together", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const clock = new FakeClock();
    await nodes[0].stop();
    const warn = ({ event }: { readonly event: string }) => {
      if (event === "node_dead") clock.pass(5000);
    };
    const { dispatcher } = openDispatcher(t, nodes, { clock, log: { debug() {}, info() {}, error() {}, warn } });
    const asked = request(`${ORIGIN}${pathTo(nodes, nodes[0])}`, { dispatcher });
    await assert.rejects(asked, { code: "ERR_NO_FALLBACK_NODE_FOUND" });
    assert.equal(nodes[1].headsSeen, 0);
  });

  it("says once that the whole cluster is gone, and again when it was back between", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const opened = openDispatcher(t, [node], { pingIntervalMs: 60_000 });
    const { dispatcher } = opened;
    const isOffline = () => assert.rejects(request(`${ORIGIN}/f`, { dispatcher }), { name: "ErrNoFallbackNodeFound" });
    await node.stop();
    await isOffline();
    await isOffline();
    await node.start();
    await ask({ dispatcher }, "/f");
    await node.stop();
    // What was idle may still be tried; then the node is dialled.
    await eventually(() => node.connections === 0);
    await isOffline();
    const round = ["node_dead", "no_fallback_node_found"];
    assert.deepEqual(opened.eventNames, [...round, "node_alive", ...round]);
  });

  it("says why when nodes are there and none may be used", async (t) => {
    const silent = await startRawOrigin(t);
    const { dispatcher } = openDispatcher(t, [silent], { nodeConnectionsMax: 1 });
    const abort = new AbortController();
    const first = request(`${ORIGIN}/f`, { dispatcher, signal: abort.signal });
    await assert.rejects(request(`${ORIGIN}/f`, { dispatcher }), { code: "ERR_AT_CAPACITY" });
    abort.abort();
    await assert.rejects(first);
    const { dispatcher: drained } = openDispatcher(t, [silent], { nodes: `${addressOf(silent)}=0` });
    await assert.rejects(request(`${ORIGIN}/f`, { dispatcher: drained }), { code: "ERR_NO_ACTIVE_NODE" });
  });
});

describe("options of a dispatcher", () => {
  it("are refused out of their range", async () => {
    const { FallbackRoundTripper } = await import("../../src/client/fallback-round-tripper.js");
    const nodes = "a";
    for (const bad of [
      { connectTimeoutMs: 0 },
      { attemptsMax: 0 },
      { silenceMs: -1 },
      { retryBudget: Number.NaN },
      { nodeConnectionsMax: 0 },
    ]) {
      assert.throws(() => new FallbackRoundTripper({ nodes, ...bad }), { code: "ERR_OPTION" }, JSON.stringify(bad));
    }
  });
});
