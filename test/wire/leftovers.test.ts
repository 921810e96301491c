import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { ok } from "../support/raw-origin.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

describe("bytes behind a response", () => {
  for (const [name, response] of [
    ["counted", ok("answer")],
    ["chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n0\r\n\r\n"],
    ["chunked with trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n0\r\nX: y\r\n\r\n"],
  ]) {
    for (const [what, bytes] of [
      ["a second response", EVIL],
      ["a line end", "\r\n"],
      ["a single byte", "x"],
    ]) {
      it(`that is ${name} never reach a client: ${what} in the same segment`, async (t) => {
        const { client, node, origin } = await startExchange(t, GET + GET);
        node.send(response + bytes);
        const next = await origin.accept();
        await next.log.untilText("\r\n\r\n");
        await node.log.untilEnd();
        next.send(ok("next"));
        await client.log.untilText("next");
        assert.equal(client.text, response + ok("next"));
      });
    }
  }

  it("that come behind the end of a large body never reach a client", async (t) => {
    const { client, node, origin } = await startExchange(t);
    const body = "x".repeat(1_000_000);
    node.send(ok(body) + EVIL);
    await client.log.untilLength(ok(body).length);
    await node.log.untilEnd();
    client.send(GET);
    const next = await origin.accept();
    await next.log.untilText("\r\n\r\n");
    next.send(ok("next"));
    await client.log.untilText("next");
    assert.equal(client.text, ok(body) + ok("next"));
  });

  it("that come while its connection is idle end that connection", async (t) => {
    const { client, node, origin, until } = await startExchange(t);
    node.send(ok("answer"));
    await client.response();
    await until("the connection to be idle", ({ nodes }) => nodes[0].idleConnections === 1);
    node.send(EVIL);
    await node.log.untilEnd();
    await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
    client.send(GET);
    const next = await origin.accept();
    await next.log.untilText("\r\n\r\n");
    next.send(ok("next"));
    assert.equal((await client.response()).body.toString(), "next");
  });

  it("that come on a fresh connection before the request are no answer to it", async (t) => {
    // A node that greets, as a mail server does: what it says first is read as the response, and is none.
    const { client, origin } = await startExchange(t, GET, {}, { onConnection: (peer) => peer.send("220 hello\r\n") });
    assert.equal((await client.response()).status, 502);
    assert.equal(origin.connections.length, 1);
  });
});
