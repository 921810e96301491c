import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { FakeClock } from "../support/fake-clock.js";
import { answering, ok } from "../support/raw-origin.js";
import { standstill } from "../support/standstill.js";
import { assertClosedWith, startWire, type WireConfig, type WireOptions } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";

async function startSlow(t: TestContext, config: WireConfig = {}, options: WireOptions = {}) {
  const clock = new FakeClock();
  const wire = await startWire(t, config, { ...options, dependencies: { clock } });
  const { client, balancer, until } = wire;
  /** Sends bytes and waits until they were read, so that time that moves on then comes after them. */
  const arrive = async (bytes: string) => {
    const before = balancer.snapshot().counters.bytesIn;
    client.send(bytes);
    await until("the bytes to be read", ({ counters }) => counters.bytesIn === before + bytes.length);
  };
  await until("the connection", ({ connections }) => connections === 1);
  return { ...wire, clock, arrive };
}

describe("a head", () => {
  it("that is not complete after the head timeout is answered 408", async (t) => {
    const { client, clock, arrive, balancer } = await startSlow(t);
    await arrive("GET / HTTP/1.1\r\nHost: ");
    await clock.advance(9_900);
    assert.equal(client.text, "");
    await clock.advance(200);
    await assertClosedWith(client, 408, "ERR_REQUEST_TIMEOUT");
    assert.equal(balancer.snapshot().counters.headTimeouts, 1);
  });

  it("does not get more time by each of its bytes", async (t) => {
    const { client, clock, arrive } = await startSlow(t, { headTimeoutMs: 1000 });
    for (const byte of "GET / HTTP") {
      await arrive(byte);
      await clock.advance(110);
    }
    await assertClosedWith(client, 408, "ERR_REQUEST_TIMEOUT");
  });

  it("has its own time behind an earlier request", async (t) => {
    const { client, clock, arrive, balancer } = await startSlow(
      t,
      { headTimeoutMs: 1000 },
      { onConnection: answering(ok("answer")) },
    );
    await client.ask(GET);
    await clock.advance(5000);
    await arrive("GET /");
    await clock.advance(950);
    assert.equal(client.text, "");
    await clock.advance(150);
    await assertClosedWith(client, 408, "ERR_REQUEST_TIMEOUT");
    assert.equal(balancer.snapshot().counters.headTimeouts, 1);
  });

  it("that never begins closes the connection without a word", async (t) => {
    const { client, clock, balancer } = await startSlow(t);
    await clock.advance(10_100);
    await client.log.untilEnd();
    assert.equal(client.text, "");
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.headTimeouts, counters.problems], [1, 0]);
  });

  it("may take any time when the timeout is off", async (t) => {
    const { client, clock, arrive } = await startSlow(
      t,
      { headTimeoutMs: 0 },
      { onConnection: answering(ok("answer")) },
    );
    await arrive("GET / HTTP/1.1\r\nHost: ");
    await clock.advance(100_000);
    assert.equal((await client.ask("fn\r\n\r\n")).status, 200);
  });
});

describe("an idle client connection", () => {
  it("closes without a word after the keep-alive timeout", async (t) => {
    const { client, clock, balancer } = await startSlow(t, {}, { onConnection: answering(ok("answer")) });
    await client.ask(GET);
    await clock.advance(59_900);
    assert.equal((await client.ask(GET)).status, 200);
    await clock.advance(59_900);
    assert.equal(client.log.hasEnded, false);
    await clock.advance(200);
    await client.log.untilEnd();
    assert.equal(client.text, "");
    assert.equal(balancer.snapshot().counters.problems, 0);
  });
});

