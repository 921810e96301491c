import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { oneCluster, startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startMoodyNodes } from "../support/moody-node.js";
import { pathThrough } from "../support/paths.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;
const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const FAILED = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const POLICIES = [
  "ring-hash",
  "maglev",
  "rendezvous",
  "weighted-round-robin",
  "least-loaded",
  "p2c-ewma",
  "random",
] as const;

/** A balancer over nodes whose status a test sets; each request has a key of its own. */
async function start(t: TestContext, count: number, config: Partial<TestConfig> = {}) {
  const clock = new FakeClock();
  const nodes = await startMoodyNodes(t, count);
  const started = await startBalancer(
    t,
    { nodes: nodes.map((node) => node.port), policy: "weighted-round-robin", silenceMs: 0, ...config },
    { clock },
  );
  const client = await connectClient(t, started.port);
  let asked = 0;
  /** So many requests one after the other; gives how many each node answered. */
  const ask = async (requests: number) => {
    const callsOf = () => nodes.map((node) => node.calls.filter(({ target }) => target.startsWith("/f")).length);
    const before = callsOf();
    for (let number = 0; number < requests; number++) {
      const { status } = await client.ask(get(`/f${asked++}`));
      assert.ok([200, 404, 500].includes(status), `${status}`);
    }
    return callsOf().map((calls, index) => calls - before[index]);
  };
  const ejected = () => started.balancer.snapshot().nodes.map((node) => node.ejected);
  return { ...started, clock, nodes, ask, ejected };
}

/** A balancer over a node that speaks in bytes, and is home of `path`, and a good one; faults of one kind, without repetition. */
async function startRaw(t: TestContext, onConnection: (peer: RawPeer) => void, config: Partial<TestConfig> = {}) {
  const clock = new FakeClock();
  const origin = await startRawOrigin(t, onConnection);
  const [good] = await startMoodyNodes(t, 1);
  const started = await startBalancer(
    t,
    {
      nodes: [origin.port, good.port],
      outlierConsecutive: 2,
      silenceMs: 0,
      retryOn: { closed: false, silent: false, statuses: [] },
      ...config,
    },
    { clock },
  );
  const path = pathThrough(started.config.nodes, [`127.0.0.1:${origin.port}`, good.address]);
  const isEjected = () => started.balancer.snapshot().nodes[0].ejected;
  return { ...started, clock, origin, path, isEjected, connect: () => connectClient(t, started.port) };
}

