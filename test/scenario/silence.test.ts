import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { startNodeProcess } from "../support/node-process.js";
import { keyOf, pathsOf } from "../support/paths.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** A balancer on a clock of its own: whatever the machine does meanwhile, only a node that is frozen is silent. */
async function startOnClock(t: TestContext, config: TestConfig) {
  const clock = new FakeClock();
  const started = await startBalancer(t, config, { clock });
  const { event, until } = started;
  return {
    ...started,
    clock,
    untilSuspect: () => clock.advanceUntil(event("node_suspect")),
    /** Resolves when so many attempts were made, those before included. */
    untilAttempts: (count: number) => until(`attempt ${count}`, ({ counters }) => counters.attempts === count),
  };
}

describe("a node frozen by SIGSTOP", () => {
  it("loses its keys at the defaults, its waiting GETs are answered elsewhere, and it gets its keys back when it wakes", async (t) => {
    const frozen = await startNodeProcess(t, { name: "frozen" });
    const other = await startFunctionNode(t, { name: "other" });
    const id = `127.0.0.1:${frozen.port}`;
    const started = await startOnClock(t, { nodes: [frozen.port, other.port] });
    const { port, config, clock, event, balancer, until } = started;
    const paths = pathsOf(config.nodes, id, 6);
    const clients = await Promise.all(paths.map(() => connectClient(t, port)));
    for (const [index, client] of clients.entries())
      assert.equal((await client.ask(get(paths[index]))).json().node, "frozen");

    frozen.freeze();
    for (const [index, client] of clients.entries()) client.send(get(paths[index]));
    await started.untilAttempts(12);
    const frozenMs = clock.now();
    const suspect = await started.untilSuspect();
    assert.deepEqual([suspect.node, suspect.reason], [id, "silent"]);
    const tookMs = clock.now() - frozenMs;
    assert.ok(tookMs >= 2000 && tookMs <= 2500, `a second of silence and one for its answer, got ${tookMs} ms`);
    for (const client of clients) assert.equal((await client.response()).json().node, "other");
    assert.equal(balancer.snapshot().counters.exchangesMovedOffSuspects, 6);
    assert.equal(balancer.snapshot().nodes[0].alive, true, "it still accepts: it is suspect and not dead");

    const late = await connectClient(t, port);
    const { attempts } = balancer.snapshot().counters;
    assert.equal((await late.ask(get(paths[0]))).json().node, "other");
    assert.equal(balancer.snapshot().counters.attempts, attempts + 1, "no new key goes there");

    const { probes } = balancer.snapshot().counters;
    await clock.advanceUntil(until("the next question", ({ counters }) => counters.probes > probes));
    // It is open, and time stands still until it has been answered.
    frozen.thaw();
    assert.equal((await event("node_trusted")).node, id);
    assert.equal((await late.ask(get(paths[0]))).json().node, "frozen");
  });

  it("keeps a POST that it may have read, and answers it when it wakes", async (t) => {
    const frozen = await startNodeProcess(t, { name: "frozen" });
    const other = await startFunctionNode(t, { name: "other" });
    const { port, config, untilAttempts, untilSuspect } = await startOnClock(t, { nodes: [frozen.port, other.port] });
    const [path] = pathsOf(config.nodes, `127.0.0.1:${frozen.port}`, 1);
    const client = await connectClient(t, port);
    await client.ask(get(path));
    frozen.freeze();
    client.send(post(path, "pay 5"));
    await untilAttempts(2);
    await untilSuspect();
    frozen.thaw();
    assert.equal((await client.response("POST")).json().node, "frozen");
    assert.equal(other.headsSeen, 0);
  });

  it("is chosen again when every other node is suspect too", async (t) => {
    const [a, b] = await Promise.all([startNodeProcess(t, { name: "a" }), startNodeProcess(t, { name: "b" })]);
    const { port, config, untilAttempts, untilSuspect } = await startOnClock(t, {
      nodes: [a.port, b.port],
      pingIntervalMs: 60_000,
    });
    const paths = [a, b].map((node) => pathsOf(config.nodes, `127.0.0.1:${node.port}`, 1)[0]);
    const clients = await Promise.all(paths.map(() => connectClient(t, port)));
    for (const [index, client] of clients.entries()) await client.ask(get(paths[index]));
    a.freeze();
    b.freeze();
    for (const [index, client] of clients.entries()) client.send(post(paths[index], "x"));
    await untilAttempts(4);
    await untilSuspect();
    await untilSuspect();
    const late = await connectClient(t, port);
    late.send(get(paths[0]));
    // Before either answers, and is trusted again.
    await untilAttempts(5);
    a.thaw();
    b.thaw();
    assert.equal((await late.response()).json().node, "a", "with nobody to trust, a key stays at home");
    for (const client of clients) assert.equal((await client.response("POST")).status, 200);
  });
});

