import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answering } from "../support/raw-origin.js";
import { assertForwarded, startWire } from "../support/wire.js";

describe("the fields of one hop", () => {
  for (const [name, lines, kept] of [
    ["Connection: close", "Connection: close\r\n", ""],
    ["Connection: keep-alive", "Connection: keep-alive\r\n", ""],
    ["an empty Connection", "Connection:\r\nConnection: ,, ,\r\n", ""],
    ["what Connection names", "A: 1\r\nConnection: a, b\r\nB: 2\r\nC: 3\r\nb: 4\r\n", "C: 3\r\n"],
    ["what several Connection fields name", "Connection: A\r\nA: 1\r\nB: 2\r\nCONNECTION:B\r\n", ""],
    ["what Connection names before and behind it, in any letters", "X-y: 1\r\nConnection: x-Y\r\nx-Y: 2\r\n", ""],
    ["Keep-Alive", "Keep-Alive: timeout=5\r\n", ""],
    ["Proxy-Connection", "Proxy-Connection: keep-alive\r\n", ""],
    ["Proxy-Authenticate", "Proxy-Authenticate: Basic\r\n", ""],
    ["Proxy-Authorization", "Proxy-Authorization: Basic eDp5\r\n", ""],
    ["Upgrade", "Upgrade: websocket\r\n", ""],
    [
      "Upgrade that Connection names, of a protocol that is not let through",
      "Connection: Upgrade\r\nUpgrade: foo\r\n",
      "",
    ],
    ["TE", "TE: gzip\r\n", ""],
    ["TE that Connection names", "Connection: TE\r\nTE: deflate;q=0.5\r\n", ""],
    ["HTTP2-Settings", "Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n", ""],
    ["an end-to-end field that Connection names", "Connection: cookie\r\nCookie: a=b\r\n", ""],
  ]) {
    it(`FA4: stay behind: ${name}`, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(
        wire,
        `GET / HTTP/1.1\r\nHost: fn\r\n${lines}Last: one\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: fn\r\n${kept}Last: one\r\n${wire.added()}`,
      );
    });
  }

  it("never include Host, framing, Via, Expect or a forwarding field, whatever Connection names", async (t) => {
    const wire = await startWire(t);
    const connection = "Connection: host, content-length, via, x-request-id, x-forwarded-for, x-forwarded-proto\r\n";
    const head = "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n";
    const kept = "Via: 1.0 other\r\nX-Request-Id: 1\r\n";
    await assertForwarded(
      wire,
      `${head}${connection}${kept}X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\nok`,
      `${head}${kept}${wire.added().replace("X-Forwarded-For: ", "X-Forwarded-For: 1.2.3.4, ")}ok`,
      "POST",
    );
  });

  it("never include Transfer-Encoding", async (t) => {
    const wire = await startWire(t);
    const head = "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n";
    await assertForwarded(
      wire,
      `${head}Connection: transfer-encoding, Transfer-Encoding\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      `${head}${wire.added()}2\r\nok\r\n0\r\n\r\n`,
      "POST",
    );
  });

  for (const te of ["trailers", "Trailers", "deflate;q=0.5, trailers", "trailers, gzip"]) {
    it(`have TE: ${te} sent on as what this hop says itself`, async (t) => {
      const wire = await startWire(t);
      await assertForwarded(
        wire,
        `GET / HTTP/1.1\r\nHost: fn\r\nTE: ${te}\r\nConnection: TE\r\nTrailer: X\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: fn\r\nTrailer: X\r\nTE: trailers\r\nConnection: TE\r\n${wire.added()}`,
      );
    });
  }

  it("decide whether the client's connection goes on, the node's does", async (t) => {
    const { client, balancer, until } = await startWire(
      t,
      {},
      {
        onConnection: answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
      },
    );
    const response = await client.ask("GET / HTTP/1.1\r\nHost: fn\r\nConnection: Close\r\n\r\n");
    assert.equal(response.header("connection"), "close");
    await client.log.untilEnd();
    await until("the connection to be kept", ({ nodes }) => nodes[0].idleConnections === 1);
    assert.equal(balancer.snapshot().counters.dials, 1);
  });
});

describe("the fields of a response's hop", () => {
  it("FA4: stay behind as those of a request do, and Set-Cookie stays a list", async (t) => {
    const kept =
      "HTTP/1.1 200 Fine by me\r\nserver: n\r\nSet-Cookie: a=1\r\nX-Latin: \xff\r\nSet-Cookie: b=2; Path=/\r\n" +
      "Trailer: X\r\nContent-Length: 2\r\nset-cookie: c=3, d=4\r\nVia: 1.1 inner\r\n";
    const [first, ...rest] = kept.split("Trailer: X\r\n");
    const { client } = await startWire(
      t,
      {},
      {
        onConnection: answering(
          `${first}Connection: keep-alive, x-hop\r\nKeep-Alive: timeout=5, max=3\r\nX-Hop: 1\r\nTE: x\r\nUpgrade: h2c\r\n` +
            `Proxy-Connection: a\r\nProxy-Authenticate: Basic\r\nTrailer: X\r\n${rest.join("")}X-HOP: 2\r\n\r\nok`,
        ),
      },
    );
    client.send("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
    await client.log.untilText("ok");
    assert.equal(client.text, `${kept}\r\nok`);
  });

  it("never include the framing, whatever Connection names", async (t) => {
    const { client } = await startWire(
      t,
      {},
      {
        onConnection: answering("HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok"),
      },
    );
    client.send("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
    await client.log.untilText("ok");
    assert.equal(client.text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });

  it("end the node's connection when it says close, not the client's", async (t) => {
    const { client, origin } = await startWire(
      t,
      {},
      {
        onConnection: answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
      },
    );
    for (let number = 1; number <= 2; number++) {
      const response = await client.ask("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
      assert.equal(response.header("connection"), undefined);
      assert.equal(origin.connections.length, number);
      await origin.connections[number - 1].log.untilEnd();
    }
  });
});
