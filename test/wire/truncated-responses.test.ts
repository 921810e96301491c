import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GET, startExchange } from "../support/exchange.js";
import { pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import type { RawPeer } from "../support/raw-peer.js";
import { assertProblem, startWire } from "../support/wire.js";

const COUNTED = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

const ENDS = [
  ["closes", (node: RawPeer) => node.end()],
  ["resets", (node: RawPeer) => node.reset()],
] as const;

for (const sockets of ["fast", "plain"]) {
  const options = { dependencies: { sockets } };

  describe(`a node that breaks off, on ${sockets} sockets`, () => {
    for (const [how, end] of ENDS) {
      for (const [where, response] of [
        ["behind the head of a counted body", COUNTED],
        ["in a counted body", `${COUNTED}half`],
        ["behind the head of a chunked body", CHUNKED],
        ["in the size of a chunk", `${CHUNKED}a`],
        ["in a chunk", `${CHUNKED}a\r\nhalf`],
        ["behind a chunk", `${CHUNKED}2\r\nok\r\n`],
        ["before the last line end of a chunked body", `${CHUNKED}2\r\nok\r\n0\r\n`],
        ["in the trailers", `${CHUNKED}2\r\nok\r\n0\r\nX: y\r\n`],
      ]) {
        it(`${how} ${where}: the client is reset, nothing is appended and nothing repeated`, async (t) => {
          const { client, node, origin, balancer, until } = await startExchange(t, GET, {}, options);
          node.send(response);
          const relayed = response.slice(0, response.indexOf("X: y") < 0 ? undefined : response.indexOf("X: y"));
          await client.log.untilLength(relayed.length);
          end(node);
          await client.log.untilClosed();
          assert.equal(client.log.errorCode, "ECONNRESET");
          assert.equal(client.text, relayed);
          await until("the exchange to be over", ({ exchanges }) => exchanges === 0);
          const { counters, nodes } = balancer.snapshot();
          assert.deepEqual([counters.nodeAborts, counters.retries, counters.problems], [1, 0, 0]);
          assert.deepEqual([nodes[0].alive, origin.connections.length], [true, 1]);
        });
      }

      for (const [where, response] of [
        ["in its status line", "HTTP/1.1 2"],
        ["in its head", "HTTP/1.1 200 OK\r\nContent-Le"],
        ["before the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"],
        ["behind an interim response", "HTTP/1.1 100 Continue\r\n\r\n"],
      ]) {
        it(`${how} ${where}: the client is answered 502, and no other node is asked`, async (t) => {
          const other = await startRawOrigin(t, answering(ok("other")));
          const { port: badPort, ...bad } = await startRawOrigin(t);
          const { client, config, until } = await startWire(t, { nodes: [badPort, other.port] }, options);
          client.send(GET.replace("/", pathThrough(config.nodes, [`127.0.0.1:${badPort}`])));
          const node = await bad.accept();
          await node.log.untilText("\r\n\r\n");
          node.send(response);
          end(node);
          assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
          assert.equal(other.connections.length, 0);
          await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
          client.send("OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n");
          assert.equal((await client.response()).status, 200, "the client's connection goes on");
        });
      }

      it(`${how} before any byte: a GET goes to the next node`, async (t) => {
        const other = await startRawOrigin(t, answering(ok("other")));
        const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => end(peer)));
        const { client, config, balancer } = await startWire(t, { nodes: [bad.port, other.port] }, options);
        const response = await client.ask(GET.replace("/", pathThrough(config.nodes, [`127.0.0.1:${bad.port}`])));
        assert.equal(response.body.toString(), "other");
        assert.equal(balancer.snapshot().counters.retries, 1);
      });

      it(`${how} before any byte: a POST, which may not be repeated, is answered 502`, async (t) => {
        const other = await startRawOrigin(t, answering(ok("other")));
        const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => end(peer)));
        const { client, config } = await startWire(t, { nodes: [bad.port, other.port] }, options);
        const path = pathThrough(config.nodes, [`127.0.0.1:${bad.port}`]);
        client.send(`POST ${path} HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n\r\nok`);
        assertProblem(await client.response(), 502, "ERR_NODE_CLOSED");
        assert.equal(other.connections.length, 0);
      });
    }

    it("hands over what came with its reset, and then resets the client", async (t) => {
      const { client, node } = await startExchange(t, GET, {}, options);
      node.send(`${COUNTED}half`);
      node.reset();
      await client.log.untilClosed();
      assert.deepEqual([client.text, client.log.errorCode], [`${COUNTED}half`, "ECONNRESET"]);
    });
  });
}

describe("a node whose chunked body is malformed", () => {
  for (const chunk of [
    "x\r\n",
    "-1\r\n",
    "0x1\r\n",
    "5 \r\n",
    "1\nx",
    "2\r\nokx",
    "2\r\nok\n",
    "fffffffffffffffff\r\n",
  ]) {
    it(`cuts its client off: ${JSON.stringify(chunk)}`, async (t) => {
      const { client, node, until } = await startExchange(t);
      node.send(`${CHUNKED}2\r\nok\r\n`);
      await client.log.untilText("ok\r\n");
      node.send(`${chunk}0\r\n\r\n`);
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, "ECONNRESET");
      assert.ok(!client.text.endsWith("0\r\n\r\n"));
      await node.log.untilEnd();
      await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
    });
  }
});
