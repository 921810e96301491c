import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { type GatedNode, startGatedNode } from "../support/gated-node.js";
import { startMoodyNode, startMoodyNodes } from "../support/moody-node.js";
import { pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const FAILED = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
/** Without jitter: half of the range. */
const NO_JITTER = () => 0.5;
const NO_REPEATS = { closed: false, silent: false, statuses: [] };

/** A balancer with breakers over nodes on these ports, of which the first is home of `path` and the second next to it. */
async function start(t: TestContext, ports: readonly number[], config: Partial<TestConfig> = {}) {
  const clock = new FakeClock();
  const started = await startBalancer(
    t,
    { nodes: ports, breakerFaults: 1, breakerOpenMs: 1000, silenceMs: 0, retryOn: NO_REPEATS, ...config },
    { clock, random: NO_JITTER },
  );
  const path = pathThrough(
    started.config.nodes,
    ports.slice(0, 2).map((port) => `127.0.0.1:${port}`),
  );
  const connect = () => connectClient(t, started.port);
  const client = await connect();
  const kinds = () => started.balancer.snapshot().nodes.map(({ breaker }) => breaker);
  return { ...started, clock, path, connect, client, kinds, ask: () => client.ask(get(path)) };
}

/** One node that keeps its calls, one that answers; the breaker of the first is open and its time is over. */
async function startProbe(t: TestContext, config: Partial<TestConfig> = {}) {
  const ill: GatedNode = await startGatedNode(t, "ill");
  const well = await startMoodyNode(t, "well");
  const started = await start(t, [ill.port, well.port], config);
  const failing = await started.connect();
  failing.send(get(started.path));
  (await ill.next()).answer(500);
  assert.equal((await failing.response()).status, 500);
  await started.event("breaker_opened");
  await started.clock.advance(1100);
  assert.deepEqual(started.kinds(), ["open", "closed"]);
  return { ...started, ill, well };
}

describe("circuit breaker", () => {
  it("opens at so many faults in a row, sends the node nothing, and closes by a probe that goes well", async (t) => {
    const [ill, well] = await startMoodyNodes(t, 2);
    const { ask, kinds, clock, event, balancer } = await start(t, [ill.port, well.port], { breakerFaults: 3 });
    for (const [status, body] of [
      [500, "a"],
      [500, "a"],
      [404, "a"],
      [503, "a"],
      [599, "a"],
    ] as const) {
      ill.status = status;
      const response = await ask();
      assert.deepEqual([response.status, response.body.toString()], [status, body]);
    }
    assert.deepEqual(kinds(), ["closed", "closed"], "the 404 was a good answer");
    await ask();
    const opened = await event("breaker_opened");
    assert.deepEqual([opened.node, opened.openMs, opened.trips], [ill.address, 1000, 1]);
    ill.status = 200;
    const calls = ill.calls.length;
    for (let number = 0; number < 5; number++) assert.equal((await ask()).body.toString(), "b");
    await clock.advance(900);
    assert.equal((await ask()).body.toString(), "b");
    assert.equal(ill.calls.length, calls);
    await clock.advance(200);
    assert.equal((await ask()).body.toString(), "a", "its time is over: this one is the probe");
    assert.equal((await event("breaker_closed")).node, ill.address);
    assert.equal((await ask()).body.toString(), "a");
    assert.equal(balancer.snapshot().counters.breakersOpened, 1);
  });

  it("stays open half as long again after each probe that fails, up to a limit, give or take half", async (t) => {
    const [ill, well] = await startMoodyNodes(t, 2);
    const { ask, clock, event } = await start(t, [ill.port, well.port], { breakerOpenMaxMs: 2000 });
    ill.status = 500;
    for (const [index, openMs] of [1000, 1500, 2000, 2000].entries()) {
      await ask();
      const opened = await event("breaker_opened");
      assert.deepEqual([opened.openMs, opened.trips], [openMs, index + 1]);
      await clock.advance(openMs - 100);
      assert.equal((await ask()).body.toString(), "b");
      await clock.advance(200);
    }
  });

  it("lets exactly one probe through, while others go elsewhere", async (t) => {
    const { ill, path, connect, ask, kinds } = await startProbe(t);
    const probe = await connect();
    probe.send(get(path));
    const call = await ill.next();
    assert.deepEqual(kinds(), ["half-open", "closed"]);
    const others = await Promise.all([1, 2, 3].map(connect));
    for (const other of others) assert.equal((await other.ask(get(path))).body.toString(), "well");
    assert.equal(ill.held.length, 1);
    call.answer();
    assert.equal((await probe.response()).body.toString(), "ill");
    assert.deepEqual(kinds(), ["closed", "closed"]);
    const next = ask();
    (await ill.next()).answer();
    assert.equal((await next).body.toString(), "ill");
  });

  it("gives the place of a probe whose client leaves to the next request", async (t) => {
    const { ill, path, connect, kinds, until } = await startProbe(t);
    const leaving = await connect();
    leaving.send(get(path));
    await ill.next();
    leaving.reset();
    await until("the client to be gone", ({ counters }) => counters.clientAborts === 1);
    assert.deepEqual(kinds(), ["open", "closed"]);
    const probe = await connect();
    probe.send(get(path));
    (await ill.next()).answer();
    assert.equal((await probe.response()).body.toString(), "ill");
    assert.deepEqual(kinds(), ["closed", "closed"]);
  });

  it("opens again by a probe that gets no answer in time", async (t) => {
    const { ill, path, connect, event, clock, kinds } = await startProbe(t, { responseTimeoutMs: 3000 });
    const probe = await connect();
    probe.send(get(path));
    await ill.next();
    await clock.advance(3100);
    assertProblem(await probe.response(), 504, "ERR_NODE_TIMEOUT");
    const opened = await event("breaker_opened");
    assert.deepEqual([opened.trips, opened.openMs, kinds()[0]], [2, 1500, "open"]);
  });

  it("judges a probe by the head of its response: a stream of an hour does not keep its node out", async (t) => {
    const stream = await startRawOrigin(t);
    const well = await startMoodyNode(t, "well");
    const { path, connect, clock, event, kinds } = await start(t, [stream.port, well.port]);
    const first = await connect();
    first.send(get(path));
    const node = await stream.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(FAILED);
    await event("breaker_opened");
    await clock.advance(1100);
    const listener = await connect();
    listener.send(get(path));
    const feed = await node.log.until("the probe on the idle connection", () =>
      node.text.split("GET").length === 3 ? node : undefined,
    );
    feed.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await listener.log.untilText("hello");
    await event("breaker_closed");
    assert.deepEqual(kinds(), ["closed", "closed"]);
    const beside = await connect();
    beside.send(get(path));
    const other = await stream.accept();
    await other.log.untilText("\r\n\r\n");
    other.send(ok("beside"));
    assert.equal((await beside.response()).body.toString(), "beside");
    // That the stream breaks later is one more fault of a closed breaker's node.
    feed.reset();
    await listener.log.untilClosed();
  });

  it("judges a tunnel by its 101, and not again when it closes", async (t) => {
    const origin = await startRawOrigin(t);
    const well = await startMoodyNode(t, "well");
    const { path, connect, clock, event, kinds, until } = await start(t, [origin.port, well.port], {
      breakerFaults: 2,
    });
    const answers = [FAILED, SWITCH, FAILED, FAILED, SWITCH];
    const upgrade = async (answer = answers.shift() ?? "") => {
      const client = await connect();
      client.send(get(path, UPGRADE));
      const known = origin.connections.length;
      const peer = await origin.accept();
      await peer.log.untilText("\r\n\r\n");
      peer.send(answer.replace("Content-Length", "Connection: close\r\nContent-Length"));
      const { status } = await client.response();
      return { client, peer, status, known };
    };
    assert.equal((await upgrade()).status, 500);
    const tunnel = await upgrade();
    assert.equal(tunnel.status, 101);
    assert.equal((await upgrade()).status, 500);
    assert.deepEqual(kinds(), ["closed", "closed"], "the 101 stood between them");
    assert.equal((await upgrade()).status, 500);
    await event("breaker_opened");
    tunnel.client.send("open");
    await tunnel.peer.log.untilText("open");
    await clock.advance(1100);
    const probe = await upgrade();
    assert.equal(probe.status, 101);
    await event("breaker_closed");
    for (const { client } of [tunnel, probe]) client.reset();
    await until("the tunnels to close", ({ tunnels, nodes }) => tunnels === 0 && nodes[0].inFlight === 0);
    assert.deepEqual(kinds(), ["closed", "closed"]);
  });

  it("answers 503 with Retry-After at once when all are open, and counts it", async (t) => {
    const nodes = await startMoodyNodes(t, 2);
    for (const node of nodes) node.status = 500;
    const { ask, kinds, balancer } = await start(
      t,
      nodes.map(({ port }) => port),
    );
    assert.equal((await ask()).body.toString(), "a");
    assert.equal((await ask()).body.toString(), "b");
    assert.deepEqual(kinds(), ["open", "open"]);
    const response = await ask();
    assertProblem(response, 503, "ERR_NO_HEALTHY_NODE");
    assert.equal(response.header("retry-after"), "1");
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.attempts, counters.requestsWithoutHealthyNode, counters.breakersOpened], [2, 1, 2]);
  });

  it("refuses beside the probe of the only node, too", async (t) => {
    const ill = await startGatedNode(t, "ill");
    const { path, connect, clock, event } = await start(t, [ill.port]);
    const failing = await connect();
    failing.send(get(path));
    (await ill.next()).answer(500);
    await event("breaker_opened");
    await clock.advance(1100);
    const probe = await connect();
    probe.send(get(path));
    const call = await ill.next();
    assert.equal((await failing.response()).status, 500);
    assertProblem(await failing.ask(get(path)), 503, "ERR_NO_HEALTHY_NODE");
    call.answer();
    assert.equal((await probe.response()).status, 200);
  });

  for (const [what, behave] of [
    ["closes", (peer: RawPeer) => peer.destroy()],
    ["resets", (peer: RawPeer) => peer.reset()],
    ["answers no HTTP", (peer: RawPeer) => peer.send("220 ready\r\n\r\n")],
  ] as const) {
    it(`opens for a node that ${what}`, async (t) => {
      const origin = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => behave(peer)));
      const { ask, kinds } = await start(t, [origin.port]);
      assert.equal((await ask()).status, 502);
      assert.deepEqual(kinds(), ["open"]);
    });
  }

  it("opens for a node that cannot be dialled, and stays open when a ping has revived it", async (t) => {
    const gone = await startFunctionNode(t, { name: "gone" });
    const well = await startMoodyNode(t, "well");
    await gone.stop();
    const { ask, kinds, clock, event, balancer } = await start(t, [gone.port, well.port], {
      breakerOpenMs: 5000,
      pingIntervalMs: 500,
    });
    assert.equal((await ask()).body.toString(), "well");
    assert.deepEqual(kinds(), ["open", "closed"]);
    await gone.start();
    await clock.advance(1000);
    await event("node_alive");
    assert.equal((await ask()).body.toString(), "well");
    await clock.advance(4500);
    assert.equal((await ask()).json().node, "gone");
    assert.deepEqual(kinds(), ["closed", "closed"]);
    assert.equal(balancer.snapshot().counters.breakersOpened, 1);
  });

  it("lets a stale idle connection neither close nor open it: the same request probes again on a fresh one", async (t) => {
    let connections = 0;
    const origin = await startRawOrigin(t, (peer) => {
      if (++connections > 1) {
        answering(ok("fresh"))(peer);
        return;
      }
      peer.socket.once("data", () => {
        peer.send(FAILED);
        peer.socket.once("data", () => peer.reset());
      });
    });
    const well = await startMoodyNode(t, "well");
    const { ask, kinds, clock, balancer } = await start(t, [origin.port, well.port], {
      retryOn: { closed: true, silent: true, statuses: [] },
      nodeKeepAliveTimeoutMs: 60_000,
    });
    assert.equal((await ask()).status, 500);
    await clock.advance(1100);
    assert.equal((await ask()).body.toString(), "fresh");
    assert.deepEqual(kinds(), ["closed", "closed"]);
    assert.equal(balancer.snapshot().counters.breakersOpened, 1);
  });

  it("has a request that is repeated acquire the probe's place of the next node before it leaves its own", async (t) => {
    const [bad, probed] = [await startMoodyNode(t, "bad", 503), await startGatedNode(t, "probed")];
    const { path, connect, clock, event, kinds, balancer } = await start(t, [bad.port, probed.port], {
      breakerFaults: 2,
      retryOn: { closed: true, silent: true, statuses: [503] },
    });
    // Two faults open the breaker of the second node; two of the first would open that as well: good ones between.
    const failing = await connect();
    for (let number = 0; number < 2; number++) {
      bad.status = 503;
      failing.send(get(path));
      (await probed.next()).answer(500);
      assert.equal((await failing.response()).status, 500);
      bad.status = 200;
      assert.equal((await failing.ask(get(path))).status, 200);
    }
    assert.equal((await event("breaker_opened")).node, probed.address);
    await clock.advance(1100);
    bad.status = 503;
    const moved = await connect();
    moved.send(get(path));
    const call = await probed.next();
    assert.deepEqual(kinds(), ["closed", "half-open"]);
    call.answer();
    assert.equal((await moved.response()).body.toString(), "probed");
    assert.deepEqual(kinds(), ["closed", "closed"], "the answer of the probe counted for its own node");
    assert.equal(balancer.snapshot().counters.retriesByStatus, 3);
  });

  it("takes the answer that is there when the next node's breaker is open", async (t) => {
    const [bad, worse] = await startMoodyNodes(t, 2);
    const { ask, kinds, balancer } = await start(t, [bad.port, worse.port], {
      breakerFaults: 1,
      breakerOpenMs: 60_000,
      retryOn: { closed: true, silent: true, statuses: [503] },
    });
    worse.status = 500;
    bad.status = 503;
    assert.equal((await ask()).status, 500, "the first 503 was repeated");
    assert.deepEqual(kinds(), ["open", "open"]);
    assert.equal(balancer.snapshot().counters.retriesByStatus, 1);
  });

  it("sends sticky clients of its node elsewhere, where they stay with a new cookie", async (t) => {
    const [ill, well] = await startMoodyNodes(t, 2);
    const { client, path, kinds, clock } = await start(t, [ill.port, well.port], {
      stickyCookie: "fnlb",
      stickyCodecs: ["raw"],
    });
    const ask = (cookie: string) => client.ask(get(path, `Cookie: ${cookie}\r\n`));
    const home = `fnlb=http://${ill.address}`;
    ill.status = 500;
    assert.equal((await ask(home)).status, 500);
    ill.status = 200;
    assert.deepEqual(kinds(), ["open", "closed"]);
    const moved = await ask(home);
    assert.equal(moved.body.toString(), "b");
    const cookie = moved.header("set-cookie")?.split(";")[0] ?? "";
    assert.equal(cookie, `fnlb=http://${well.address}/`);
    await clock.advance(1100);
    assert.equal((await ask(cookie)).body.toString(), "b", "what it has there now must not be left behind");
    const probe = await ask(home);
    assert.deepEqual(
      [probe.body.toString(), probe.header("set-cookie")],
      ["a", undefined],
      "one that has not moved is back",
    );
  });
});
