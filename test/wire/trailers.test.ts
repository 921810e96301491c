import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertClosedWith, assertForwarded, assertRefused, startWire } from "../support/wire.js";

const HEAD = "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n";
const BODY = "5\r\nhello\r\n0\r\n";

const FORBIDDEN = [
  "Transfer-Encoding: chunked",
  "Content-Length: 5",
  "Host: other",
  "Connection: close",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "TE: trailers",
  "Trailer: X",
  "Upgrade: websocket",
  "Expect: 100-continue",
  "Max-Forwards: 1",
  "Cache-Control: no-cache",
  "Range: bytes=0-1",
  "Authorization: Basic eDp5",
  "Proxy-Authorization: Basic eDp5",
  "Cookie: a=b",
  "Set-Cookie: a=b",
  "Content-Encoding: gzip",
  "Content-Type: text/plain",
  "Content-Range: bytes 0-1/2",
  "Forwarded: for=1.2.3.4",
  "X-Forwarded-For: 1.2.3.4",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: other",
  "X-Forwarded-Port: 1",
  "Via: 1.1 x",
  "x_forwarded_FOR: 1.2.3.4",
  "content_length: 5",
];

describe("trailers of a request", () => {
  it("are forwarded as they came", async (t) => {
    const wire = await startWire(t);
    const head = `${HEAD}Trailer: X-Sum\r\n`;
    const trailers = "X-Sum:  abc \r\nx-empty:\r\nX-Sum: \xff\r\n\r\n";
    await assertForwarded(wire, `${head}\r\n${BODY}${trailers}`, head + wire.added() + BODY + trailers, "POST");
  });

  for (const line of FORBIDDEN) {
    it(`leave ${line} behind`, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(
        wire,
        `${HEAD}\r\n${BODY}A: 1\r\n${line}\r\nB: 2\r\n\r\n`,
        `${HEAD}${wire.added()}${BODY}A: 1\r\nB: 2\r\n\r\n`,
        "POST",
      );
    });
  }

  it("leave an empty section when none may pass", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(wire, `${HEAD}\r\n${BODY}Host: other\r\n\r\n`, `${HEAD}${wire.added()}${BODY}\r\n`, "POST");
  });

  it("arrive whole when they came byte by byte, behind a body that went ahead", async (t) => {
    const wire = await startWire(t);
    const { client, origin, until } = wire;
    client.send(`${HEAD}\r\n${BODY}`);
    const node = await origin.accept();
    await node.log.untilText("0\r\n");
    let sent = wire.balancer.snapshot().counters.bytesIn;
    for (const byte of "X-Sum: abc\r\nHost: other\r\n\r") {
      client.send(byte);
      sent++;
      await until("the byte to be read", ({ counters }) => counters.bytesIn === sent);
    }
    assert.equal(node.text, HEAD + wire.added() + BODY, "nothing of them before all of them are known");
    await assertForwarded(
      { ...wire, origin: { ...origin, accept: () => Promise.resolve(node) } },
      "\n",
      `${HEAD}${wire.added()}${BODY}X-Sum: abc\r\n\r\n`,
      "POST",
    );
  });

  it("may be announced without a chunked body, which means nothing", async (t) => {
    const wire = await startWire(t);
    const head = "POST / HTTP/1.1\r\nHost: fn\r\nTrailer: X-Sum\r\nContent-Length: 2\r\n";
    await assertForwarded(wire, `${head}\r\nok`, `${head}${wire.added()}ok`, "POST");
  });

  for (const [name, line] of [
    ["a blank before the colon", "X : y\r\n"],
    ["a folded line", "X: y\r\n z\r\n"],
    ["a bare LF", "X: y\nZ: z\r\n"],
    ["NUL", "X: \0\r\n"],
    ["no colon", "X\r\n"],
    ["a second last chunk's look", "0\r\n"],
  ]) {
    it(`are refused with ${name}`, async (t) => {
      await assertRefused(await startWire(t), `${HEAD}\r\n${BODY}${line}\r\n`, 400, "ERR_BAD_REQUEST");
    });
  }

  const LIMIT = 16 * 1024;
  const section = (bytes: number) =>
    `${`X: ${"y".repeat(995)}\r\n`.repeat(16)}X: ${"y".repeat(bytes - 16_007)}\r\n\r\n`;

  it("may be as large as a head", async (t) => {
    const wire = await startWire(t);
    assert.equal(section(LIMIT).length, LIMIT);
    await assertForwarded(
      wire,
      `${HEAD}\r\n${BODY}${section(LIMIT)}`,
      HEAD + wire.added() + BODY + section(LIMIT),
      "POST",
    );
  });

  it("are refused when they are larger than a head may be", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(`${HEAD}\r\n${BODY}`);
    const node = await origin.accept();
    await node.log.untilText("0\r\n");
    client.send(section(LIMIT + 1));
    await assertClosedWith(client, 400, "ERR_BAD_REQUEST");
    await node.log.untilEnd();
    assert.ok(!node.text.includes("X: y"));
  });

  it("may be 100 fields and not more", async (t) => {
    const wire = await startWire(t);
    const lines = "X: y\r\n".repeat(100);
    await assertForwarded(wire, `${HEAD}\r\n${BODY}${lines}\r\n`, `${HEAD}${wire.added()}${BODY}${lines}\r\n`, "POST");
    await assertRefused(await startWire(t), `${HEAD}\r\n${BODY}${lines}X: y\r\n\r\n`, 400, "ERR_BAD_REQUEST");
  });
});

describe("trailers of a response", () => {
  const RESPONSE = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";

  it("are relayed as they came, without the forbidden ones", async (t) => {
    const { client, origin } = await startWire(t);
    client.send("GET / HTTP/1.1\r\nHost: fn\r\nTE: trailers\r\n\r\n");
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const kept = `${RESPONSE}${BODY}X-Sum: abc\r\nX-More: d\r\n\r\n`;
    node.send(`${RESPONSE}${BODY}X-Sum: abc\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\nX-More: d\r\n\r\n`);
    await client.log.untilText("X-More: d\r\n\r\n");
    assert.equal(client.text, kept);
  });

  it("cut the client off when they are malformed", async (t) => {
    const { client, origin, balancer } = await startWire(t);
    client.send("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(`${RESPONSE}${BODY}X : y\r\n\r\n`);
    await client.log.untilClosed();
    assert.equal(client.log.errorCode, "ECONNRESET");
    assert.ok(!client.text.includes("0\r\n"), "no end is invented");
    await node.log.untilEnd();
    assert.equal(balancer.snapshot().exchanges, 0);
  });
});
