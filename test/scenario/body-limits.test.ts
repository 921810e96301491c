import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startClusters } from "../support/clusters.js";
import { startFunctionNode } from "../support/function-node.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { assertClosedWith, assertProblem } from "../support/wire.js";

const sized = (path: string, length: number, fields = "") =>
  `POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: ${length}\r\n${fields}\r\n`;
const chunked = (path: string) => `POST ${path} HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n`;
const chunk = (length: number) => `${length.toString(16)}\r\n${"x".repeat(length)}\r\n`;

/** Two routes, to clusters with limits of 100 and 1,000 bytes, and one without a limit. */
async function start(t: TestContext) {
  const [small, large, free] = await Promise.all(
    ["small", "large", "free"].map((name) => startFunctionNode(t, { name })),
  );
  const started = await startClusters(t, {
    clusters: {
      small: { nodes: [small.port], bodyBytesMax: 100 },
      large: { nodes: [large.port], bodyBytesMax: 1000 },
      free: { nodes: [free.port] },
    },
  });
  const connect = () => connectClient(t, started.port);
  const counters = () => started.balancer.snapshot().counters;
  return { ...started, connect, counters, nodes: { small, large, free } };
}

describe("the limit of a body", () => {
  it("O17: refuses by Content-Length before a node is contacted, each route by its own limit", async (t) => {
    const { connect, counters, nodes } = await start(t);
    for (const [path, length] of [
      ["/small", 101],
      ["/large", 1001],
      ["/small", 1e15],
    ] as const) {
      const client = await connect();
      client.send(sized(path, length));
      await assertClosedWith(client, 413, "ERR_BODY_TOO_LARGE");
    }
    assert.deepEqual([counters().bodiesTooLarge, counters().dials], [3, 0]);
    const client = await connect();
    for (const [path, length] of [
      ["/small", 100],
      ["/large", 101],
      ["/large", 1000],
      ["/free", 100_000],
    ] as const) {
      const response = await client.ask(sized(path, length) + "x".repeat(length), "POST");
      assert.deepEqual([response.status, response.json().bodyBytes], [200, length], `${length} bytes are not too many`);
    }
    assert.deepEqual([nodes.small.headsSeen, nodes.large.headsSeen, counters().bodiesTooLarge], [1, 2, 3]);
  });

  it("O17: refuses chunks as soon as there are too many bytes in them, framing not counted", async (t) => {
    const { connect, counters, nodes } = await start(t);
    const exact = await connect();
    exact.send(chunked("/small"));
    for (let number = 0; number < 100; number++) exact.send(chunk(1));
    exact.send("0\r\n\r\n");
    assert.equal((await exact.response("POST")).json().bodyBytes, 100);

    const over = await connect();
    over.send(chunked("/small") + chunk(60));
    over.send(chunk(41));
    // Its last chunk never comes: nobody waits for it.
    await assertClosedWith(over, 413, "ERR_BODY_TOO_LARGE");
    assert.equal(nodes.small.calls.length, 1, "no node has seen the end of it");

    const other = await connect();
    other.send(`${chunked("/large")}${chunk(60)}${chunk(41)}0\r\n\r\n`);
    assert.equal((await other.response("POST")).json().bodyBytes, 101);
    assert.equal(counters().bodiesTooLarge, 1);
  });

  it("O17: refuses what is too large before it is asked for by 100", async (t) => {
    const { connect, counters } = await start(t);
    const client = await connect();
    client.send(sized("/small", 101, "Expect: 100-continue\r\n"));
    await assertClosedWith(client, 413, "ERR_BODY_TOO_LARGE");
    assert.equal(counters().dials, 0);
  });

  it("frees the node of a body that became too large, and holds nothing against it", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, until } = await startClusters(t, {
      clusters: { fn: { nodes: [origin.port], bodyBytesMax: 100, outlierConsecutive: 1, breakerFaults: 1 } },
    });
    const client = await connectClient(t, port);
    client.send(chunked("/fn") + chunk(50));
    const node = await origin.accept();
    await node.log.untilText("x".repeat(50));
    client.send(chunk(51));
    assertProblem(await client.response("POST"), 413, "ERR_BODY_TOO_LARGE");
    await node.log.untilEnd();
    await until("the node to be free", ({ nodes: [{ inFlight, connections }] }) => inFlight + connections === 0);
    await until("nothing against it", ({ nodes: [{ ejected, breaker }] }) => !ejected && breaker === "closed");
  });

  it("holds while a request waits in the queue", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, until, balancer } = await startClusters(t, {
      clusters: { fn: { nodes: [origin.port], bodyBytesMax: 10, nodeConnectionsMax: 1, queueMax: 1 } },
    });
    const busy = await connectClient(t, port);
    busy.send("GET /fn HTTP/1.1\r\nHost: fn\r\n\r\n");
    await origin.accept();
    const large = await connectClient(t, port);
    assertProblem(await large.ask(sized("/fn", 11), "POST"), 413, "ERR_BODY_TOO_LARGE");
    const waiting = await connectClient(t, port);
    waiting.send(sized("/fn", 10));
    await until("it to wait", ({ queued }) => queued === 1);
    assert.equal(balancer.snapshot().counters.bodiesTooLarge, 1);
  });
});
