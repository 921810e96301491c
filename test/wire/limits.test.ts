import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { FakeClock } from "../support/fake-clock.js";
import { answering, ok } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { assertClosedWith, assertForwarded, assertProblem, assertRefused, startWire } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const answer = { onConnection: answering(ok("answer")) };

/** A GET whose head has exactly so many bytes. */
function headOf(bytes: number): string {
  const start = "GET / HTTP/1.1\r\nHost: fn\r\nX: ";
  return `${start}${"y".repeat(bytes - start.length - 4)}\r\n\r\n`;
}

describe("a target", () => {
  it("may have 8 KiB", async (t) => {
    const wire = await startWire(t);
    const head = `GET /${"x".repeat(8191)} HTTP/1.1\r\nHost: fn\r\n`;
    await assertForwarded(wire, `${head}\r\n`, head + wire.added());
    assert.equal(wire.balancer.snapshot().counters.targetsTooLong, 0);
  });

  for (const [name, target] of [
    ["in its path", `/${"x".repeat(8192)}`],
    ["in its query", `/?${"x".repeat(8191)}`],
    ["with its authority", `http://fn/${"x".repeat(8183)}`],
  ]) {
    it(`of a byte more is refused, ${name}`, async (t) => {
      const wire = await startWire(t);
      await assertRefused(wire, `GET ${target} HTTP/1.1\r\nHost: fn\r\n\r\n`, 414, "ERR_TARGET_TOO_LONG");
      assert.equal(wire.balancer.snapshot().counters.targetsTooLong, 1);
    });
  }

  it("is refused before its line has ended", async (t) => {
    await assertRefused(await startWire(t), `GET /${"x".repeat(8192)}`, 414, "ERR_TARGET_TOO_LONG");
  });

  it("has the limit that is configured", async (t) => {
    const { client } = await startWire(t, { targetBytesMax: 10 }, answer);
    assert.equal((await client.ask("GET /23456789a HTTP/1.1\r\nHost: fn\r\n\r\n")).status, 200);
    client.send("GET /23456789ab HTTP/1.1\r\nHost: fn\r\n\r\n");
    await assertClosedWith(client, 414, "ERR_TARGET_TOO_LONG");
  });
});

describe("a request head", () => {
  it("may have 16 KiB", async (t) => {
    const { client, balancer } = await startWire(t, {}, answer);
    assert.equal(headOf(16_384).length, 16_384);
    assert.equal((await client.ask(headOf(16_384))).status, 200);
    assert.equal(balancer.snapshot().counters.headsTooLarge, 0);
  });

  it("may have 16 KiB in two pieces, the empty line last", async (t) => {
    const { client, until } = await startWire(t, {}, answer);
    client.send(headOf(16_384).slice(0, -2));
    await until("the first piece", ({ counters }) => counters.bytesIn === 16_382);
    assert.equal((await client.ask("\r\n")).status, 200);
  });

  it("of a byte more is refused", async (t) => {
    const wire = await startWire(t);
    await assertRefused(wire, headOf(16_385), 431, "ERR_HEAD_TOO_LARGE");
    assert.equal(wire.balancer.snapshot().counters.headsTooLarge, 1);
  });

  for (const [name, bytes] of [
    ["a value", `GET / HTTP/1.1\r\nHost: fn\r\nX: ${"y".repeat(17_000)}`],
    ["a name", `GET / HTTP/1.1\r\nHost: fn\r\n${"y".repeat(17_000)}`],
    ["a method", "G".repeat(17_000)],
    ["its lines", `GET / HTTP/1.1\r\nHost: fn\r\n${`X: ${"y".repeat(1000)}\r\n`.repeat(17)}`],
  ]) {
    it(`is refused before it has ended: ${name}`, async (t) => {
      await assertRefused(await startWire(t), bytes, 431, "ERR_HEAD_TOO_LARGE");
    });
  }

  it("is refused in the middle when it comes in pieces", async (t) => {
    const wire = await startWire(t);
    const { client, until } = wire;
    for (let sent = 0; sent < 16_000; sent += 1000) {
      client.send(sent === 0 ? headOf(1004).slice(0, -4) : "y".repeat(1000));
      await until("the piece", ({ counters }) => counters.bytesIn === sent + 1000);
    }
    await assertRefused(wire, "y".repeat(2000), 431, "ERR_HEAD_TOO_LARGE");
  });

  it("may have 100 fields", async (t) => {
    const { client } = await startWire(t, {}, answer);
    assert.equal((await client.ask(`GET / HTTP/1.1\r\nHost: fn\r\n${"X:\r\n".repeat(99)}\r\n`)).status, 200);
  });

  it("with a field more is refused", async (t) => {
    const wire = await startWire(t);
    await assertRefused(wire, `GET / HTTP/1.1\r\nHost: fn\r\n${"X:\r\n".repeat(100)}\r\n`, 431, "ERR_HEAD_TOO_LARGE");
    assert.equal(wire.balancer.snapshot().counters.headsTooLarge, 1);
  });

  it("has the limits that are configured", async (t) => {
    const { client, port } = await startWire(t, { headBytesMax: 100, headFieldsMax: 3 }, answer);
    assert.equal((await client.ask(headOf(100))).status, 200);
    assert.equal((await client.ask("GET / HTTP/1.1\r\nHost: fn\r\nX:\r\nX:\r\n\r\n")).status, 200);
    client.send(headOf(101));
    await assertClosedWith(client, 431, "ERR_HEAD_TOO_LARGE");
    const other = await connectClient(t, port);
    other.send("GET / HTTP/1.1\r\nHost: fn\r\nX:\r\nX:\r\nX:\r\n\r\n");
    await assertClosedWith(other, 431, "ERR_HEAD_TOO_LARGE");
  });
});

