import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { pathsOf, pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const put = (path: string, body: string) => post(path, body).replace("POST", "PUT");

/** Reads a request and closes without a word. */
const mute = (peer: RawPeer) => void peer.socket.once("data", () => peer.destroy());
/** Reads a request and resets the connection. */
const resetting = (peer: RawPeer) => void peer.socket.once("data", () => peer.reset());

describe("a node that was reached and fails before it answers", () => {
  for (const [how, onConnection] of [
    ["closes", mute],
    ["resets", resetting],
  ] as const) {
    it(`loses a GET to the next node when it ${how}`, async (t) => {
      const bad = await startRawOrigin(t, onConnection);
      const good = await startFunctionNode(t, { name: "good" });
      const { port, config, balancer } = await startBalancer(t, { nodes: [bad.port, good.port] });
      const client = await connectClient(t, port);
      const [path] = pathsOf(config.nodes, `127.0.0.1:${bad.port}`, 1);
      const response = await client.ask(get(path));
      assert.equal(response.json().node, "good");
      const { counters, nodes } = balancer.snapshot();
      assert.deepEqual([counters.attempts, counters.retries, counters.fallbacks, counters.nodeDeaths], [2, 1, 0, 0]);
      assert.equal(nodes[0].alive, true, "only a failed dial puts a node into the dead-host set");
    });

    it(`FA16: never has a POST sent twice when it ${how}`, async (t) => {
      const bad = await startRawOrigin(t, onConnection);
      const good = await startFunctionNode(t, { name: "good" });
      const { port, config, balancer } = await startBalancer(t, { nodes: [bad.port, good.port] });
      const client = await connectClient(t, port);
      const [path] = pathsOf(config.nodes, `127.0.0.1:${bad.port}`, 1);
      const response = await client.ask(post(path, "pay 5"), "POST");
      assert.equal(response.status, 502);
      assert.equal(response.json().code, "ERR_NODE_CLOSED");
      assert.equal(good.headsSeen, 0);
      assert.equal(balancer.snapshot().counters.retries, 0);
      assert.equal(bad.connections.length, 1);
    });
  }

  it("has a PUT repeated with its whole body, for it may be asked twice", async (t) => {
    const bad = await startRawOrigin(t, mute);
    const good = await startFunctionNode(t, { name: "good" });
    const { port, config } = await startBalancer(t, { nodes: [bad.port, good.port] });
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, `127.0.0.1:${bad.port}`, 1);
    const response = await client.ask(put(path, "x".repeat(60_000)), "PUT");
    assert.deepEqual([response.status, response.json().bodyBytes], [200, 60_000]);
  });

  it("ends a PUT whose body is larger than what is held for a repetition", async (t) => {
    const heard: RawPeer[] = [];
    const bad = await startRawOrigin(t, (peer) => heard.push(peer));
    const good = await startFunctionNode(t, { name: "good" });
    const { port, config, balancer } = await startBalancer(t, { nodes: [bad.port, good.port], replayBytesMax: 1000 });
    const [path] = pathsOf(config.nodes, `127.0.0.1:${bad.port}`, 1);
    for (const [size, status] of [
      [1000, 200],
      [1001, 502],
    ]) {
      const client = await connectClient(t, port);
      client.send(`PUT ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${size}\r\n\r\n`);
      const peer = await bad.accept();
      await peer.log.untilText("\r\n\r\n");
      client.send("x".repeat(size));
      await peer.log.until("the body", () => (peer.text.endsWith("x".repeat(size)) ? true : undefined));
      peer.destroy();
      assert.equal((await client.response("PUT")).status, status);
    }
    assert.equal(balancer.snapshot().counters.replayBytesExceeded, 1);
  });

  it("is followed by no more attempts than allowed", async (t) => {
    const bad = await Promise.all([startRawOrigin(t, mute), startRawOrigin(t, mute), startRawOrigin(t, mute)]);
    const { port, balancer } = await startBalancer(t, { nodes: bad.map((origin) => origin.port), attemptsMax: 2 });
    const client = await connectClient(t, port);
    assert.equal((await client.ask(get("/f"))).json().code, "ERR_NODE_CLOSED");
    assert.equal(balancer.snapshot().counters.attempts, 2);
  });

  it("tries every node once and no more while attempts are left", async (t) => {
    const bad = await Promise.all([startRawOrigin(t, mute), startRawOrigin(t, mute)]);
    const { port, balancer, events } = await startBalancer(t, {
      nodes: bad.map((origin) => origin.port),
      attemptsMax: 10,
    });
    const client = await connectClient(t, port);
    const response = await client.ask(get("/f"));
    assert.deepEqual([response.status, response.json().code], [502, "ERR_NODE_CLOSED"]);
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.attempts, counters.retries], [2, 1], "a repetition that finds no node is none");
    assert.ok(!events.some(({ event }) => event === "no_fallback_node_found"), "the nodes are alive");
  });

  it("stops being repeated when the budget of the process is spent, and says so", async (t) => {
    const bad = await startRawOrigin(t, mute);
    const alsoBad = await startRawOrigin(t, mute);
    const { port, balancer } = await startBalancer(t, { nodes: [bad.port, alsoBad.port], attemptsMax: 2 });
    const client = await connectClient(t, port);
    for (let number = 0; number < 30; number++) await client.ask(get(`/f${number}`));
    const { counters } = balancer.snapshot();
    // Ten tokens to begin with, a fifth of one for each request.
    assert.equal(counters.retries, 16);
    assert.equal(counters.retriesRefusedByBudget, 14);
  });

  it("becomes suspect after three fresh connections in a row, keeps its connections out of new keys, and is trusted again at a byte", async (t) => {
    let isMute = true;
    const bad = await startRawOrigin(t, (peer) => (isMute ? mute(peer) : answering(ok("back"))(peer)));
    const good = await startFunctionNode(t, { name: "good" });
    const { port, config, balancer, event } = await startBalancer(t, {
      nodes: [bad.port, good.port],
      pingIntervalMs: 50,
    });
    const client = await connectClient(t, port);
    const id = `127.0.0.1:${bad.port}`;
    for (const path of pathsOf(config.nodes, id, 3)) assert.equal((await client.ask(get(path))).status, 200);
    assert.deepEqual([(await event("node_suspect")).node, balancer.snapshot().nodes[0].suspect], [id, true]);
    const { attempts } = balancer.snapshot().counters;
    await client.ask(get(pathsOf(config.nodes, id, 1)[0]));
    assert.equal(balancer.snapshot().counters.attempts, attempts + 1, "its keys go elsewhere at once");
    isMute = false;
    assert.equal((await event("node_trusted")).node, id);
    assert.equal((await client.ask(get(pathsOf(config.nodes, id, 1)[0]))).body.toString(), "back");
  });
});

