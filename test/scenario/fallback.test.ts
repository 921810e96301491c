import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { FakeClock, turns } from "../support/fake-clock.js";
import { startFunctionNodes } from "../support/function-node.js";
import { startBlackHole } from "../support/node-process.js";
import { orderOf, pathsOf, pathThrough } from "../support/paths.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;

/** A balancer on a fake clock before a black hole and a node, and a path whose home is the hole. */
async function startBesideHole(t: TestContext) {
  const clock = new FakeClock();
  const hole = await startBlackHole(t);
  const [other] = await startFunctionNodes(t, 1);
  const balancer = await startBalancer(t, { nodes: [hole.port, other.port] }, { clock });
  const [path] = pathsOf(balancer.config.nodes, `127.0.0.1:${hole.port}`, 1);
  return { ...balancer, clock, other, path };
}

describe("fallback", () => {
  it("FA6: serves a request whose node refuses at the next node on the ring, in the same request", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, config, balancer, event } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, nodes[0].address, 1);
    await nodes[0].stop();
    const response = await client.ask(get(path));
    assert.equal(response.status, 200);
    const [, substitute] = orderOf(config.nodes, path);
    assert.equal(nodes.find(({ name }) => name === response.json().node)?.address, substitute);
    const dead = await event("node_dead");
    assert.equal(dead.node, nodes[0].address);
    assert.equal(dead.code, "ECONNREFUSED");
    assert.deepEqual(
      balancer.snapshot().nodes.map(({ alive }) => alive),
      [false, true, true],
    );
  });

  it("FA7, FA21: keeps one substitute for each key of a dead node without dialling it again, and spreads its keys over the others", async (t) => {
    const nodes = await startFunctionNodes(t, 4);
    const clock = new FakeClock();
    const { port, config, balancer, event } = await startBalancer(
      t,
      { nodes: nodes.map((node) => node.port) },
      { clock },
    );
    const client = await connectClient(t, port);
    const paths = pathsOf(config.nodes, nodes[0].address, 30);
    await nodes[0].stop();
    const substitutes = new Map<string, unknown>();
    for (const path of paths) substitutes.set(path, (await client.ask(get(path))).json().node);
    await event("node_dead");
    for (const path of paths) {
      assert.equal((await client.ask(get(path))).json().node, substitutes.get(path));
      assert.equal(nodes.find(({ name }) => name === substitutes.get(path))?.address, orderOf(config.nodes, path)[1]);
    }
    assert.equal(new Set(substitutes.values()).size, 3, "every survivor takes a part");
    const { counters } = balancer.snapshot();
    assert.equal(counters.dialsFailed, 1);
    assert.equal(counters.fallbacks, 1);
  });

  it("FA8: cascades to the next node when the substitute dies too", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, config } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    const path = "/cascade";
    const order = orderOf(config.nodes, path).map(
      (address) => nodes.find((node) => node.address === address) ?? nodes[0],
    );
    for (let dead = 0; dead < 3; dead++) {
      assert.equal((await client.ask(get(path))).json().node, order[dead].name);
      await order[dead].stop();
    }
    const refused = await client.ask(get(path));
    assert.equal(refused.status, 502);
  });

  it("finds the one node that is left within a single request", async (t) => {
    const nodes = await startFunctionNodes(t, 5);
    const { port, balancer } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    for (const node of nodes.slice(1)) await node.stop();
    for (let number = 0; number < 10; number++) assert.equal((await client.ask(get(`/f${number}`))).json().node, "a");
    assert.equal(balancer.snapshot().counters.retries, 0, "a failed dial is no attempt");
  });

  it("FA9: gives a node its keys back at the first ping that succeeds", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const clock = new FakeClock();
    const { port, config, balancer, event, events } = await startBalancer(
      t,
      { nodes: nodes.map((node) => node.port) },
      { clock },
    );
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, nodes[0].address, 1);
    await nodes[0].stop();
    await client.ask(get(path));
    await event("node_dead");
    await clock.advance(5000);
    assert.ok(balancer.snapshot().counters.pings >= 4);
    assert.notEqual((await client.ask(get(path))).json().node, "a");
    await nodes[0].start();
    await clock.advance(1200);
    assert.equal((await event("node_alive")).node, nodes[0].address);
    assert.equal((await client.ask(get(path))).json().node, "a");
    const pings = balancer.snapshot().counters.pings;
    await clock.advance(5000);
    assert.equal(balancer.snapshot().counters.pings, pings, "a live node is not pinged");
    const flips = events.filter(({ event: name }) => name.startsWith("node_")).map(({ event: name }) => name);
    assert.deepEqual(flips, ["node_dead", "node_alive"], "only flips are logged");
  });

  it("FA10: answers 502 with a problem when every node is dead, and logs it once", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, balancer, events } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    for (const node of nodes) await node.stop();
    for (let number = 0; number < 5; number++) {
      const response = await client.ask(get(`/f${number}`));
      assert.equal(response.status, 502);
      assert.equal(response.header("content-type"), "application/problem+json");
      assert.deepEqual(response.json(), {
        type: "about:blank",
        title: "Bad Gateway",
        status: 502,
        code: "ERR_NO_FALLBACK_NODE_FOUND",
        detail: "no fallback node found - whole cluster seems offline",
      });
    }
    const told = events.filter(({ event }) => event === "no_fallback_node_found");
    assert.equal(told.length, 1);
    assert.equal(told[0].message, "no fallback node found - whole cluster seems offline");
    assert.equal(balancer.snapshot().counters.problems, 5);
  });

  it("FA11: serves the very next request when one of the dead nodes is back, without waiting for a ping", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const clock = new FakeClock();
    const { port, event } = await startBalancer(t, { nodes: nodes.map((node) => node.port) }, { clock });
    const client = await connectClient(t, port);
    for (const node of nodes) await node.stop();
    assert.equal((await client.ask(get("/f"))).status, 502);
    await nodes[1].start();
    const response = await client.ask(get("/f"));
    assert.equal(response.status, 200);
    assert.equal(response.json().node, "b");
    assert.equal((await event("node_alive")).node, nodes[1].address);
    for (const node of nodes) await node.stop();
    assert.equal((await client.ask(get("/f"))).status, 502);
    assert.ok(await event("no_fallback_node_found"));
    assert.ok(await event("no_fallback_node_found"), "a second transition is told again");
  });

  it("FA15: brings the first POST to a node that has just died whole to another node", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, config } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const body = randomBytes(1024 * 1024);
    const bodyHash = createHash("sha256").update(body).digest("hex");
    for (const node of nodes.slice(0, 2)) {
      const [path] = pathsOf(config.nodes, node.address, 1);
      await node.stop();
      const client = await connectClient(t, port);
      client.send(`POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n`);
      client.send(body);
      const response = await client.response("POST");
      assert.equal(response.status, 200);
      assert.deepEqual([response.json().bodyBytes, response.json().bodyHash], [body.length, bodyHash]);
    }
  });

  it("FA15: brings a chunked POST whole to another node as well", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const { port, config } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const [path] = pathsOf(config.nodes, nodes[0].address, 1);
    await nodes[0].stop();
    const client = await connectClient(t, port);
    client.send(`POST ${path} HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
    client.send("6\r\n world\r\n0\r\n\r\n");
    const response = await client.response("POST");
    assert.equal(response.json().bodyHash, createHash("sha256").update("hello world").digest("hex"));
  });

  it("FA17: does not call a node dead when a client goes away", async (t) => {
    const nodes = await startFunctionNodes(t, 3, { onHead: () => true });
    const { port, config, balancer, until } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const [path] = pathsOf(config.nodes, nodes[0].address, 1);
    for (let abort = 1; abort <= 5; abort++) {
      const client = await connectClient(t, port);
      client.send(get(path));
      await until("the call to arrive", () => nodes[0].headsSeen === abort);
      client.reset();
      await until("the abort to be noticed", ({ counters }) => counters.clientAborts === abort);
    }
    await until("the node to be left alone", ({ nodes: [node] }) => node.inFlight === 0 && node.connections === 0);
    const { nodes: seen, counters } = balancer.snapshot();
    assert.deepEqual([seen[0].alive, seen[0].suspect, counters.nodeDeaths, counters.retries], [true, false, 0, 0]);
  });

  it("FA5, FA18: passes on whatever status a node answers, and marks nothing", async (t) => {
    const nodes = await startFunctionNodes(t, 2, {
      answer: (_request, response, call) => {
        response.writeHead(Number(call.target.slice(1)), { location: "http://elsewhere.example/" });
        response.end("as it came");
      },
    });
    const { port, balancer } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    for (const status of [200, 301, 302, 307, 404, 500, 502, 503, 504]) {
      const response = await client.ask(get(`/${status}`));
      assert.equal(response.status, status);
      assert.equal(response.header("location"), "http://elsewhere.example/");
      assert.equal(response.body.toString(), "as it came");
    }
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.nodeDeaths, counters.retries, counters.nodeSuspicions], [0, 0, 0]);
  });

  it("FA20: gives up on a node that drops SYNs after the connect timeout, and its pings delay nobody else's revival", async (t) => {
    const clock = new FakeClock();
    const hole = await startBlackHole(t);
    const [other, third] = await startFunctionNodes(t, 2);
    const nodes = [hole.port, other.port, third.port];
    const { port, config, event, until, balancer } = await startBalancer(t, { nodes }, { clock });
    await other.stop();
    const client = await connectClient(t, port);
    const toOther = pathThrough(config.nodes, [other.address, third.address]);
    assert.equal((await client.ask(get(toOther))).status, 200);
    assert.equal((await event("node_dead")).node, other.address);

    const toHole = pathThrough(config.nodes, [`127.0.0.1:${hole.port}`, third.address]);
    client.send(get(toHole));
    await until("the dial", ({ nodes: [node] }) => node.inFlight === 1);
    await clock.advance(2100);
    assert.equal((await client.response()).status, 200);
    const dead = await event("node_dead");
    assert.deepEqual([dead.node, dead.code], [`127.0.0.1:${hole.port}`, "ETIMEDOUT"]);

    await other.start();
    await clock.advance(1300);
    assert.equal((await event("node_alive")).node, other.address);
    assert.equal(balancer.snapshot().nodes[0].alive, false);
  });

  it("goes straight to the substitute while a dial of another request to the same node still waits", async (t) => {
    const { clock, port, path, until } = await startBesideHole(t);
    const early = await connectClient(t, port);
    early.send(get(path));
    await until("the first dial", ({ counters }) => counters.dials === 1);
    await clock.advance(1000);
    const late = await connectClient(t, port);
    late.send(get(path));
    await until("the second dial", ({ counters }) => counters.dials === 2);
    await clock.advance(1100);
    // The first dial has timed out for everybody: the second does not wait for its own two seconds.
    assert.equal((await early.response()).status, 200);
    assert.equal((await late.response()).status, 200);
  });

  it("keeps a body that came with a FIN behind it while the first dial failed", async (t) => {
    const { clock, port, path, until } = await startBesideHole(t);
    const client = await connectClient(t, port);
    client.send(`POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 5000\r\n\r\n`);
    await until("the dial", ({ counters }) => counters.dials === 1);
    client.send("x".repeat(5000));
    client.end();
    await turns(20);
    await clock.advance(2100);
    const response = await client.response("POST");
    assert.deepEqual([response.status, response.json().bodyBytes], [200, 5000]);
  });

  it("gives a request up whose body ended too early, although it waits for a dial", async (t) => {
    const { clock, other, port, path, until } = await startBesideHole(t);
    const client = await connectClient(t, port);
    client.send(`POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 5000\r\n\r\n`);
    await until("the dial", ({ counters }) => counters.dials === 1);
    client.send("x".repeat(4999));
    client.end();
    await turns(20);
    await clock.advance(2100);
    await until(
      "the abort",
      ({ counters, nodes }) => counters.clientAborts === 1 && nodes.every((node) => node.inFlight === 0),
    );
    assert.equal(other.calls.length, 0);
  });

  it("FA10: answers 502 in time when every node is a black hole", async (t) => {
    const clock = new FakeClock();
    const hole = await startBlackHole(t);
    const { port, until } = await startBalancer(t, { nodes: [hole.port] }, { clock });
    const client = await connectClient(t, port);
    client.send(get("/f"));
    await until("the dial", ({ counters }) => counters.dials === 1);
    await clock.advance(5100);
    assert.equal((await client.response()).json().code, "ERR_NO_FALLBACK_NODE_FOUND");
  });

  it("FA14: aims a request at the base path of the node that takes it, also on a fallback", async (t) => {
    const origin = await startRawOrigin(t);
    const gone = await startRawOrigin(t);
    const based = (port: number, basePath: string) => ({
      id: `127.0.0.1:${port}${basePath}`,
      address: { kind: "tcp" as const, host: "127.0.0.1", port, basePath },
      weight: 1,
    });
    const { port, config } = await startBalancer(t, {
      nodes: [based(origin.port, "/base"), based(gone.port, "/gone/far")],
    });
    await gone.stop();
    const [path] = pathsOf(config.nodes, `127.0.0.1:${gone.port}/gone/far`, 1);
    const client = await connectClient(t, port);
    client.send(get(`${path}/a%2Fb//c?x=%2f&y`));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    assert.equal(node.text.split("\r\n")[0], `GET /base${path}/a%2Fb//c?x=%2f&y HTTP/1.1`);
  });
});
