import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startClusters } from "../support/clusters.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { keyOf } from "../support/paths.js";
import { answering, ok, type RawOrigin, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient, type RawPeer } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Reads a request and closes without a word. */
const mute = (peer: RawPeer) => void peer.socket.once("data", () => peer.destroy());

/** The next connection with a GET: a node that was silent is asked `OPTIONS *` in between. */
async function asked(origin: RawOrigin): Promise<RawPeer> {
  for (;;) {
    const peer = await origin.accept();
    if ((await peer.log.untilText("\r\n\r\n")).startsWith("GET ")) return peer;
  }
}

/** The name of the node that answers. */
async function nodeOf(client: RawClient, path: string, fields = ""): Promise<string> {
  const response = await client.ask(get(path, fields));
  assert.equal(response.status, 200, path);
  return String(response.json().node);
}

describe("several clusters behind one listener", () => {
  it("each have their own nodes and policy, also for one client connection that asks them in turn", async (t) => {
    const [a, b, c, d, e, f] = await startFunctionNodes(t, 6);
    const { port, config } = await startClusters(t, {
      clusters: {
        ring: { nodes: [a.port, b.port] },
        turns: { nodes: [c.port, d.port], policy: "weighted-round-robin" },
        least: { nodes: [e.port, f.port], policy: "least-loaded" },
      },
    });
    const client = await connectClient(t, port);
    const [{ nodes }] = config.clusters;
    const turns: string[] = [];
    for (const home of [a, b, a, a, b, b]) {
      assert.equal(await nodeOf(client, keyOf(nodes, home.address, "/ring/")), home.name);
      turns.push(await nodeOf(client, "/turns/x"));
      assert.match(await nodeOf(client, "/least/x"), /^[ef]$/);
    }
    // Its turns are its own: what went to the others in between took none.
    assert.match(turns.join(""), /^(?:cd){3}$|^(?:dc){3}$/);
  });

  it("fail alone: a dead one is answered 502 while the others serve, on the same connection", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const { port, balancer, event } = await startClusters(t, {
      clusters: { gone: { nodes: [a.port] }, here: { nodes: [b.port] } },
    });
    await a.stop();
    const client = await connectClient(t, port);
    for (let number = 0; number < 3; number++) {
      assertProblem(await client.ask(get("/gone/x")), 502, "ERR_NO_FALLBACK_NODE_FOUND");
      assert.equal(await nodeOf(client, "/here/x"), "b");
    }
    assert.equal((await event("no_fallback_node_found")).cluster, "gone");
    assert.deepEqual(
      [(await event("node_dead")).cluster, balancer.snapshot().nodes.map(({ cluster, alive }) => [cluster, alive])],
      [
        "gone",
        [
          ["gone", false],
          ["here", true],
        ],
      ],
    );
  });

  it("judge a node that is in two of them each by itself, and each sees it return", async (t) => {
    const [shared, other] = await startFunctionNodes(t, 2);
    const { port, balancer, until } = await startClusters(t, {
      clusters: {
        one: { nodes: [shared.port], pingIntervalMs: 50 },
        two: { nodes: [shared.port, other.port], pingIntervalMs: 50, policy: "weighted-round-robin" },
      },
    });
    const alive = () => balancer.snapshot().nodes.map((node) => node.alive);
    const client = await connectClient(t, port);
    await nodeOf(client, "/one/x");
    await shared.stop();
    assertProblem(await client.ask(get("/one/x")), 502, "ERR_NO_FALLBACK_NODE_FOUND");
    assert.deepEqual(alive(), [false, true, true], "the other one has not dialled it");
    assert.deepEqual(new Set([await nodeOf(client, "/two/x"), await nodeOf(client, "/two/x")]), new Set(["b"]));
    assert.deepEqual(alive(), [false, false, true]);
    await shared.start();
    await until("both to have heard of it", ({ nodes }) => nodes.every((node) => node.alive));
    assert.equal(await nodeOf(client, "/one/x"), "a");
    assert.deepEqual(new Set([await nodeOf(client, "/two/x"), await nodeOf(client, "/two/x")]), new Set(["a", "b"]));
  });

  it("do not lend each other connections to a node that is in both", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const { port, balancer } = await startClusters(t, {
      clusters: { one: { nodes: [node.port] }, two: { nodes: [node.port] } },
    });
    const client = await connectClient(t, port);
    for (const path of ["/one/x", "/two/x", "/one/y", "/two/y"]) await nodeOf(client, path);
    const { nodes, counters } = balancer.snapshot();
    assert.deepEqual([counters.dials, nodes.map(({ connections }) => connections)], [2, [1, 1]]);
  });
});

