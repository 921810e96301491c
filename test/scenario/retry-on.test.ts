import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock, turns } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { startMoodyNode, startMoodyNodes } from "../support/moody-node.js";
import { pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const withBody = (method: string, path: string, body: string, fields = "") =>
  `${method} ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
const ON_503 = { closed: true, silent: true, statuses: [503] };
const BUSY = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy";

/** A balancer that repeats for 503, over nodes on these ports; a ring tries them for `path` in this order. */
async function start(t: TestContext, ports: readonly number[], config: Partial<TestConfig> = {}) {
  const clock = new FakeClock();
  const started = await startBalancer(t, { nodes: ports, silenceMs: 0, retryOn: ON_503, ...config }, { clock });
  const path = pathThrough(
    started.config.nodes,
    ports.map((port) => `127.0.0.1:${port}`),
  );
  const client = await connectClient(t, started.port);
  const counters = () => started.balancer.snapshot().counters;
  return { ...started, clock, path, client, counters };
}

/** Reads a request and closes without a word. */
const mute = (peer: RawPeer) => void peer.socket.once("data", () => peer.destroy());

describe("a status to repeat for", () => {
  it("sends a GET to the next node, each node once, and the client sees the good answer alone", async (t) => {
    const [a, b, c] = await startMoodyNodes(t, 3);
    const { client, path, counters } = await start(t, [a.port, b.port, c.port]);
    a.status = 503;
    b.status = 503;
    const response = await client.ask(get(path));
    assert.deepEqual([response.status, response.body.toString(), client.text], [200, "c", ""]);
    assert.deepEqual([a.calls.length, b.calls.length, c.calls.length], [1, 1, 1]);
    const { attempts, retries, retriesByStatus, responses5xx, fallbacks } = counters();
    assert.deepEqual([attempts, retries, retriesByStatus, responses5xx, fallbacks], [3, 2, 2, 0, 0]);
  });

  it("passes the last answer on, untouched, when nobody else is left", async (t) => {
    const origins = await Promise.all([startRawOrigin(t, answering(BUSY)), startRawOrigin(t, answering(BUSY))]);
    const { client, path, counters } = await start(
      t,
      origins.map(({ port }) => port),
    );
    const response = await client.ask(get(path));
    assert.deepEqual([response.status, response.header("retry-after"), response.body.toString()], [503, "7", "busy"]);
    assert.deepEqual([counters().attempts, counters().retriesByStatus], [2, 1]);
  });

  it("passes it on when attempts or the budget are spent, and counts each", async (t) => {
    const [a, b, c] = await startMoodyNodes(t, 3);
    for (const node of [a, b, c]) node.status = 503;
    const few = await start(t, [a.port, b.port, c.port], { attemptsMax: 2 });
    assert.deepEqual((await few.client.ask(get(few.path))).body.toString(), "b");
    assert.deepEqual([few.counters().attempts, few.counters().retriesRefusedByAttempts], [2, 1]);

    const poor = await start(t, [a.port, b.port, c.port], { retryBudget: 0, retryReserve: 10 });
    assert.equal((await poor.client.ask(get(poor.path))).body.toString(), "b", "a tenth of ten is one");
    assert.equal((await poor.client.ask(get(poor.path))).body.toString(), "a");
    assert.deepEqual([poor.counters().retries, poor.counters().retriesRefusedByBudget], [1, 2]);
  });

  it("never sends a POST twice, nor a PUT whose body is not held", async (t) => {
    const [a, b] = await startMoodyNodes(t, 2);
    a.status = 503;
    const { client, path, counters } = await start(t, [a.port, b.port]);
    assert.equal((await client.ask(withBody("POST", path, "pay"), "POST")).status, 503);
    assert.equal((await client.ask(withBody("PATCH", path, "pay"), "PATCH")).status, 503);
    assert.deepEqual([b.headsSeen, counters().retries], [0, 0]);

    const busy = await startRawOrigin(t);
    const large = await start(t, [busy.port, b.port], { replayBytesMax: 10 });
    large.client.send(`PUT ${large.path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 20\r\n\r\n`);
    const peer = await busy.accept();
    await peer.log.untilText("\r\n\r\n");
    large.client.send("0123456789".repeat(2));
    await peer.log.untilText("0123456789".repeat(2));
    peer.send(BUSY);
    assert.equal((await large.client.response("PUT")).status, 503);
    assert.deepEqual([b.headsSeen, large.counters().retries, large.counters().replayBytesExceeded], [0, 0, 1]);
  });

  it("sends a PUT with its whole body again, and a HEAD", async (t) => {
    const busy = await startMoodyNode(t, "busy", 503);
    const good = await startFunctionNode(t, { name: "good" });
    const { client, path } = await start(t, [busy.port, good.port]);
    const put = await client.ask(withBody("PUT", path, "x".repeat(5000)), "PUT");
    assert.deepEqual([put.status, put.json().bodyBytes], [200, 5000]);
    const head = await client.ask(get(path).replace("GET", "HEAD"), "HEAD");
    assert.deepEqual([head.status, head.header("x-node"), client.text], [200, "good", ""]);
  });

  it("is looked at alone: other statuses pass", async (t) => {
    const [a, b] = await startMoodyNodes(t, 2);
    const { client, path, counters } = await start(t, [a.port, b.port], {
      retryOn: { closed: false, silent: false, statuses: [429, 503] },
    });
    for (const status of [500, 502, 504, 404, 200]) {
      a.status = status;
      assert.equal((await client.ask(get(path))).status, status);
    }
    a.status = 429;
    assert.equal((await client.ask(get(path))).body.toString(), "b");
    assert.equal(counters().retriesByStatus, 1);
  });

  it("keeps every byte of the discarded answer from the client, however it comes", async (t) => {
    const headEnd = BUSY.indexOf("\r\n\r\n") + 4;
    const waysToCome = [
      [BUSY],
      [BUSY.slice(0, headEnd), BUSY.slice(headEnd)],
      [BUSY.slice(0, -2), BUSY.slice(-2)],
      [...BUSY],
    ];
    for (const pieces of waysToCome) {
      const busy = await startRawOrigin(t);
      const good = await startRawOrigin(t, answering(ok("good")));
      const { client, path } = await start(t, [busy.port, good.port]);
      client.send(get(path));
      const peer = await busy.accept();
      await peer.log.untilText("\r\n\r\n");
      for (const piece of pieces) {
        peer.send(piece);
        await turns(2);
      }
      const response = await client.response();
      assert.deepEqual([response.body.toString(), client.text], ["good", ""]);
      await peer.log.untilEnd();
    }
  });

  it("passes interim responses on before it repeats: they bind nobody", async (t) => {
    const hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    const busy = await startRawOrigin(t, answering(hint + BUSY));
    const good = await startRawOrigin(t, answering(hint.replace("a.css", "b.css") + ok("good")));
    const { client, path } = await start(t, [busy.port, good.port]);
    const response = await client.ask(get(path));
    assert.deepEqual([response.status, response.body.toString()], [200, "good"]);
    assert.deepEqual(
      response.interims.map((interim) => interim.header("link")),
      ["</a.css>", "</b.css>"],
    );
  });

  it("passes an answer on that comes while the body is still on its way, or before it was asked for", async (t) => {
    const busy = await startRawOrigin(t, answering(BUSY));
    const good = await startFunctionNode(t, { name: "good" });
    const { path, port, counters } = await start(t, [busy.port, good.port]);
    for (const fields of ["", "Expect: 100-continue\r\n"]) {
      const client = await connectClient(t, port);
      client.send(`PUT ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 9\r\n${fields}\r\n`);
      const response = await client.response("PUT");
      assert.deepEqual([response.status, response.header("connection")], [503, "close"]);
    }
    assert.deepEqual([good.headsSeen, counters().retries], [0, 0]);
  });

  it("sends a body again that the first node had asked for by 100", async (t) => {
    const busy = await startRawOrigin(t);
    const good = await startFunctionNode(t, { name: "good" });
    const { client, path } = await start(t, [busy.port, good.port]);
    client.send(`PUT ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
    const peer = await busy.accept();
    await peer.log.untilText("\r\n\r\n");
    peer.send("HTTP/1.1 100 Continue\r\n\r\n");
    await client.log.untilText("100 Continue");
    client.send("hello");
    await peer.log.untilText("hello");
    peer.send(BUSY);
    const response = await client.response("PUT");
    assert.deepEqual([response.status, response.json().bodyBytes, response.interims.length], [200, 5, 1]);
  });

  it("says that nobody is healthy when the node it turned to cannot be dialled", async (t) => {
    const busy = await startMoodyNode(t, "busy", 503);
    const gone = await startMoodyNode(t, "gone");
    const { client, path, counters } = await start(t, [busy.port, gone.port]);
    await gone.stop();
    const response = await client.ask(get(path));
    assertProblem(response, 503, "ERR_NO_HEALTHY_NODE");
    assert.equal(response.header("retry-after"), "1");
    assert.deepEqual([counters().retriesByStatus, counters().retries], [0, 0], "what reached nobody costs nothing");
    const again = await client.ask(get(path));
    assert.deepEqual([again.status, again.body.toString()], [503, "busy"], "now it is known to be dead");
  });

  it("finds room under the limit of the cluster, in which it has a place already", async (t) => {
    const [a, b] = await startMoodyNodes(t, 2);
    a.status = 503;
    const { client, path } = await start(t, [a.port, b.port], { clusterConnectionsMax: 1 });
    assert.equal((await client.ask(get(path))).body.toString(), "b");
  });

  it("does not turn to an ejected node: the answer that is there is as good", async (t) => {
    const [a, b] = await startMoodyNodes(t, 2);
    const { client, path, event } = await start(t, [a.port, b.port], { outlierConsecutive: 1 });
    a.status = 503;
    b.status = 500;
    // The first answer ejects its own node; of two nodes one may be out, so the second stays in.
    assert.equal((await client.ask(get(path))).status, 500);
    await event("node_ejected");
    b.status = 503;
    assert.equal((await client.ask(get(path))).body.toString(), "b");
    assert.equal(a.calls.length, 1);
  });
});