describe("a request body", () => {
  const post = (length: number) => `POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: ${length}\r\n\r\n`;
  const CHUNKED = "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n";

  it("may be as large as is configured, counted or chunked", async (t) => {
    const { client, origin } = await startWire(t, { bodyBytesMax: 10 });
    for (const [request, end] of [
      [`${post(10)}0123456789`, "0123456789"],
      [`${CHUNKED}\r\n5\r\n01234\r\n5;x=y\r\n56789\r\n0\r\nX: trailers do not count\r\n\r\n`, "count\r\n\r\n"],
    ]) {
      client.send(request);
      const node = origin.connections[0] ?? (await origin.accept());
      await node.log.untilText(end);
      node.send(ok("fits"));
      assert.equal((await client.response()).body.toString(), "fits");
    }
  });

  it("of a byte more is refused by its Content-Length", async (t) => {
    const wire = await startWire(t, { bodyBytesMax: 10 });
    await assertRefused(wire, post(11), 413, "ERR_BODY_TOO_LARGE");
    assert.equal(wire.balancer.snapshot().counters.bodiesTooLarge, 1);
  });

  it("of a byte more is refused in chunks that come with their head", async (t) => {
    const wire = await startWire(t, { bodyBytesMax: 10 });
    await assertRefused(wire, `${CHUNKED}\r\nb\r\n0123456789a\r\n0\r\n\r\n`, 413, "ERR_BODY_TOO_LARGE");
    assert.equal(wire.balancer.snapshot().counters.bodiesTooLarge, 1);
  });

  it("of a byte more is refused in chunks of which a node has had the first", async (t) => {
    const { client, origin, added, balancer } = await startWire(t, { bodyBytesMax: 10 });
    client.send(`${CHUNKED}\r\na\r\n0123456789\r\n`);
    const node = await origin.accept();
    await node.log.untilText("0123456789\r\n");
    client.send("1\r\nx\r\n0\r\n\r\n");
    await assertClosedWith(client, 413, "ERR_BODY_TOO_LARGE");
    await node.log.untilEnd();
    assert.equal(node.text, `${CHUNKED}${added()}a\r\n0123456789\r\n`);
    assert.equal(balancer.snapshot().counters.bodiesTooLarge, 1);
  });

  it("of a byte more is refused before a 100 (Continue) is asked for", async (t) => {
    const wire = await startWire(t, { bodyBytesMax: 10 });
    const request = post(11).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    await assertRefused(wire, request, 413, "ERR_BODY_TOO_LARGE");
  });
});

describe("a response head", () => {
  const responseOf = (bytes: number) => `HTTP/1.1 204 OK\r\nX: ${"y".repeat(bytes - 24)}\r\n\r\n`;
  const withFields = (count: number) => `HTTP/1.1 204 OK\r\n${"X:\r\n".repeat(count)}\r\n`;

  for (const [name, fits, exceeds] of [
    ["64 KiB", responseOf(64 * 1024), responseOf(64 * 1024 + 1)],
    ["500 fields", withFields(500), withFields(501)],
  ]) {
    it(`may have ${name} and not more`, async (t) => {
      const { client, node, balancer } = await startExchange(t, GET);
      node.send(fits);
      assert.equal((await client.response()).status, 204);
      assert.equal(balancer.snapshot().counters.responseHeadsTooLarge, 0);
      client.send(GET);
      await node.log.until("the next", () => (node.text.split("\r\n\r\n").length > 2 ? true : undefined));
      node.send(exceeds);
      assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
      assert.equal(balancer.snapshot().counters.responseHeadsTooLarge, 1);
    });
  }

  it("has the limit that is configured", async (t) => {
    const { client, node } = await startExchange(t, GET, { responseHeadBytesMax: 100 });
    node.send(responseOf(101));
    assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
  });
});

