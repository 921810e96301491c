import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { request, fetch as undiciFetch } from "undici";
import { CircuitBreaker } from "../../src/core/breaker.js";
import { OutlierDetector } from "../../src/core/outlier.js";
import { addressOf, openDispatcher, pathTo, signalled, type Told } from "../support/dispatcher.js";
import { eventually } from "../support/fake-clock.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";

const ORIGIN = "http://functions.example";

describe("a silent node of a dispatcher", () => {
  it("loses what waits for it and may be repeated, and new paths, until it answers", async (t) => {
    const frozen = await startRawOrigin(t);
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [frozen, good];
    const path = pathTo(nodes, frozen);
    const opened = openDispatcher(t, nodes, { silenceMs: 50, pingTimeoutMs: 50, pingIntervalMs: 20 });
    const { dispatcher } = opened;
    const pay = request(`${ORIGIN}${path}`, { dispatcher, method: "POST", body: "pay 5" });
    const { statusCode, body } = await request(`${ORIGIN}${path}`, { dispatcher });
    assert.deepEqual([statusCode, ((await body.json()) as Told).node], [200, "good"]);
    assert.deepEqual(await opened.event("node_suspect"), {
      event: "node_suspect",
      node: addressOf(frozen),
      reason: "silent",
    });
    const { body: next } = await request(`${ORIGIN}${path}`, { dispatcher });
    assert.equal(((await next.json()) as Told).node, "good");

    // The POST is still there, and is answered when the node wakes up.
    const [paying] = frozen.connections.filter(({ text }) => text.includes("pay 5"));
    paying.send(ok("paid"));
    assert.equal(await (await pay).body.text(), "paid");
    await opened.event("node_trusted");
    assert.equal(frozen.connections.filter(({ text }) => text.includes("pay 5")).length, 1);
    assert.equal(good.calls.filter(({ method }) => method === "POST").length, 0);
  });

  it("is trusted again when it answers the question", async (t) => {
    let isFrozen = true;
    const asked = signalled();
    const node = await startRawOrigin(t, (peer) => {
      peer.socket.on("data", (chunk: Buffer) => {
        if (!isFrozen) peer.send(ok("{}"));
        else if (chunk.toString().startsWith("OPTIONS * ")) asked.happen();
      });
    });
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [node, good];
    const opened = openDispatcher(t, nodes, { silenceMs: 50, pingTimeoutMs: 50, pingIntervalMs: 20 });
    const { body } = await request(`${ORIGIN}${pathTo(nodes, node)}`, { dispatcher: opened.dispatcher });
    await body.dump();
    await asked.promise;
    isFrozen = false;
    await opened.event("node_trusted");
    assert.equal(opened.dispatcher.nodes[0].suspect, false);
  });

  it("is merely slow when it answers", async (t) => {
    let answer = () => {};
    const asked = signalled();
    const slow = await startFunctionNode(t, {
      name: "slow",
      onHead(head, response) {
        if (head.method !== "OPTIONS") {
          answer = () => response.end("at last");
          return true;
        }
        response.writeHead(405).end();
        asked.happen();
        return true;
      },
    });
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [slow, good];
    const opened = openDispatcher(t, nodes, { silenceMs: 50 });
    const waiting = request(`${ORIGIN}${pathTo(nodes, slow)}`, { dispatcher: opened.dispatcher });
    await asked.promise;
    answer();
    assert.equal(await (await waiting).body.text(), "at last");
    assert.deepEqual([opened.events, good.headsSeen], [[], 0]);
  });

  it("is dead when it cannot even be asked", async (t) => {
    const closing = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [closing, good];
    const opened = openDispatcher(t, nodes, { pingTimeoutMs: 500, pingIntervalMs: 20 });
    for (let number = 0; number < 3; number++) {
      const { body } = await request(`${ORIGIN}${pathTo(nodes, closing)}`, { dispatcher: opened.dispatcher });
      assert.equal(((await body.json()) as Told).node, "good");
    }
    await opened.event("node_suspect");
    await closing.stop();
    assert.equal((await opened.event("node_dead")).code, "ECONNREFUSED");
    const [{ alive, suspect }] = opened.dispatcher.nodes;
    assert.deepEqual([alive, suspect], [false, false]);
  });

  it("keeps what waits for it where that is wished", async (t) => {
    const frozen = await startRawOrigin(t);
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [frozen, good];
    const times = { silenceMs: 50, pingTimeoutMs: 50, pingIntervalMs: 20 };
    const opened = openDispatcher(t, nodes, { ...times, retryOn: { silent: false } });
    const waiting = request(`${ORIGIN}${pathTo(nodes, frozen)}`, { dispatcher: opened.dispatcher });
    await opened.event("node_suspect");
    frozen.connections[0].send(ok("kept"));
    assert.equal(await (await waiting).body.text(), "kept");
  });
});