describe("pipelined requests for several clusters", () => {
  it("are answered in order, each by its own, whatever the bodies and whoever is slow", async (t) => {
    const [a, b, c] = await Promise.all([startRawOrigin(t), startRawOrigin(t), startRawOrigin(t)]);
    const { port } = await startClusters(t, {
      clusters: { a: { nodes: [a.port] }, b: { nodes: [b.port] }, c: { nodes: [c.port] } },
    });
    const client = await connectClient(t, port);
    const chunked = "PUT /c/3 HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    client.send(
      `${get("/a/1")}${post("/b/2", "hello")}${chunked}HEAD /a/4 HTTP/1.1\r\nHost: fn\r\n\r\n${get("/none")}${get("/b/6")}`,
    );
    const toA = await a.accept();
    await toA.log.untilText("\r\n\r\n");
    assert.deepEqual([b.connections.length, c.connections.length], [0, 0], "one after the other");
    toA.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n");
    const toB = await b.accept();
    assert.match(await toB.log.untilText("hello"), /^POST \/b\/2 [\s\S]*hello$/);
    toB.send(ok("two"));
    const toC = await c.accept();
    assert.match(await toC.log.untilText("X: y"), /^PUT \/c\/3 [\s\S]*\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n/);
    // Until it closes: the client, which cannot tell, gets chunks.
    toC.socket.end("HTTP/1.1 200 OK\r\n\r\nthree");
    await toA.log.untilText("HEAD /a/4");
    toA.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    await toB.log.untilText("GET /b/6");
    toB.send(ok("six"));
    const answers = ["GET", "POST", "PUT", "HEAD", "GET", "GET"].map((method) => () => client.response(method));
    const read: (readonly [number, string | undefined, string])[] = [];
    for (const answer of answers) {
      const { status, body, header } = await answer();
      read.push([status, header("transfer-encoding") ?? header("content-length"), status === 404 ? "" : `${body}`]);
    }
    assert.deepEqual(
      read.map(([status, , body]) => [status, body]),
      [
        [200, "one"],
        [200, "two"],
        [200, "three"],
        [200, ""],
        [404, ""],
        [200, "six"],
      ],
    );
    assert.deepEqual([read[0][1], read[2][1], read[3][1]], ["chunked", "chunked", "1000"]);
  });

  it("find each cluster's limits, timeouts and parsers, in any order and a hundred times over", async (t) => {
    const padded = ok("ok", `X-Pad: ${"x".repeat(2000)}\r\n`);
    const origin = await startRawOrigin(t, answering(padded));
    const { port, balancer } = await startClusters(t, {
      clusters: {
        small: { nodes: [origin.port], responseHeadBytesMax: 1000 },
        large: { nodes: [origin.port] },
      },
    });
    const client = await connectClient(t, port);
    const names = Array.from({ length: 100 }, (_, number) => (number % 3 === 1 ? "large" : "small"));
    client.send(names.map((name) => get(`/${name}/x`)).join(""));
    for (const name of names) {
      const response = await client.response();
      if (name === "large") assert.deepEqual([response.status, response.body.toString()], [200, "ok"]);
      else assertProblem(response, 502, "ERR_BAD_RESPONSE");
    }
    assert.equal(balancer.snapshot().counters.responseHeadsTooLarge, 67);
  });
});

