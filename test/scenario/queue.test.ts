import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { oneCluster, startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { pathThrough } from "../support/paths.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const postHead = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${length}\r\n\r\n`;
const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** A balancer before one node that takes one request at a time and keeps it. */
async function startSingle(t: TestContext, config: Partial<TestConfig> = {}, clock?: FakeClock) {
  const node = await startGatedNode(t);
  const started = await startBalancer(
    t,
    { nodes: [node.port], nodeConnectionsMax: 1, queueMax: 10, silenceMs: 0, ...config },
    clock === undefined ? {} : { clock },
  );
  const connect = () => connectClient(t, started.port);
  /** Sends a request that has to wait, and waits until it does. */
  const enqueue = async (request: string, client?: RawClient) => {
    const waiting = client ?? (await connect());
    const before = started.balancer.snapshot().counters.requestsQueued;
    waiting.send(request);
    await started.until("the request to wait", ({ counters }) => counters.requestsQueued === before + 1);
    return waiting;
  };
  /** Occupies the node. */
  const occupy = async (path = "/busy") => {
    const client = await connect();
    client.send(get(path));
    return { client, call: await node.next() };
  };
  return { ...started, node, connect, enqueue, occupy };
}

describe("queue", () => {
  it("serves who waits for a node at its limit in the order of their coming", async (t) => {
    const { node, enqueue, occupy, balancer } = await startSingle(t);
    let { call } = await occupy();
    const clients: RawClient[] = [];
    for (const path of ["/1", "/2", "/3", "/4"]) clients.push(await enqueue(get(path)));
    assert.equal(balancer.snapshot().queued, 4);
    for (const [index, client] of clients.entries()) {
      call.answer();
      call = await node.next();
      assert.equal(call.target, `/${index + 1}`);
      assert.deepEqual([node.held.length, balancer.snapshot().nodes[0].inFlight], [1, 1], "never more than the limit");
      if (index > 0) assert.equal((await clients[index - 1].response()).status, 200);
      assert.equal(client.text, "");
    }
    call.answer();
    assert.equal((await clients[3].response()).status, 200);
    const { counters, queued } = balancer.snapshot();
    assert.deepEqual([counters.requestsQueued, queued, counters.requestsRefusedAtNodeLimit], [4, 0, 0]);
  });

  it("holds for the limit of a cluster as well, whichever of its nodes is free", async (t) => {
    const nodes = [await startGatedNode(t, "a"), await startGatedNode(t, "b")];
    const { port, until, balancer } = await startBalancer(t, {
      nodes: nodes.map((node) => node.port),
      policy: "weighted-round-robin",
      silenceMs: 0,
      clusterConnectionsMax: 1,
      queueMax: 2,
    });
    const clients = await Promise.all([1, 2, 3].map(() => connectClient(t, port)));
    for (const [index, client] of clients.entries()) {
      client.send(get(`/${index}`));
      await until("it to be in", ({ queued, exchanges }) => queued === index && exchanges === index + 1);
    }
    for (const [index, client] of clients.entries()) {
      const call = await nodes[index % 2].next();
      assert.equal(call.target, `/${index}`);
      assert.equal(nodes[0].held.length + nodes[1].held.length, 1);
      call.answer();
      assert.equal((await client.response()).status, 200);
    }
    assert.equal(balancer.snapshot().counters.requestsQueued, 2);
  });

  it("answers 503 with Retry-After to one more than may wait, and counts it; the connection goes on", async (t) => {
    const { node, enqueue, occupy, connect, balancer } = await startSingle(t, { queueMax: 2 });
    const { call } = await occupy();
    const waiting = [await enqueue(get("/1")), await enqueue(get("/2"))];
    const refused = await connect();
    const response = await refused.ask(get("/3"));
    assertProblem(response, 503, "ERR_AT_CAPACITY");
    assert.deepEqual([response.header("retry-after"), response.header("connection")], ["1", undefined]);
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.requestsRefusedAtQueueLimit, counters.requestsQueued], [1, 2]);
    call.answer();
    await enqueue(get("/3"), refused);
    for (const client of [...waiting, refused]) {
      (await node.next()).answer();
      assert.equal((await client.response()).status, 200);
    }
  });

  it("is off unless asked for: then each limit refuses for itself, and counts", async (t) => {
    for (const limits of [{ nodeConnectionsMax: 1 }, { nodeConnectionsMax: 9, clusterConnectionsMax: 1 }]) {
      const { occupy, connect, balancer } = await startSingle(t, { queueMax: 0, ...limits });
      const { call } = await occupy();
      const response = await (await connect()).ask(get("/f"));
      assertProblem(response, 503, "ERR_AT_CAPACITY");
      assert.equal(response.header("retry-after"), "1");
      const { counters } = balancer.snapshot();
      const isCluster = "clusterConnectionsMax" in limits;
      assert.deepEqual(
        [counters.requestsRefusedAtNodeLimit, counters.requestsRefusedAtClusterLimit, counters.requestsQueued],
        isCluster ? [0, 1, 0] : [1, 0, 0],
      );
      call.answer();
    }
  });

  it("lets nobody wait longer than its timeout; who is pipelined behind has a turn of its own", async (t) => {
    const clock = new FakeClock();
    const { node, enqueue, occupy, balancer } = await startSingle(t, { queueTimeoutMs: 5000 }, clock);
    const { call } = await occupy();
    const client = await enqueue(get("/late") + get("/next"));
    await clock.advance(4900);
    assert.equal(client.text, "");
    await clock.advance(200);
    const response = await client.response();
    assertProblem(response, 503, "ERR_QUEUE_TIMEOUT");
    assert.deepEqual([response.header("retry-after"), response.header("connection")], ["1", undefined]);
    const { counters, queued } = balancer.snapshot();
    assert.deepEqual([counters.queueTimeouts, counters.requestsQueued, queued], [1, 2, 1]);
    call.answer();
    const next = await node.next();
    assert.equal(next.target, "/next");
    next.answer();
    assert.equal((await client.response()).status, 200);
  });

  it("closes the connection behind a timeout when the body of the request has not been read", async (t) => {
    const clock = new FakeClock();
    const { node, enqueue, occupy } = await startSingle(t, { queueTimeoutMs: 1000 }, clock);
    const { call } = await occupy();
    const client = await enqueue(postHead("/late", 5));
    await clock.advance(1100);
    const response = await client.response("POST");
    assertProblem(response, 503, "ERR_QUEUE_TIMEOUT");
    assert.equal(response.header("connection"), "close");
    await client.log.untilEnd();
    call.answer();
    assert.equal(node.headsSeen, 1);
  });

  it("forgets a client that leaves: its place is free, and no node hears of it", async (t) => {
    const { node, enqueue, occupy, until, balancer } = await startSingle(t, { queueMax: 2 });
    const { call } = await occupy();
    const leaving = await enqueue(get("/leaving"));
    await enqueue(get("/stays"));
    leaving.reset();
    await until("the place to be free", ({ queued }) => queued === 1);
    await enqueue(get("/comes"));
    assert.equal(balancer.snapshot().counters.clientAborts, 1);
    for (const target of ["/stays", "/comes"]) {
      (target === "/stays" ? call : node.held[0]).answer();
      assert.equal((await node.next()).target, target);
    }
    node.held[0].answer();
    assert.deepEqual(
      node.calls.map(({ target }) => target),
      ["/busy", "/stays", "/comes"],
    );
  });

  it("notices at its turn that a client has left whose body it does not read before, and frees the node", async (t) => {
    const { node, enqueue, occupy, until, balancer } = await startSingle(t);
    const { call } = await occupy();
    const leaving = await enqueue(postHead("/leaving", 1_000_000));
    const staying = await enqueue(get("/stays"));
    leaving.send("half");
    leaving.reset();
    call.answer();
    assert.equal((await node.next()).target, "/stays");
    assert.equal(balancer.snapshot().counters.clientAborts, 1);
    node.held[0].answer();
    assert.equal((await staying.response()).status, 200);
    await until("the node to be free", ({ nodes }) => nodes[0].inFlight === 0);
  });

  for (const abortOnClose of [false, true]) {
    it(`${abortOnClose ? "forgets" : "serves"} a client that half-closes, with --abort-on-close ${abortOnClose}`, async (t) => {
      const { node, enqueue, occupy, until } = await startSingle(t, { abortOnClose });
      const { call } = await occupy();
      const client = await enqueue(get("/half"));
      client.end();
      if (abortOnClose) {
        await until("the place to be free", ({ queued }) => queued === 0);
        call.answer();
        await client.log.untilEnd();
        assert.equal(node.headsSeen, 1);
        return;
      }
      call.answer();
      (await node.next()).answer();
      assert.equal((await client.response()).status, 200);
    });
  }

  it("reads no more of a body than came with its head before its turn, and then all of it", async (t) => {
    const { node, enqueue, occupy, balancer } = await startSingle(t);
    const { call } = await occupy();
    const body = Buffer.alloc(8 * 1024 * 1024, "some bytes of a large body ");
    const client = await enqueue(postHead("/large", body.length));
    const before = balancer.snapshot().counters.bytesIn;
    client.send(body);
    // Others come and go meanwhile: the loop has turned often enough to read all of it, if anybody did.
    for (let number = 0; number < 3; number++) (await enqueue(get("/other"))).reset();
    const read = balancer.snapshot().counters.bytesIn - before;
    assert.ok(read < 256 * 1024, `${read} bytes`);
    call.answer();
    const large = await node.next();
    assert.equal(large.target, "/large");
    assert.deepEqual([large.bodyBytes, large.bodyHash], [body.length, createHash("sha256").update(body).digest("hex")]);
    large.answer();
    assert.equal((await client.response("POST")).status, 200);
  });

  it("sends a body whole that had come with its head", async (t) => {
    const { node, enqueue, occupy } = await startSingle(t);
    const { call } = await occupy();
    const client = await enqueue(`${postHead("/small", 10)}0123456789`);
    call.answer();
    const small = await node.next();
    assert.deepEqual([small.bodyBytes, small.bodyHash], [10, createHash("sha256").update("0123456789").digest("hex")]);
    small.answer();
    assert.equal((await client.response("POST")).status, 200);
  });

  it("lets no newcomer overtake, not even on the connection whose response makes room", async (t) => {
    const { node, enqueue, connect, until } = await startSingle(t);
    const first = await connect();
    first.send(get("/first"));
    const call = await node.next();
    const waiting = await enqueue(get("/waiting"));
    // It is read as soon as the first response has left, in the same turn of the loop.
    first.send(get("/overtaking"));
    await until("the pipelined request to be there", ({ counters }) => counters.bytesIn > 2 * get("/waiting").length);
    call.answer();
    const second = await node.next();
    assert.equal(second.target, "/waiting");
    await until("the newcomer to wait", ({ queued }) => queued === 1);
    second.answer();
    (await node.next()).answer();
    for (const client of [first, waiting, first]) assert.equal((await client.response()).status, 200);
  });

  it("is served by a node that comes back from the dead", async (t) => {
    const busy = await startGatedNode(t, "busy");
    const back = await startFunctionNode(t, { name: "back" });
    await back.stop();
    const { port, config, until, event } = await startBalancer(t, {
      nodes: [busy.port, back.port],
      nodeConnectionsMax: 1,
      queueMax: 10,
      pingIntervalMs: 20,
    });
    const path = pathThrough(config.nodes, [back.address, busy.address]);
    const first = await connectClient(t, port);
    first.send(get(path));
    const call = await busy.next();
    assert.equal((await event("node_dead")).node, back.address);
    const client = await connectClient(t, port);
    client.send(get(path));
    await until("the request to wait", ({ queued }) => queued === 1);
    await back.start();
    assert.equal((await client.response()).json().node, "back");
    call.answer();
    assert.equal((await first.response()).status, 200);
  });

  it("gives way to the time limit of the whole exchange", async (t) => {
    const clock = new FakeClock();
    const { node, enqueue, occupy, balancer } = await startSingle(
      t,
      { queueTimeoutMs: 60_000, exchangeTimeoutMs: 3000, outlierConsecutive: 1 },
      clock,
    );
    const { client: first } = await occupy();
    await clock.advance(2500);
    const client = await enqueue(get("/late"));
    await clock.advance(600);
    assertProblem(await first.response(), 504, "ERR_NODE_TIMEOUT");
    // Now it has the node, for half a second.
    await node.next();
    await clock.advance(2500);
    assertProblem(await client.response(), 504, "ERR_NODE_TIMEOUT");
    const { queued, counters } = balancer.snapshot();
    assert.deepEqual([queued, counters.exchangeTimeouts], [0, 2]);
  });

  it("lets what waits finish in a drain", async (t) => {
    const { node, enqueue, occupy, balancer, event } = await startSingle(t);
    const { client: first, call } = await occupy();
    const client = await enqueue(get("/waiting"));
    const drained = balancer.drain();
    await event("draining");
    call.answer();
    (await node.next()).answer();
    for (const waited of [first, client]) {
      const response = await waited.response();
      assert.deepEqual([response.status, response.header("connection")], [200, "close"]);
      waited.end();
    }
    assert.deepEqual(await drained, { cut: 0 });
  });

  it("is cut at the end of a drain that takes too long", async (t) => {
    const clock = new FakeClock();
    const { node, enqueue, occupy, balancer, event } = await startSingle(
      t,
      { queueTimeoutMs: 60_000, shutdownTimeoutMs: 3000 },
      clock,
    );
    await occupy();
    const client = await enqueue(get("/waiting"));
    const drained = balancer.drain();
    await event("draining");
    await clock.advance(3100);
    assert.deepEqual(await drained, { cut: 2 });
    await client.log.untilClosed();
    assert.equal(node.headsSeen, 1);
  });

  it("admits a tunnel when the one before it has closed", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, until } = await startBalancer(t, { nodes: [origin.port], nodeConnectionsMax: 1, queueMax: 1 });
    const open = async (client: RawClient) => {
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send(SWITCH);
      assert.equal((await client.response()).status, 101);
      return node;
    };
    const first = await connectClient(t, port);
    first.send(get("/first", UPGRADE));
    const node = await open(first);
    const second = await connectClient(t, port);
    second.send(get("/second", UPGRADE));
    await until("the second to wait", ({ queued, tunnels }) => queued === 1 && tunnels === 1);
    first.send("ping");
    await node.log.untilText("ping");
    assert.equal(origin.connections.length, 1);
    first.reset();
    const other = await open(second);
    other.send("hello");
    await second.log.untilText("hello");
  });

  it("takes who comes back from a failed dial at its head, however full it is", async (t) => {
    const busy = await startGatedNode(t, "busy");
    const gone = await startFunctionNode(t, { name: "gone" });
    await gone.stop();
    const { port, config, until, balancer } = await startBalancer(t, {
      nodes: [busy.port, gone.port],
      nodeConnectionsMax: 1,
      queueMax: 1,
      pingIntervalMs: 60_000,
    });
    const [home, cascade] = [
      pathThrough(config.nodes, [busy.address, gone.address]),
      pathThrough(config.nodes, [gone.address, busy.address]),
    ];
    const clients = await Promise.all([1, 2, 3].map(() => connectClient(t, port)));
    clients[0].send(get(home));
    const call = await busy.next();
    // Both are read before the refusal of the dial is: the dialled node is at its limit until then.
    clients[1].send(get(`${cascade}?dials`));
    clients[2].send(get(`${home}?waits`));
    await until("both to wait", ({ queued, nodes }) => queued === 2 && nodes[1].inFlight === 0);
    call.answer();
    for (const target of [`${cascade}?dials`, `${home}?waits`]) {
      const next = await busy.next();
      assert.equal(next.target, target);
      next.answer();
    }
    for (const client of clients) assert.equal((await client.response()).status, 200);
    assert.equal(balancer.snapshot().counters.requestsRefusedAtQueueLimit, 0);
  });

  it("has a repetition keep its place under the limit of the cluster", async (t) => {
    const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const good = await startGatedNode(t, "good");
    const { port, config, until } = await startBalancer(t, {
      nodes: [bad.port, good.port],
      clusterConnectionsMax: 1,
      queueMax: 1,
    });
    const path = pathThrough(config.nodes, [`127.0.0.1:${bad.port}`, good.address]);
    const first = await connectClient(t, port);
    const second = await connectClient(t, port);
    first.send(get(`${path}?first`));
    second.send(get(`${path}?second`));
    const call = await good.next();
    assert.equal(call.target, `${path}?first`);
    await until("the other to wait", ({ queued }) => queued === 1);
    call.answer();
    const next = await good.next();
    assert.equal(next.target, `${path}?second`);
    next.answer();
    for (const client of [first, second]) assert.equal((await client.response()).status, 200);
  });

  it("is served by the probe of a breaker whose time is over, though nobody says so", async (t) => {
    const clock = new FakeClock();
    let isFailing = true;
    const ill = await startFunctionNode(t, {
      name: "ill",
      answer(_request, response) {
        response.statusCode = isFailing ? 500 : 200;
        response.end("ill");
      },
    });
    const busy = await startGatedNode(t, "busy");
    const { port, config, event, until } = await startBalancer(
      t,
      { nodes: [ill.port, busy.port], nodeConnectionsMax: 1, queueMax: 1, queueTimeoutMs: 5000, breakerFaults: 1 },
      { clock, random: () => 0.5 },
    );
    const path = pathThrough(config.nodes, [ill.address, busy.address]);
    const client = await connectClient(t, port);
    assert.equal((await client.ask(get(path))).status, 500);
    assert.equal((await event("breaker_opened")).openMs, 500);
    const first = await connectClient(t, port);
    first.send(get(path));
    const call = await busy.next();
    client.send(get(path));
    await until("the request to wait", ({ queued }) => queued === 1);
    isFailing = false;
    await clock.advance(700);
    const response = await client.response();
    assert.deepEqual([response.status, response.body.toString()], [200, "ill"]);
    call.answer();
    assert.equal((await first.response()).status, 200);
  });

  it("lets nobody wait for nodes that breakers keep out", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, event, until, balancer, config } = await startBalancer(t, {
      nodes: [origin.port],
      silenceMs: 0,
      nodeConnectionsMax: 2,
      queueMax: 5,
      breakerFaults: 1,
      breakerOpenMs: 60_000,
      retryOn: { closed: false, silent: false, statuses: [] },
    });
    const slow = await connectClient(t, port);
    slow.send(get("/slow"));
    const node = await origin.accept();
    const failing = await connectClient(t, port);
    failing.send(get("/failing"));
    const broken = await origin.accept();
    await broken.log.untilText("\r\n\r\n");
    const waiting = await connectClient(t, port);
    waiting.send(get("/waiting"));
    await until("it to wait", ({ queued }) => queued === 1);
    broken.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    assert.equal((await failing.response()).status, 500);
    await event("breaker_opened");
    assertProblem(await waiting.response(), 503, "ERR_NO_HEALTHY_NODE");
    await balancer.reload(oneCluster({ ...config, nodeConnectionsMax: 1 }));
    assertProblem(await failing.ask(get("/f")), 503, "ERR_NO_HEALTHY_NODE");
    assert.equal(balancer.snapshot().counters.requestsWithoutHealthyNode, 2);
    node.send(ok("slow"));
    assert.equal((await slow.response()).status, 200);
  });

  it("takes new limits from a reload at once", async (t) => {
    const { node, enqueue, occupy, balancer, config } = await startSingle(t);
    await occupy();
    await enqueue(get("/waiting"));
    await balancer.reload(oneCluster({ ...config, nodeConnectionsMax: 2 }));
    assert.equal((await node.next()).target, "/waiting");
    for (const call of [...node.held]) call.answer();
  });
});
