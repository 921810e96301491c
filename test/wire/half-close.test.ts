import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ok } from "../support/raw-origin.js";
import { startWire } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";

describe("a client's FIN", () => {
  for (const sockets of ["fast", "plain"]) {
    it(`behind a complete request leaves it its answer, then closes, on ${sockets} sockets`, async (t) => {
      const { client, origin, balancer, until } = await startWire(t, {}, { dependencies: { sockets } });
      client.send(GET);
      client.end();
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send(ok("answer"));
      const response = await client.response();
      assert.equal(response.body.toString(), "answer");
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, undefined);
      const { counters } = balancer.snapshot();
      assert.deepEqual([counters.clientAborts, counters.responses2xx], [0, 1]);
      await until("the node's connection to be kept", ({ nodes }) => nodes[0].idleConnections === 1);
    });
  }

  it("that is seen before the response begins has Connection: close announced", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(GET);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    client.end();
    // The FIN leaves before the interim response does, whose arrival shows that it has been read.
    await new Promise((resolve) => client.socket.once("finish", resolve));
    node.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    await client.log.untilText("103");
    node.send(ok("answer"));
    const response = await client.response();
    assert.equal(response.header("connection"), "close");
    await client.log.untilClosed();
  });

  it("behind a complete body leaves it its answer", async (t) => {
    const { client, origin } = await startWire(t);
    client.send("POST / HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    client.end();
    const node = await origin.accept();
    await node.log.untilText("0\r\n\r\n");
    node.send(ok("answer"));
    assert.equal((await client.response()).body.toString(), "answer");
  });

  it("behind pipelined requests leaves each its answer", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(GET + GET);
    client.end();
    const node = await origin.accept();
    for (let number = 1; number <= 2; number++) {
      await node.log.until("the request", () => (node.text.split("\r\n\r\n").length > number ? true : undefined));
      node.send(ok(`${number}`));
      assert.equal((await client.response()).body.toString(), `${number}`);
    }
    await client.log.untilClosed();
    assert.equal(client.log.errorCode, undefined);
  });

  it("is an abort with abortOnClose: the node is left, and not blamed", async (t) => {
    const { client, origin, balancer } = await startWire(t, { abortOnClose: true });
    client.send(GET);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    client.end();
    await node.log.untilEnd();
    await client.log.untilClosed();
    const { counters, nodes } = balancer.snapshot();
    assert.deepEqual([counters.clientAborts, nodes[0].alive, nodes[0].suspect], [1, true, false]);
    assert.equal(client.text, "");
  });

  it("before any request closes the connection without a word", async (t) => {
    const { client, balancer } = await startWire(t);
    client.end();
    await client.log.untilClosed();
    assert.deepEqual([client.text, client.log.errorCode], ["", undefined]);
    assert.equal(balancer.snapshot().counters.problems, 0);
  });

  it("within a head closes the connection without a word", async (t) => {
    const { client, origin } = await startWire(t);
    client.send("GET / HTTP/1.1\r\nHo");
    client.end();
    await client.log.untilClosed();
    assert.deepEqual([client.text, client.log.errorCode, origin.connections.length], ["", undefined, 0]);
  });
});