describe("a cluster keeps to itself", () => {
  const trailers = `X-Sum: ${"x".repeat(2000)}\r\n`;
  const withTrailers = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers}\r\n`;

  for (const [name, limits] of [
    ["the first", [1000, 64_000]],
    ["the last", [64_000, 1000]],
  ] as const) {
    it(`the limit of trailers of its responses: ${name} one's is small`, async (t) => {
      const origin = await startRawOrigin(t, answering(withTrailers));
      const { port } = await startClusters(t, {
        clusters: {
          a: { nodes: [origin.port], responseHeadBytesMax: limits[0] },
          b: { nodes: [origin.port], responseHeadBytesMax: limits[1] },
        },
      });
      const client = await connectClient(t, port);
      const [large, small] = limits[0] > limits[1] ? ["/a", "/b"] : ["/b", "/a"];
      for (let number = 0; number < 2; number++) {
        client.send(get(large));
        await client.log.untilText(`${trailers}\r\n`);
        client.log.drop(client.log.bytes.length);
      }
      client.send(get(small));
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, "ECONNRESET");
      assert.ok(!client.text.includes("X-Sum"));
    });
  }

  it("the limit of request bodies, counted and chunked", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const { port, balancer } = await startClusters(t, {
      clusters: { small: { nodes: [a.port], bodyBytesMax: 10 }, large: { nodes: [b.port] } },
    });
    const chunked = (path: string) =>
      `PUT ${path} HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n${"x".repeat(20)}\r\n0\r\n\r\n`;
    for (const request of [(path: string) => post(path, "x".repeat(20)), chunked]) {
      const client = await connectClient(t, port);
      assert.equal((await client.ask(request("/large"))).json().bodyBytes, 20);
      assert.equal((await client.ask(post("/small", "x".repeat(10)))).json().bodyBytes, 10);
      assert.equal((await client.ask(request("/large"))).json().bodyBytes, 20);
      assertProblem(await client.ask(request("/small")), 413, "ERR_BODY_TOO_LARGE");
    }
    assert.equal(balancer.snapshot().counters.bodiesTooLarge, 2);
  });

  it("its response timeout and the one for whole exchanges", async (t) => {
    const clock = new FakeClock();
    const origins = await Promise.all([startRawOrigin(t), startRawOrigin(t), startRawOrigin(t)]);
    const [hasty, brief, patient] = origins;
    const { port, balancer } = await startClusters(
      t,
      {
        clusters: {
          hasty: { nodes: [hasty.port], responseTimeoutMs: 1000, silenceMs: 0 },
          brief: { nodes: [brief.port], exchangeTimeoutMs: 1000, silenceMs: 0 },
          patient: { nodes: [patient.port], responseTimeoutMs: 10_000, silenceMs: 0 },
        },
      },
      { clock },
    );
    const client = await connectClient(t, port);
    for (const [path, origin] of [
      ["/hasty", hasty],
      ["/patient", patient],
      ["/brief", brief],
      ["/patient", patient],
      ["/hasty", hasty],
    ] as const) {
      client.send(get(path));
      const node = await asked(origin);
      await clock.advance(900);
      assert.equal(balancer.snapshot().exchanges, 1, path);
      await clock.advance(200);
      if (origin === patient) {
        assert.equal(balancer.snapshot().exchanges, 1, path);
        node.send(ok("late", "Connection: close\r\n"));
        assert.equal((await client.response()).body.toString(), "late");
      } else assertProblem(await client.response(), 504, "ERR_NODE_TIMEOUT");
    }
    const { responseTimeouts, exchangeTimeouts } = balancer.snapshot().counters;
    assert.deepEqual([responseTimeouts, exchangeTimeouts], [2, 1]);
  });

  it("its retry budget", async (t) => {
    const bad = await Promise.all([1, 2, 3].map(() => startRawOrigin(t, mute)));
    const good = await startFunctionNode(t, { name: "good" });
    const { port, balancer, config } = await startClusters(t, {
      clusters: {
        poor: { nodes: [bad[0].port, bad[1].port], retryBudget: 0, retryReserve: 10 },
        rich: { nodes: [bad[2].port, good.port] },
      },
    });
    const client = await connectClient(t, port);
    for (let number = 0; number < 3; number++) {
      assertProblem(await client.ask(get(`/poor/${number}`)), 502, "ERR_NODE_CLOSED");
    }
    const { retries, retriesRefusedByBudget } = balancer.snapshot().counters;
    assert.deepEqual([retries, retriesRefusedByBudget], [1, 3]);
    const path = keyOf(config.clusters[1].nodes, `127.0.0.1:${bad[2].port}`, "/rich/");
    assert.equal(await nodeOf(client, path), "good");
  });

  it("its limits of connections and its queue", async (t) => {
    const slow = await startRawOrigin(t);
    const node = await startFunctionNode(t, { name: "a" });
    const { port, until } = await startClusters(t, {
      clusters: {
        full: { nodes: [slow.port], clusterConnectionsMax: 1, silenceMs: 0 },
        queued: { nodes: [slow.port], clusterConnectionsMax: 1, queueMax: 1, silenceMs: 0 },
        free: { nodes: [node.port] },
      },
    });
    const holders = await Promise.all([connectClient(t, port), connectClient(t, port)]);
    holders[0].send(get("/full/x"));
    holders[1].send(get("/queued/x"));
    const peers = [await slow.accept(), await slow.accept()];
    for (const peer of peers) await peer.log.untilText("\r\n\r\n");
    const client = await connectClient(t, port);
    assertProblem(await client.ask(get("/full/x")), 503, "ERR_AT_CAPACITY");
    assert.equal(await nodeOf(client, "/free/x"), "a");
    const waiting = await connectClient(t, port);
    waiting.send(get("/queued/y"));
    await until("it to wait", ({ queued }) => queued === 1);
    assertProblem(await client.ask(get("/queued/z")), 503, "ERR_AT_CAPACITY");
    assert.equal(await nodeOf(client, "/free/x"), "a");
    for (const peer of peers) peer.send(ok("done"));
    for (const holder of holders) assert.equal((await holder.response()).body.toString(), "done");
    const kept = peers.find((peer) => peer.text.includes("/queued/x"));
    await kept?.log.untilText("GET /queued/y");
    kept?.send(ok("turn"));
    assert.equal((await waiting.response()).body.toString(), "turn");
  });

  it("its sticky cookies: none is read, set or taken away for another cluster's", async (t) => {
    const nodes = await startFunctionNodes(t, 4);
    const [a, b, c, d] = nodes.map((node) => node.port);
    const sticky = { policy: "weighted-round-robin", stickySecrets: ["0123456789abcdef"] } as const;
    const { port } = await startClusters(t, {
      clusters: {
        one: { ...sticky, nodes: [a, b], stickyCookie: "one" },
        two: { ...sticky, nodes: [c, d], stickyCookie: "two" },
        none: { nodes: [a, c], policy: "weighted-round-robin" },
      },
    });
    const client = await connectClient(t, port);
    const ask = async (path: string, cookie = "") => {
      const response = await client.ask(get(path, cookie === "" ? "" : `Cookie: ${cookie}\r\n`));
      return { node: String(response.json().node), cookie: response.header("set-cookie")?.split(";")[0] };
    };
    const one = await ask("/one");
    const two = await ask("/two");
    assert.match(one.cookie ?? "", /^one=/);
    assert.match(two.cookie ?? "", /^two=/);
    const both = `${one.cookie}; ${two.cookie}`;
    const free = new Set<string>();
    for (let number = 0; number < 4; number++) {
      assert.deepEqual(await ask("/one", both), { node: one.node, cookie: undefined });
      const unbound = await ask("/none", both);
      free.add(unbound.node);
      assert.equal(unbound.cookie, undefined);
      assert.deepEqual(await ask("/two", both), { node: two.node, cookie: undefined });
      // The request before had cookies on the same connection; this one has none.
      assert.match((await ask("/one")).cookie ?? "", /^one=/);
    }
    assert.equal(free.size, 2);
    // Named after nodes of another cluster, with the same secret.
    const foreign = await ask("/two", `two=${one.cookie?.slice(4)}`);
    assert.match(foreign.cookie ?? "", /^two=/);
  });

  it("what may be upgraded", async (t) => {
    const origin = await startRawOrigin(t);
    const { port } = await startClusters(t, {
      clusters: { open: { nodes: [origin.port] }, shut: { nodes: [origin.port], upgradeTokens: [] } },
    });
    const upgrade = (path: string) => get(path, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    const client = await connectClient(t, port);
    client.send(upgrade("/shut"));
    const plain = await origin.accept();
    assert.doesNotMatch(await plain.log.untilText("\r\n\r\n"), /upgrade/i);
    plain.send(ok("no"));
    assert.equal((await client.response()).body.toString(), "no");
    client.send(upgrade("/open"));
    const tunnel = await origin.accept();
    assert.match(await tunnel.log.untilText("\r\n\r\n"), /\r\nUpgrade: websocket\r\n/);
    tunnel.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert.equal((await client.response()).status, 101);
    client.send("ping");
    await tunnel.log.untilText("ping");
    client.end();
    tunnel.end();
  });
});