describe("a slow node", () => {
  it("keeps its keys through a function of 30 seconds, because it still answers when asked", async (t) => {
    const clock = new FakeClock();
    let finish = () => {};
    const slow = await startFunctionNode(t, {
      name: "slow",
      answer(_request, response, call) {
        if (call.target === "*") response.end();
        else finish = () => response.end("at last");
      },
    });
    const other = await startFunctionNode(t, { name: "other" });
    const { port, config, balancer, until } = await startBalancer(t, { nodes: [slow.port, other.port] }, { clock });
    const client = await connectClient(t, port);
    client.send(get(pathsOf(config.nodes, slow.address, 1)[0]));
    await until("the call", () => slow.calls.length === 1);
    for (let second = 0; second < 30; second++) {
      const { probes } = balancer.snapshot().counters;
      await clock.advance(500);
      // Each question is a real exchange on a real socket: time stands still until it has been answered.
      await until(
        "the answer",
        ({ counters }) => counters.probes === probes || slow.calls.length === 1 + counters.probes,
      );
      await clock.advance(500);
    }
    assert.ok(balancer.snapshot().counters.probes >= 5, "it was asked again and again");
    assert.deepEqual([balancer.snapshot().nodes[0].suspect, balancer.snapshot().counters.nodeSuspicions], [false, 0]);
    finish();
    assert.equal((await client.response()).body.toString(), "at last");
    assert.equal(other.headsSeen, 0);
  });

  it("is not even asked while other exchanges hear from it", async (t) => {
    const clock = new FakeClock();
    const waiting: (() => void)[] = [];
    const node = await startFunctionNode(t, {
      name: "node",
      answer(_request, response, call) {
        if (call.target === "/slow") waiting.push(() => response.end("slow"));
        else response.end("quick");
      },
    });
    const { port, balancer, until } = await startBalancer(t, { nodes: [node.port] }, { clock });
    const slow = await connectClient(t, port);
    slow.send(get("/slow"));
    await until("the slow call", () => waiting.length === 1);
    const quick = await connectClient(t, port);
    for (let step = 0; step < 20; step++) {
      await clock.advance(500);
      assert.equal((await quick.ask(get("/quick"))).body.toString(), "quick");
    }
    assert.equal(balancer.snapshot().counters.probes, 0);
    waiting[0]();
    assert.equal((await slow.response()).body.toString(), "slow");
  });

  for (const [title, isHeard, suspicions] of [
    ["is suspect after a response timeout in which nobody heard from it", false, 1],
    ["keeps its keys after a response timeout in which others heard from it", true, 0],
  ] as const) {
    it(`${title}; the request gets 504 and is not repeated`, async (t) => {
      const clock = new FakeClock();
      const node = await startFunctionNode(t, {
        name: "node",
        answer: (_request, response, call) => void (call.target === "/quick" && response.end("quick")),
      });
      const other = await startFunctionNode(t, { name: "other" });
      const config = {
        nodes: [node.port, other.port],
        silenceMs: 0,
        responseTimeoutMs: 2000,
        key: [{ kind: "host" as const }],
      };
      const { port, balancer, until, config: complete } = await startBalancer(t, config, { clock });
      const host = keyOf(complete.nodes, node.address, "fn");
      const client = await connectClient(t, port);
      client.send(`GET /never HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await until("the call", () => node.calls.length === 1);
      await clock.advance(1000);
      if (isHeard) await (await connectClient(t, port)).ask(`GET /quick HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await clock.advance(1100);
      const response = await client.response();
      assert.deepEqual([response.status, response.json().code], [504, "ERR_NODE_TIMEOUT"]);
      const { counters } = balancer.snapshot();
      assert.deepEqual([counters.responseTimeouts, counters.retries, counters.nodeSuspicions], [1, 0, suspicions]);
    });
  }

  it("makes a node suspect when it accepts and never speaks", async (t) => {
    const silent = await startRawOrigin(t);
    const other = await startFunctionNode(t, { name: "other" });
    const clock = new FakeClock();
    const { port, config, event, until } = await startBalancer(t, { nodes: [silent.port, other.port] }, { clock });
    const client = await connectClient(t, port);
    client.send(get(pathsOf(config.nodes, `127.0.0.1:${silent.port}`, 1)[0]));
    await until("the call", ({ counters }) => counters.attempts === 1);
    await clock.advance(1300);
    await until("the question", ({ counters }) => counters.probes === 1);
    await silent.accept();
    await silent.accept();
    await clock.advance(1100);
    assert.equal((await event("node_suspect")).node, `127.0.0.1:${silent.port}`);
    assert.equal((await client.response()).json().node, "other");
    assert.ok(silent.connections[1].text.startsWith("OPTIONS * HTTP/1.1\r\n"));
  });
});