describe("ejection", () => {
  it("takes a node out at the last of so many faults in a row, and back when its time is over", async (t) => {
    const { nodes, ask, clock, ejected, event, balancer } = await start(t, 2, {
      outlierConsecutive: 3,
      outlierEjectionMs: 30_000,
    });
    nodes[0].status = 500;
    assert.deepEqual(await ask(4), [2, 2]);
    assert.deepEqual(ejected(), [false, false]);
    assert.deepEqual(await ask(2), [1, 1]);
    const out = await event("node_ejected");
    assert.deepEqual([out.node, out.reason, out.ejectedMs], [nodes[0].address, "consecutive-faults", 30_000]);
    nodes[0].status = 200;
    assert.deepEqual(await ask(10), [0, 10], "an ejected node gets nothing");
    await clock.advance(29_000);
    assert.deepEqual(await ask(10), [0, 10]);
    await clock.advance(1500);
    assert.equal((await event("node_returned")).node, nodes[0].address);
    assert.deepEqual(await ask(10), [5, 5]);
    assert.equal(balancer.snapshot().counters.nodesEjected, 1);
  });

  it("begins the count anew at a good answer, and a 404 is one", async (t) => {
    const { nodes, ask, ejected } = await start(t, 2, { outlierConsecutive: 2 });
    for (const status of [500, 404, 500, 200, 500, 404]) {
      nodes[0].status = status;
      await ask(2);
    }
    assert.deepEqual(ejected(), [false, false]);
    nodes[0].status = 500;
    await ask(4);
    assert.deepEqual(ejected(), [true, false]);
  });

  it("takes a node out by the share of its faults, once there are enough answers to say so", async (t) => {
    const { nodes, ask, ejected, event } = await start(t, 2, { outlierShareMax: 0.5, outlierVolumeMin: 20 });
    for (let pair = 1; pair < 10; pair++) {
      nodes[0].status = 500;
      await ask(2);
      nodes[0].status = 200;
      await ask(2);
    }
    assert.deepEqual(ejected(), [false, false], "18 answers are too few");
    await ask(2);
    nodes[0].status = 500;
    await ask(2);
    assert.equal((await event("node_ejected")).reason, "fault-share");
    assert.deepEqual(ejected(), [true, false]);
  });

  it("forgets what is older than the window", async (t) => {
    const { nodes, ask, clock, ejected } = await start(t, 2, {
      outlierShareMax: 0.5,
      outlierVolumeMin: 10,
      outlierWindowMs: 1000,
    });
    nodes[0].status = 500;
    await ask(18);
    await clock.advance(1200);
    await ask(18);
    assert.deepEqual(ejected(), [false, false]);
    await ask(2);
    assert.deepEqual(ejected(), [true, false]);
  });

  it("lets a node that is back grow into its share with --slow-start", async (t) => {
    const { nodes, ask, clock, event } = await start(t, 2, {
      outlierConsecutive: 1,
      outlierEjectionMs: 5000,
      slowStartMs: 60_000,
    });
    nodes[0].status = 500;
    await ask(2);
    nodes[0].status = 200;
    await clock.advance(5500);
    await event("node_returned");
    const [young] = await ask(100);
    assert.ok(young > 0 && young <= 20, `${young} of 100`);
    await clock.advance(60_000);
    assert.deepEqual(await ask(100), [50, 50]);
  });

  it("is longer each time in a row, up to its limit", async (t) => {
    const { nodes, ask, clock, event } = await start(t, 2, {
      outlierConsecutive: 1,
      outlierEjectionMs: 1000,
      outlierEjectionMaxMs: 2500,
    });
    nodes[0].status = 500;
    for (const ejectedMs of [1000, 2000, 2500, 2500]) {
      await ask(2);
      assert.equal((await event("node_ejected")).ejectedMs, ejectedMs);
      await clock.advance(ejectedMs + 300);
      await event("node_returned");
    }
  });

  it("takes no more than its share of the nodes at once, counts who is spared, and takes him when one is back", async (t) => {
    const { nodes, ask, clock, ejected, event, balancer } = await start(t, 4, {
      outlierConsecutive: 1,
      outlierEjectedShareMax: 0.5,
      outlierEjectionMs: 10_000,
    });
    for (const node of nodes) node.status = 500;
    await ask(4);
    assert.deepEqual(ejected(), [true, true, false, false]);
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.nodesEjected, counters.ejectionsSpared], [2, 2]);
    assert.deepEqual(await ask(4), [0, 0, 2, 2]);
    await clock.advance(10_500);
    await event("node_returned");
    assert.deepEqual(ejected(), [false, false, true, true]);
  });

  it("never takes the only node", async (t) => {
    const { nodes, ask, ejected } = await start(t, 1, { outlierConsecutive: 1, outlierEjectedShareMax: 1 });
    nodes[0].status = 500;
    assert.deepEqual(await ask(5), [5]);
    assert.deepEqual(ejected(), [false]);
  });

  it("is ignored in panic, and heeded again when enough nodes are healthy", async (t) => {
    const { nodes, ask, clock, ejected, event } = await start(t, 3, {
      outlierConsecutive: 1,
      outlierEjectionMs: 60_000,
      pingIntervalMs: 1000,
    });
    nodes[0].status = 500;
    await ask(3);
    assert.deepEqual(ejected(), [true, false, false]);
    nodes[0].status = 200;
    await nodes[1].stop();
    await ask(2);
    await event("panic_began");
    assert.deepEqual(await ask(10), [5, 0, 5], "of three one is dead, and the ejected one serves");
    await nodes[1].start();
    await clock.advance(1500);
    await event("panic_ended");
    // Dead and faulty at once: its failed dial was a fault, too.
    assert.deepEqual((await ask(10))[0], 0);
  });

  it("counts a node whose checks fail as unhealthy", async (t) => {
    const { nodes, ask, clock, ejected, event } = await start(t, 3, {
      outlierConsecutive: 1,
      outlierEjectionMs: 60_000,
      checkPath: "/health",
      checkIntervalMs: 1000,
      checkUnhealthyThreshold: 1,
    });
    nodes[0].status = 500;
    await ask(3);
    nodes[0].status = 200;
    assert.deepEqual(ejected(), [true, false, false]);
    nodes[1].status = 500;
    await clock.advance(1300);
    assert.equal((await event("node_failing")).node, nodes[1].address);
    await event("panic_began");
    assert.deepEqual(await ask(10), [5, 0, 5]);
    nodes[1].status = 200;
    await clock.advance(1300);
    await event("panic_ended");
    assert.deepEqual(await ask(10), [0, 5, 5]);
  });

  it("keeps a node whose only fellow fails its checks", async (t) => {
    const { nodes, ask, clock, ejected, event } = await start(t, 2, {
      outlierConsecutive: 1,
      checkPath: "/health",
      checkIntervalMs: 1000,
      checkUnhealthyThreshold: 1,
    });
    nodes[1].status = 500;
    await clock.advance(1300);
    await event("node_failing");
    nodes[0].status = 500;
    assert.deepEqual(await ask(4), [4, 0]);
    assert.deepEqual(ejected(), [false, false]);
  });

  for (const policy of POLICIES) {
    it(`is heeded by ${policy}, whichever keys are asked for`, async (t) => {
      const { nodes, ask, ejected, clock, event } = await start(t, 3, {
        policy,
        outlierConsecutive: 2,
        outlierEjectionMs: 5000,
      });
      nodes[1].status = 500;
      for (let turn = 0; turn < 100 && !ejected()[1]; turn++) await ask(1);
      assert.deepEqual(ejected(), [false, true, false]);
      nodes[1].status = 200;
      const [a, b, c] = await ask(60);
      assert.equal(b, 0);
      assert.ok(a > 0 && c > 0);
      await clock.advance(5500);
      await event("node_returned");
      const [, back] = await ask(100);
      assert.ok(back > 0, "it is asked again");
    });
  }

  for (const [what, answer] of [
    ["closes before it answers", ""],
    ["breaks off within its answer", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"],
    ["garbles its head", "HTTP/1.1 2OO\r\n\r\n"],
    ["garbles its body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"],
  ]) {
    it(`is for a node that ${what}`, async (t) => {
      const { isEjected, connect, path } = await startRaw(t, (peer) => {
        peer.socket.once("data", () => {
          peer.send(answer);
          peer.end();
        });
      });
      for (let number = 0; number < 2; number++) {
        assert.equal(isEjected(), false);
        const client = await connect();
        client.send(get(path));
        await client.log.until("an answer or the end", () =>
          client.text.includes(" 502 ") || client.log.isClosed ? true : undefined,
        );
      }
      assert.equal(isEjected(), true);
    });
  }

  it("is for a node that does not answer in time", async (t) => {
    for (const limit of [{ responseTimeoutMs: 1000 }, { exchangeTimeoutMs: 1000 }]) {
      const { isEjected, connect, clock, origin, path } = await startRaw(t, () => {}, {
        outlierConsecutive: 1,
        ...limit,
      });
      const client = await connect();
      client.send(get(path));
      await (await origin.accept()).log.untilText("\r\n\r\n");
      await clock.advance(1200);
      assertProblem(await client.response(), 504, "ERR_NODE_TIMEOUT");
      assert.equal(isEjected(), true);
    }
  });

  it("is for a node that cannot be dialled: when a ping has revived it, it is still ejected", async (t) => {
    const { nodes, ask, clock, ejected, event } = await start(t, 2, {
      outlierConsecutive: 1,
      outlierEjectionMs: 20_000,
    });
    await nodes[0].stop();
    await ask(2);
    assert.deepEqual(ejected(), [true, false]);
    await nodes[0].start();
    await clock.advance(1500);
    await event("node_alive");
    assert.deepEqual(await ask(4), [0, 4]);
    await clock.advance(20_000);
    assert.deepEqual(await ask(4), [2, 2]);
  });

  it("is not for what clients do: leave, dribble, stop or send too much", async (t) => {
    const { connect, clock, origin, path, balancer, until } = await startRaw(t, () => {}, {
      outlierConsecutive: 1,
      breakerFaults: 1,
      bodyBytesMax: 100,
      bodyIdleTimeoutMs: 2000,
      exchangeTimeoutMs: 5000,
    });
    /** A client whose request has reached the node. */
    const reach = async (request: string) => {
      const client = await connect();
      client.send(request);
      const peer = await origin.accept();
      await peer.log.untilText("\r\n\r\n");
      return { client, peer };
    };
    const post = (fields: string) => `POST ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n\r\n`;
    const leaving = await reach(get(path));
    leaving.client.reset();
    await until("the client to be gone", ({ counters }) => counters.clientAborts === 1);
    const silent = await reach(`${post("Content-Length: 50")}0123456789`);
    await clock.advance(2100);
    assertProblem(await silent.client.response("POST"), 408, "ERR_REQUEST_TIMEOUT");
    const large = await reach(`${post("Transfer-Encoding: chunked")}1\r\nx\r\n`);
    large.client.send(`64\r\n${"x".repeat(100)}\r\n`);
    assertProblem(await large.client.response("POST"), 413, "ERR_BODY_TOO_LARGE");
    const dribbling = await reach(post("Content-Length: 50"));
    for (let number = 0; number < 4; number++) {
      dribbling.client.send("x");
      await dribbling.peer.log.untilText("x".repeat(number + 1));
      await clock.advance(1300);
    }
    assertProblem(await dribbling.client.response("POST"), 504, "ERR_NODE_TIMEOUT");
    const { counters, nodes } = balancer.snapshot();
    assert.deepEqual([counters.attempts, counters.nodesEjected, counters.breakersOpened], [4, 0, 0]);
    assert.deepEqual([nodes[0].ejected, nodes[0].breaker, nodes[0].inFlight], [false, "closed", 0]);
  });

  it("is not for a stream that has nothing to say for a while", async (t) => {
    const { connect, clock, path, balancer } = await startRaw(
      t,
      (peer) => void peer.socket.once("data", () => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ndata:")),
      { outlierConsecutive: 1, breakerFaults: 1, bodyIdleTimeoutMs: 1000 },
    );
    const client = await connect();
    client.send(get(path));
    await client.log.untilText("data:");
    await clock.advance(1100);
    await client.log.untilClosed();
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.bodyTimeouts, counters.nodesEjected, counters.breakersOpened], [1, 0, 0]);
  });

  it("counts a 101 as the good answer that it is, at once; tunnels of an ejected node go on", async (t) => {
    const answers = [FAILED, SWITCH, FAILED, FAILED];
    const { isEjected, connect, path, event } = await startRaw(t, (peer) => {
      peer.socket.once("data", () => {
        peer.send(answers.shift() ?? FAILED);
        peer.socket.on("data", (bytes) => peer.send(bytes));
      });
    });
    const ask = async () => (await connect()).ask(get(path, UPGRADE));
    assert.equal((await ask()).status, 500);
    const tunnel = await connect();
    assert.equal((await tunnel.ask(get(path, UPGRADE))).status, 101);
    assert.equal((await ask()).status, 500);
    assert.equal(isEjected(), false, "the 101 stood between them");
    assert.equal((await ask()).status, 500);
    await event("node_ejected");
    tunnel.send("still there");
    await tunnel.log.untilText("still there");
  });

  it("ends when a reload turns it off", async (t) => {
    const { nodes, ask, ejected, balancer, config } = await start(t, 2, { outlierConsecutive: 1 });
    nodes[0].status = 500;
    await ask(2);
    nodes[0].status = 200;
    assert.deepEqual(ejected(), [true, false]);
    await balancer.reload(oneCluster({ ...config, outlierConsecutive: 0 }));
    assert.deepEqual(ejected(), [false, false]);
    assert.deepEqual(await ask(4), [2, 2]);
  });
});
