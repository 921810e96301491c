import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { ok } from "../support/raw-origin.js";

const POST = "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 10\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOO_LARGE = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";

for (const sockets of ["fast", "plain"]) {
  const options = { dependencies: { sockets } };

  describe(`an answer while the request is still arriving, on ${sockets} sockets`, () => {
    for (const [name, request, rest] of [
      ["a counted request", `${POST}12345`, "67890GET /smuggled HTTP/1.1\r\nHost: fn\r\n\r\n"],
      ["a chunked request", `${CHUNKED}5\r\n12345\r\n`, "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: fn\r\n\r\n"],
    ]) {
      it(`to ${name} is relayed, and the rest is never read as a request`, async (t) => {
        const { client, node, origin, until } = await startExchange(t, request, {}, options);
        await node.log.untilText("12345");
        node.send(TOO_LARGE);
        const response = await client.response();
        assert.deepEqual([response.status, response.body.toString()], [413, "no"]);
        assert.equal(response.header("connection"), "close");
        await node.log.untilEnd();
        client.send(rest);
        client.end();
        await client.log.untilClosed();
        assert.deepEqual([client.text, client.log.errorCode], ["", undefined]);
        await until("all to be gone", ({ connections, nodes }) => connections + nodes[0].connections === 0);
        assert.equal(origin.connections.length, 1);
        assert.ok(!node.text.includes("smuggled"));
      });
    }

    it("is relayed when its node closes right behind it", async (t) => {
      const { client, node } = await startExchange(t, `${POST}12345`, {}, options);
      await node.log.untilText("12345");
      node.socket.end(TOO_LARGE);
      assert.equal((await client.response()).status, 413);
    });

    it("that has begun goes on while the request goes on, and both connections may go on after both are complete", async (t) => {
      const { client, node } = await startExchange(t, `${POST}123`, {}, options);
      await node.log.untilText("123");
      node.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
      await client.log.untilText("abc");
      client.send("4567");
      await node.log.untilText("1234567");
      node.send("d");
      await client.log.untilText("abcd");
      client.send("890");
      await node.log.untilText("1234567890");
      node.send("ef");
      const response = await client.response();
      assert.equal(response.body.toString(), "abcdef");
      assert.equal(response.header("connection"), "close", "it was not known yet whether the request would end");
      await client.log.untilEnd();
    });

    it("whose request then turns out malformed is cut off", async (t) => {
      const { client, node, balancer } = await startExchange(t, `${CHUNKED}2\r\nok\r\n`, {}, options);
      await node.log.untilText("ok");
      node.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
      await client.log.untilText("abc");
      client.send("x\r\n");
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, "ECONNRESET");
      await node.log.untilEnd();
      assert.equal(balancer.snapshot().nodes[0].alive, true);
    });
  });
}

describe("an early answer", () => {
  it("is relayed when its node resets right behind it and bytes of the body are still coming", async (t) => {
    const { client, node, until, balancer } = await startExchange(
      t,
      "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 1000000\r\n\r\n",
      {},
      // The public API gives up reading with the first failed write.
      { dependencies: { sockets: "fast" } },
    );
    // Both are waiting at the balancer at once: bytes for the node, and what the node said before it hung up.
    client.send(Buffer.alloc(1000));
    node.send(TOO_LARGE);
    node.reset();
    const response = await client.response();
    assert.equal(response.status, 413);
    await until("all to be given back", ({ nodes }) => nodes[0].inFlight === 0);
    assert.equal(balancer.snapshot().nodes[0].alive, true);
  });

  it("is read from a node that has stopped reading", async (t) => {
    const { client, node } = await startExchange(t, "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 50000000\r\n\r\n");
    node.socket.pause();
    client.send(Buffer.alloc(20_000_000));
    node.send(ok("enough"));
    const response = await client.response();
    assert.deepEqual([response.body.toString(), response.header("connection")], ["enough", "close"]);
  });
});
