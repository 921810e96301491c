import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { startWire, VIA } from "../support/wire.js";

const HEAD = "HEAD / HTTP/1.1\r\nHost: fn\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";

describe("a response without a body", () => {
  for (const [name, request, response, relayed] of [
    ["to HEAD with a length", HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", undefined],
    ["to HEAD with chunks", HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", undefined],
    ["to HEAD without a length", HEAD, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", undefined],
    ["to HEAD of 404", HEAD, "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n", undefined],
    ["of 204", GET, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", undefined],
    [
      "of 204 with a length",
      GET,
      "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
    ],
    [
      "of 204 with chunks",
      GET,
      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n",
      "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    ],
    ["of 304", GET, 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', undefined],
    [
      "of 304 with the length of what was not sent",
      GET,
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
      undefined,
    ],
    ["of length 0", GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", undefined],
  ] as const) {
    it(`${name} is complete with its head, and both connections go on`, async (t) => {
      const { client, node, origin, until } = await startExchange(t, request);
      const expected = relayed ?? response;
      for (let number = 1; number <= 3; number++) {
        node.send(response);
        await client.log.untilLength(expected.length * number);
        assert.equal(client.text, expected.repeat(number));
        await until("the node's connection to be kept", ({ nodes }) => nodes[0].idleConnections === 1);
        client.send(request);
        await node.log.until("the next", () => (node.text.split("\r\n\r\n").length > number + 1 ? true : undefined));
      }
      assert.equal(origin.connections.length, 1);
    });

    it(`${name} keeps its status when there is a body nevertheless, which is dropped with its connection`, async (t) => {
      const { client, node, origin, until } = await startExchange(t, request);
      const expected = relayed ?? response;
      node.send(`${response}hello`);
      await client.log.untilLength(expected.length);
      await node.log.untilEnd();
      await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
      client.send(GET);
      const next = await origin.accept();
      await next.log.untilText("\r\n\r\n");
      next.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
      await client.log.untilText("next");
      assert.equal(client.text, `${expected}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext`);
    });
  }
});

describe("a refusal of HEAD", () => {
  for (const [name, lines] of [
    ["for its fields", "Host: fn\r\nContent-Length: x\r\n"],
    ["for a blank before a colon", "Host : fn\r\n"],
    ["for its expectation", "Host: fn\r\nExpect: x\r\n"],
    ["for its size", `Host: fn\r\nX: ${"y".repeat(17_000)}\r\n`],
    ["for a loop", `Host: fn\r\nVia: 1.1 ${VIA}, 1.1 ${VIA}\r\n`],
  ]) {
    it(`has no body either: ${name}`, async (t) => {
      const { client } = await startWire(t);
      client.send(`HEAD / HTTP/1.1\r\n${lines}\r\n`);
      const response = await client.response("HEAD");
      assert.ok(response.status >= 400);
      assert.notEqual(response.header("content-length"), "0");
      await client.log.untilEnd();
      assert.equal(client.text, "");
    });
  }

  it("is not mistaken for one of GET behind it", async (t) => {
    const { client, node } = await startExchange(t, HEAD);
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    await client.response("HEAD");
    client.send("GET /\r\n\r\n");
    const response = await client.response();
    assert.deepEqual([response.status, response.json().code], [400, "ERR_BAD_REQUEST"]);
  });
});