describe("client connections", () => {
  it("are so many and not more: the next is answered 503 and closed, until one has gone", async (t) => {
    const { client, port, balancer, until } = await startWire(t, { connectionsMax: 2 }, answer);
    const second = await connectClient(t, port);
    assert.equal((await second.ask(GET)).status, 200);
    const third = await connectClient(t, port);
    const response = await assertClosedWith(third, 503, "ERR_AT_CAPACITY");
    assert.equal(response.header("retry-after"), "1");
    assert.equal((await client.ask(GET)).status, 200, "those within the limit are served");
    assert.equal(balancer.snapshot().counters.connectionsRefusedByLimit, 1);
    client.destroy();
    await until("the connection to be gone", ({ connections }) => connections === 1);
    const fourth = await connectClient(t, port);
    assert.equal((await fourth.ask(GET)).status, 200);
  });

  it("above the limit are answered although they have sent a request already", async (t) => {
    const { port, until } = await startWire(t, { connectionsMax: 1 }, answer);
    await until("the first", ({ connections }) => connections === 1);
    for (let number = 0; number < 20; number++) {
      const other = await connectClient(t, port);
      other.send(GET.repeat(100));
      await assertClosedWith(other, 503, "ERR_AT_CAPACITY");
    }
  });

  it("above the limit are at most 256 at a time: of more none is kept", async (t) => {
    const { port, balancer, until } = await startWire(
      t,
      { connectionsMax: 1 },
      { dependencies: { clock: new FakeClock() } },
    );
    await until("the first", ({ connections }) => connections === 1);
    const others = await Promise.all(Array.from({ length: 300 }, () => connectClient(t, port)));
    for (const other of others) await other.log.untilEnd();
    const answered = others.filter(({ text }) => text.startsWith("HTTP/1.1 503 "));
    assert.equal(answered.length, 256);
    assert.equal(balancer.snapshot().counters.connectionsRefusedByLimit, 300);
    assert.equal(balancer.snapshot().connections, 1);
  });

  it("of one address are so many and not more", async (t) => {
    const { client, port, balancer, until } = await startWire(t, { connectionsPerClientMax: 2 }, answer);
    const second = await connectClient(t, port);
    await until("both", ({ connections }) => connections === 2);
    const third = await connectClient(t, port);
    const response = await assertClosedWith(third, 429, "ERR_CLIENT_LIMIT");
    assert.equal(response.header("retry-after"), "1");
    assert.equal(balancer.snapshot().counters.connectionsRefusedByClientLimit, 1);
    const stranger = await connectClient(t, port, "127.0.0.2");
    for (const peer of [client, second, stranger]) assert.equal((await peer.ask(GET)).status, 200);
    client.destroy();
    await until("the connection to be gone", ({ connections }) => connections === 2);
    const fourth = await connectClient(t, port);
    assert.equal((await fourth.ask(GET)).status, 200);
  });

  it("serve so many requests and then close", async (t) => {
    const { client, balancer } = await startWire(t, { requestsPerConnectionMax: 3 }, answer);
    for (const connection of [undefined, undefined, "close"]) {
      assert.equal((await client.ask(GET)).header("connection"), connection);
    }
    await client.log.untilEnd();
    assert.equal(balancer.snapshot().counters.connectionsEndedByRequestLimit, 1);
  });

  it("count OPTIONS * and refused requests among those", async (t) => {
    const { client } = await startWire(t, { requestsPerConnectionMax: 2 }, answer);
    const options = "OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n";
    assert.equal((await client.ask(options)).header("connection"), undefined);
    assert.equal((await client.ask(options)).header("connection"), "close");
    await client.log.untilEnd();
  });

  it("serve any number when that limit is off", async (t) => {
    const { client } = await startWire(t, { requestsPerConnectionMax: 0 }, answer);
    for (let number = 0; number < 5; number++) {
      assert.equal((await client.ask(GET)).header("connection"), undefined);
    }
  });
});

describe("connections of a node", () => {
  it("that are idle are so many and not more: what is over is closed", async (t) => {
    const { client, port, origin, until } = await startExchange(t, GET, { nodeIdleConnectionsMax: 1 });
    const other = await connectClient(t, port);
    other.send(GET);
    const second = await origin.accept();
    const [first] = origin.connections;
    await second.log.untilText("\r\n\r\n");
    first.send(ok("a"));
    await client.response();
    second.send(ok("b"));
    await other.response();
    await second.log.untilEnd();
    await until("one to be kept", ({ nodes }) => nodes[0].connections === 1 && nodes[0].idleConnections === 1);
  });

  it("in use are so many and not more: the next request is answered 503", async (t) => {
    const { client, node, port, balancer } = await startExchange(t, GET, { nodeConnectionsMax: 1 });
    const other = await connectClient(t, port);
    const refused = await other.ask(GET);
    assertProblem(refused, 503, "ERR_AT_CAPACITY");
    assert.deepEqual([refused.header("retry-after"), refused.header("connection")], ["1", undefined]);
    assert.equal(balancer.snapshot().counters.requestsRefusedAtNodeLimit, 1);
    node.send(ok("answer"));
    assert.equal((await client.response()).status, 200);
    other.send(GET);
    await node.log.until("the next", () => (node.text.split("\r\n\r\n").length > 2 ? true : undefined));
    node.send(ok("answer"));
    assert.equal((await other.response()).status, 200);
  });
});