describe("what a request is repeated for", () => {
  const NONE = { closed: false, silent: false, statuses: [] };

  it("reaches each node once, also where a close makes its node suspect and the next one has an idle connection", async (t) => {
    const bad = await startRawOrigin(t, mute);
    const good = await startMoodyNode(t, "good");
    const { client, path, counters, event } = await start(t, [bad.port, good.port]);
    for (let number = 0; number < 3; number++) assert.equal((await client.ask(get(path))).body.toString(), "good");
    await event("node_suspect");
    assert.deepEqual([good.calls.length, counters().attempts, counters().retries], [3, 6, 3]);
    assert.equal(counters().exchangesMovedOffSuspects, 0);
  });

  it("is nothing with none: no status, no close, no silence", async (t) => {
    const bad = await startRawOrigin(t, mute);
    const good = await startMoodyNode(t, "good");
    const { client, path, counters } = await start(t, [bad.port, good.port], { retryOn: NONE });
    assertProblem(await client.ask(get(path)), 502, "ERR_NODE_CLOSED");
    assert.deepEqual([counters().retries, good.headsSeen], [0, 0]);

    const mad = await startMoodyNode(t, "mad", 503);
    const other = await start(t, [mad.port, good.port], { retryOn: NONE });
    assert.equal((await other.client.ask(get(other.path))).body.toString(), "mad");
  });

  it("leaves dials alone: they reach nobody, and cascade with none and without a budget", async (t) => {
    const gone = await startMoodyNode(t, "gone");
    const good = await startFunctionNode(t, { name: "good" });
    await gone.stop();
    const { client, path, counters } = await start(t, [gone.port, good.port], {
      retryOn: NONE,
      retryBudget: 0,
      retryReserve: 0,
      attemptsMax: 1,
    });
    const response = await client.ask(withBody("POST", path, "pay"), "POST");
    assert.deepEqual([response.status, response.json().bodyBytes], [200, 3]);
    assert.deepEqual([counters().fallbacks, counters().retries], [1, 0]);
  });

  it("is nothing without budget and reserve, and says so", async (t) => {
    const bad = await startRawOrigin(t, mute);
    const good = await startMoodyNode(t, "good");
    const { client, path, counters } = await start(t, [bad.port, good.port], { retryBudget: 0, retryReserve: 0 });
    for (let number = 0; number < 2; number++) assertProblem(await client.ask(get(path)), 502, "ERR_NODE_CLOSED");
    assert.deepEqual([counters().retries, counters().retriesRefusedByBudget], [0, 2]);
  });

  it("earns by the share of --retry-budget, up to --retry-reserve", async (t) => {
    const busy = await startMoodyNode(t, "busy", 503);
    const good = await startMoodyNode(t, "good");
    const { client, path, counters } = await start(t, [busy.port, good.port], { retryBudget: 0.5, retryReserve: 2 });
    const answers = async (requests: number) => {
      let text = "";
      for (let number = 0; number < requests; number++) text += (await client.ask(get(path))).body.toString()[0];
      return text;
    };
    // One to begin with, half of one for each request.
    assert.equal(await answers(6), "ggbgbg");
    busy.status = 200;
    await answers(50);
    busy.status = 503;
    assert.equal(await answers(6), "gggbgb", "two were saved, and no more");
    assert.equal(counters().retries, 8);
  });

  it("moves a request off a silent node, but for silent alone, and within the limit of the cluster", async (t) => {
    for (const silent of [true, false]) {
      const frozen = await startRawOrigin(t);
      const good = await startMoodyNode(t, "good");
      const { client, path, clock, event, balancer } = await start(t, [frozen.port, good.port], {
        retryOn: { closed: false, silent, statuses: [] },
        clusterConnectionsMax: 1,
        silenceMs: 1000,
        pingTimeoutMs: 500,
        responseTimeoutMs: 5000,
        breakerFaults: 1,
      });
      client.send(get(path));
      await (await frozen.accept()).log.untilText("\r\n\r\n");
      await clock.advance(2500);
      await event("node_suspect");
      if (silent) {
        assert.equal((await client.response()).body.toString(), "good");
        assert.equal(balancer.snapshot().nodes[0].breaker, "open", "silence is a fault");
      } else {
        await clock.advance(3000);
        assertProblem(await client.response(), 504, "ERR_NODE_TIMEOUT");
        assert.equal(good.headsSeen, 0);
      }
    }
  });
});
