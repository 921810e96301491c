import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { FakeClock } from "../support/fake-clock.js";
import { ok } from "../support/raw-origin.js";
import { standstill } from "../support/standstill.js";
import { assertProblem } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";

describe("a node that never answers", () => {
  it("is given up after the response timeout: 504, suspect, its connection destroyed", async (t) => {
    const clock = new FakeClock();
    const { client, node, balancer, event } = await startExchange(
      t,
      GET,
      { silenceMs: 0 },
      { dependencies: { clock } },
    );
    await clock.advance(59_900);
    assert.equal(client.text, "");
    await clock.advance(200);
    assertProblem(await client.response(), 504, "ERR_NODE_TIMEOUT");
    await node.log.untilEnd();
    assert.equal((await event("node_suspect")).reason, "response timeout");
    const { counters, nodes } = balancer.snapshot();
    assert.deepEqual(
      [counters.responseTimeouts, counters.retries, nodes[0].suspect, nodes[0].alive],
      [1, 0, true, true],
    );
  });

  it("has its time counted from the end of the request, not from its beginning", async (t) => {
    const clock = new FakeClock();
    const { client, node } = await startExchange(
      t,
      "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 4\r\n\r\n",
      { responseTimeoutMs: 1000, bodyIdleTimeoutMs: 5000, silenceMs: 0 },
      { dependencies: { clock } },
    );
    for (const byte of "body") {
      await clock.advance(900);
      client.send(byte);
      await node.log.untilText(byte);
    }
    await clock.advance(900);
    assert.equal(client.text, "");
    await clock.advance(200);
    assertProblem(await client.response(), 504, "ERR_NODE_TIMEOUT");
  });

  it("is not excused by an interim response, nor by half a head", async (t) => {
    const clock = new FakeClock();
    const { client, node, balancer } = await startExchange(
      t,
      GET,
      { responseTimeoutMs: 1000, silenceMs: 0 },
      { dependencies: { clock } },
    );
    await clock.advance(100);
    node.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nCont");
    await client.log.untilText("103");
    await clock.advance(1000);
    const response = await client.response();
    assertProblem(response, 504, "ERR_NODE_TIMEOUT");
    assert.equal(response.interims.length, 1);
    assert.equal(balancer.snapshot().nodes[0].suspect, false, "it spoke");
  });
});

describe("a response body that stops", () => {
  it("is cut off after the body idle timeout, which each of its bytes puts off", async (t) => {
    const clock = new FakeClock();
    const { client, node, balancer } = await startExchange(t, GET, {}, { dependencies: { clock } });
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    await client.log.untilText("\r\n\r\n");
    for (let byte = 1; byte <= 3; byte++) {
      await clock.advance(59_000);
      node.send("x");
      await client.log.untilText(`\r\n\r\n${"x".repeat(byte)}`);
    }
    await clock.advance(60_100);
    await client.log.untilClosed();
    assert.equal(client.log.errorCode, "ECONNRESET");
    await node.log.untilEnd();
    assert.equal(balancer.snapshot().counters.bodyTimeouts, 1);
  });

  it("may be as slow as it likes when the timeout is off", async (t) => {
    const clock = new FakeClock();
    const { client, node } = await startExchange(
      t,
      GET,
      { bodyIdleTimeoutMs: 0, responseTimeoutMs: 0, silenceMs: 0 },
      { dependencies: { clock } },
    );
    await clock.advance(100_000);
    node.send(ok("x").slice(0, -1));
    await client.log.untilText("\r\n\r\n");
    await clock.advance(100_000);
    node.send("x");
    assert.equal((await client.response()).status, 200);
  });
});

describe("a node that does not read the body", () => {
  it("is given up after the body idle timeout: 504, and its client is not blamed", async (t) => {
    const clock = new FakeClock();
    const wire = await startExchange(
      t,
      "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 50000000\r\n\r\n",
      { silenceMs: 0 },
      { dependencies: { clock } },
    );
    const { client, node, balancer } = wire;
    node.socket.pause();
    client.send(Buffer.alloc(50_000_000));
    await standstill(wire, ({ counters }) => counters.bytesIn);
    await clock.advance(60_100);
    const response = await client.response();
    assertProblem(response, 504, "ERR_NODE_TIMEOUT");
    assert.equal(response.header("connection"), "close");
    assert.equal(balancer.snapshot().counters.bodyTimeouts, 0);
  });
});