describe("an idle connection that died unseen", () => {
  it("costs a GET nothing: it is sent again to the same node on a fresh connection", async (t) => {
    let connections = 0;
    const origin = await startRawOrigin(t, (peer) => {
      if (++connections > 1) {
        answering(ok("second"))(peer);
        return;
      }
      peer.socket.once("data", () => {
        peer.send(ok("first"));
        peer.socket.once("data", () => peer.reset());
      });
    });
    const other = await startFunctionNode(t, { name: "other" });
    const { port, config, balancer } = await startBalancer(t, { nodes: [origin.port, other.port] });
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, `127.0.0.1:${origin.port}`, 1);
    assert.equal((await client.ask(get(path))).body.toString(), "first");
    assert.equal((await client.ask(get(path))).body.toString(), "second");
    assert.equal(other.headsSeen, 0);
    assert.equal(balancer.snapshot().nodes[0].suspect, false);
  });

  it("FA16: ends a POST that was written to it with 502, for the node may have read it", async (t) => {
    const origin = await startRawOrigin(t, (peer) => {
      peer.socket.once("data", () => {
        peer.send(ok("first"));
        peer.socket.once("data", () => peer.reset());
      });
    });
    const { port } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    await client.ask(get("/f"));
    const response = await client.ask(post("/f", "pay 5"), "POST");
    assert.equal(response.json().code, "ERR_NODE_CLOSED");
    assert.equal(origin.connections.length, 1);
  });

  it("is not used at all when the node's FIN has been seen", async (t) => {
    const nodes = await startFunctionNodes(t, 1, { keepAliveTimeoutMs: 1 });
    const { port, until } = await startBalancer(t, { nodes: [nodes[0].port] });
    const client = await connectClient(t, port);
    for (let number = 0; number < 3; number++) {
      assert.equal((await client.ask(post("/f", "pay 5"), "POST")).status, 200);
      await until("the connection to be given up", ({ nodes: [node] }) => node.connections === 0);
    }
  });

  it("falls back like a failed dial when the node is gone altogether", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const { port, config, balancer } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    const path = pathThrough(config.nodes, [nodes[0].address, nodes[1].address]);
    await client.ask(get(path));
    await nodes[0].stop();
    const response = await client.ask(get(path));
    assert.deepEqual([response.status, response.json().node], [200, "b"]);
    assert.equal(balancer.snapshot().nodes[0].alive, false);
  });
});
