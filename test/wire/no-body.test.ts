import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";

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