describe("outlier detection and breakers of a dispatcher", () => {
  it("ejects a node that answers badly, and takes it back", async (t) => {
    const bad = await startFunctionNode(t, { name: "bad", answer: (_, response) => response.writeHead(500).end() });
    const good = await startFunctionNode(t, { name: "good" });
    const nodes = [bad, good];
    const path = pathTo(nodes, bad);
    const returned = signalled();
    let nowMs = 0;
    const outlier = new OutlierDetector(
      { clock: { now: () => nowMs }, onReturned: () => returned.happen() },
      { consecutiveFaults: 3, ejectionMs: 1000 },
    );
    const { dispatcher } = openDispatcher(t, nodes, { outlier });
    const statusOf = async () => {
      const { statusCode, body } = await request(`${ORIGIN}${path}`, { dispatcher });
      await body.dump();
      return statusCode;
    };
    assert.deepEqual([await statusOf(), await statusOf(), await statusOf(), await statusOf()], [500, 500, 500, 200]);
    assert.equal(dispatcher.nodes[0].ejected, true);
    nowMs = 1000;
    await returned.promise;
    assert.deepEqual([dispatcher.nodes[0].ejected, await statusOf()], [false, 500]);
  });

  it("opens the breaker of a node that breaks, and closes it by a probe", async (t) => {
    let isBroken = true;
    const node = await startRawOrigin(t, (peer) => {
      peer.socket.on("data", () => (isBroken ? peer.destroy() : peer.send(ok("well"))));
    });
    let nowMs = 0;
    const breaker = new CircuitBreaker(
      { clock: { now: () => nowMs }, random: () => 0.5 },
      { consecutiveFaults: 2, openMs: 100 },
    );
    const { dispatcher } = openDispatcher(t, [node], { breaker });
    const post = () => request(`${ORIGIN}/f`, { dispatcher, method: "POST", body: "x" });
    await assert.rejects(post(), { code: "UND_ERR_SOCKET" });
    await assert.rejects(post(), { code: "UND_ERR_SOCKET" });
    await assert.rejects(post(), { code: "ERR_NO_HEALTHY_NODE" });
    assert.equal(breaker.stateOf(dispatcher.nodes[0])?.kind, "open");
    isBroken = false;
    nowMs = 100;
    assert.equal(await (await post()).body.text(), "well");
    assert.equal(breaker.stateOf(dispatcher.nodes[0])?.kind, "closed");
  });

  it("opens the breaker of a node that cannot be dialled", async (t) => {
    const opened: string[] = [];
    const breaker = new CircuitBreaker(
      { clock: performance, random: () => 0.5, onOpened: ({ id }) => opened.push(id) },
      { consecutiveFaults: 1 },
    );
    const dead = { port: 1 };
    const { dispatcher } = openDispatcher(t, [dead], { breaker });
    await assert.rejects(request(`${ORIGIN}/f`, { dispatcher }), { code: "ERR_NO_FALLBACK_NODE_FOUND" });
    assert.deepEqual(opened, [addressOf(dead)]);
  });
});

describe("a hundred requests at once while a node is killed", () => {
  it("loses none that may be repeated, and none that did not reach it; no POST runs twice", async (t) => {
    const seen = new Map<string, number>();
    const nodes = await startFunctionNodes(t, 3, {
      answer(asked, response) {
        if (asked.method === "POST") seen.set(asked.url ?? "", (seen.get(asked.url ?? "") ?? 0) + 1);
        setImmediate(() => response.end("done"));
      },
    });
    // Enough for all that may be under way at the node: how many are repeated at most is another test.
    const { dispatcher } = openDispatcher(t, nodes, { retryReserve: 1000 });
    const first = await undiciFetch(`${ORIGIN}/warm`, { dispatcher });
    await first.text();
    const gets = Array.from({ length: 100 }, (_, number) => undiciFetch(`${ORIGIN}/get${number}`, { dispatcher }));
    const posts = Array.from({ length: 100 }, async (_, number) => {
      const response = await undiciFetch(`${ORIGIN}/post${number}`, { dispatcher, method: "POST", body: "pay 5" });
      return response.text();
    });
    const outcomes = Promise.allSettled(posts);
    await eventually(() => nodes[1].headsSeen > 10);
    await nodes[1].stop();
    for (const response of await Promise.all(gets)) assert.equal(await response.text(), "done");
    let lost = 0;
    for (const outcome of await outcomes) {
      if (outcome.status === "fulfilled") assert.equal(outcome.value, "done");
      else {
        lost++;
        const { code } = (outcome.reason as Error).cause as { readonly code?: string };
        assert.ok(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"].includes(code ?? ""), `${code}`);
      }
    }
    assert.ok(lost < 100);
    assert.deepEqual(
      [...seen.values()].filter((times) => times > 1),
      [],
    );
    for (let number = 0; number < 100; number++) {
      const response = await undiciFetch(`${ORIGIN}/again${number}`, { dispatcher });
      assert.equal(await response.text(), "done");
    }
    await dispatcher.close();
  });
});