describe("a body", () => {
  for (const [name, head, part] of [
    ["counted", "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\n", "12345"],
    ["chunked", "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\n12345\r\n"],
  ]) {
    it(`that stops, ${name}, is answered 408 after the body idle timeout, and its node left`, async (t) => {
      const { client, origin, clock, arrive, balancer } = await startSlow(t);
      client.send(head);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      await clock.advance(59_000);
      await arrive(part);
      await clock.advance(59_900);
      assert.equal(client.text, "");
      await clock.advance(200);
      await assertClosedWith(client, 408, "ERR_REQUEST_TIMEOUT");
      await node.log.untilEnd();
      const { counters, nodes } = balancer.snapshot();
      assert.deepEqual([counters.bodyTimeouts, counters.responseTimeouts], [1, 0]);
      assert.deepEqual([nodes[0].alive, nodes[0].suspect], [true, false]);
    });
  }

  it("that stops while it is answered already ends both connections", async (t) => {
    const { client, origin, clock, balancer } = await startSlow(t);
    client.send("POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\n12345");
    const node = await origin.accept();
    await node.log.untilText("12345");
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    await client.log.untilText("12345");
    await clock.advance(60_100);
    await client.log.untilClosed();
    assert.equal(client.log.errorCode, "ECONNRESET");
    await node.log.untilEnd();
    assert.equal(balancer.snapshot().counters.bodyTimeouts, 1);
  });
});

describe("a client that does not read its response", () => {
  it("is cut after the body idle timeout", async (t) => {
    const wire = await startSlow(t);
    const { client, origin, clock, balancer } = wire;
    client.socket.pause();
    client.send(GET);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n");
    node.send(Buffer.alloc(30_000_000));
    await standstill(wire, ({ counters }) => counters.bytesOut);
    await clock.advance(60_100);
    await node.log.untilEnd();
    client.socket.resume();
    await client.log.untilClosed();
    const { counters, nodes } = balancer.snapshot();
    assert.deepEqual([counters.bodyTimeouts, nodes[0].suspect], [1, false]);
    assert.ok(client.log.bytes.length < 30_000_000);
  });
});

describe("a client that goes on sending behind its last answer", () => {
  it("is read for a second and then closed", async (t) => {
    const { client, clock, arrive, until } = await startSlow(t);
    client.send("GET /\r\n\r\n");
    assert.equal((await client.response()).status, 400);
    await client.log.untilEnd();
    await clock.advance(900);
    await arrive("still here");
    await until("still open", ({ connections }) => connections === 1);
    await clock.advance(200);
    await until("closed", ({ connections }) => connections === 0);
  });

  it("is read for 64 KiB and then closed", async (t) => {
    const { client, arrive, until } = await startSlow(t);
    client.send("GET /\r\n\r\n");
    assert.equal((await client.response()).status, 400);
    await client.log.untilEnd();
    await arrive("x".repeat(64 * 1024));
    await until("still open", ({ connections }) => connections === 1);
    client.send("x");
    await until("closed", ({ connections }) => connections === 0);
  });
});

describe("a whole exchange", () => {
  it("that takes longer than it may is answered 504 before its response has begun", async (t) => {
    const { client, origin, clock, balancer } = await startSlow(t, { exchangeTimeoutMs: 2000 });
    client.send(GET);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    await clock.advance(2100);
    const response = await client.response();
    assert.deepEqual([response.status, response.json().code], [504, "ERR_NODE_TIMEOUT"]);
    await node.log.untilEnd();
    assert.equal(balancer.snapshot().counters.exchangeTimeouts, 1);
  });

  it("that takes longer than it may is cut when its response has begun, though bytes still come", async (t) => {
    const { client, origin, clock, balancer } = await startSlow(t, { exchangeTimeoutMs: 2000 });
    client.send(GET);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    await client.log.untilText("\r\n\r\n");
    await clock.advance(1900);
    node.send("x");
    await client.log.untilText("\r\n\r\nx");
    await clock.advance(200);
    await client.log.untilClosed();
    assert.equal(client.log.errorCode, "ECONNRESET");
    assert.equal(balancer.snapshot().counters.exchangeTimeouts, 1);
  });
});
