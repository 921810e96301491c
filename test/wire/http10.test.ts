import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answering, ok } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { assertForwarded, startWire } from "../support/wire.js";

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";

describe("an HTTP/1.0 request", () => {
  it("reaches the node as HTTP/1.1", async (t) => {
    const wire = await startWire(t);
    const response = await assertForwarded(
      wire,
      "POST /a HTTP/1.0\r\nHost: fn\r\nContent-Length: 2\r\n\r\nok",
      `POST /a HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n${wire.added()}ok`,
    );
    assert.equal(response.header("connection"), "close");
  });

  it("closes after its response unless it asked for more", async (t) => {
    const { client } = await startWire(t, {}, { onConnection: answering(ok("answer")) });
    const response = await client.ask("GET / HTTP/1.0\r\n\r\n");
    assert.deepEqual([response.body.toString(), response.header("connection")], ["answer", "close"]);
    await client.log.untilEnd();
  });

  it("closes after its response when it asked for both", async (t) => {
    const { client } = await startWire(t, {}, { onConnection: answering(ok("answer")) });
    const response = await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    assert.equal(response.header("connection"), "close");
    await client.log.untilEnd();
  });

  for (const value of ["keep-alive", "Keep-Alive", "x, KEEP-ALIVE"]) {
    it(`keeps its connection with Connection: ${value}, and is told so`, async (t) => {
      const { client, balancer } = await startWire(t, {}, { onConnection: answering(ok("answer")) });
      for (let number = 0; number < 3; number++) {
        const response = await client.ask(`GET / HTTP/1.0\r\nConnection: ${value}\r\n\r\n`);
        assert.deepEqual([response.body.toString(), response.header("connection")], ["answer", "keep-alive"]);
      }
      assert.equal(balancer.snapshot().counters.connectionsAccepted, 1);
    });
  }

  for (const answer of [
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
  ]) {
    it(`keeps its connection when the answer is ${JSON.stringify(answer)}`, async (t) => {
      const { client } = await startWire(t, {}, { onConnection: answering(answer) });
      for (let number = 0; number < 2; number++) {
        const response = await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert.equal(response.header("connection"), "keep-alive");
      }
    });
  }

  it("gets a chunked response without its chunks, trailers and framing fields, and closes", async (t) => {
    const { client } = await startWire(
      t,
      {},
      {
        onConnection: answering(`${CHUNKED}X: y\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n`),
      },
    );
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await client.log.untilEnd();
    assert.equal(client.text, "HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nhello!");
  });

  it("gets a chunked response that comes in pieces without its chunks", async (t) => {
    const { client, origin } = await startWire(t);
    client.send("GET / HTTP/1.0\r\n\r\n");
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    let expected = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    for (const [piece, data] of [
      [`${CHUNKED}\r\n`, ""],
      ["5\r\nhe", "he"],
      ["l", "l"],
      ["lo\r", "lo"],
      ["\n1\r\n!\r\n0\r\nX-Su", "!"],
      ["m: 1\r\n\r\n", ""],
    ]) {
      node.send(piece);
      expected += data;
      await client.log.untilLength(expected.length);
    }
    await client.log.untilEnd();
    assert.equal(client.text, expected);
  });

  it("is told no coding of a chunked response to HEAD either", async (t) => {
    const { client } = await startWire(t, {}, { onConnection: answering(`${CHUNKED}\r\n`) });
    client.send("HEAD / HTTP/1.0\r\n\r\n");
    await client.log.untilEnd();
    assert.equal(client.text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  });

  it("gets no interim responses", async (t) => {
    const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    const { client, balancer } = await startWire(t, {}, { onConnection: answering(early + ok("answer")) });
    const response = await client.ask("GET / HTTP/1.0\r\n\r\n");
    assert.deepEqual([response.status, response.interims.length], [200, 0]);
    assert.equal(balancer.snapshot().counters.interimResponsesDropped, 1);
  });

  it("closes behind an answer of the balancer's own, whatever it asked for", async (t) => {
    const { client, origin, port } = await startWire(t);
    const options = await client.ask("OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert.equal(options.header("connection"), "close");
    await client.log.untilEnd();
    await origin.stop();
    const other = await connectClient(t, port);
    const offline = await other.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert.deepEqual([offline.status, offline.header("connection")], [502, "close"]);
    await other.log.untilEnd();
  });

  it("is never upgraded", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      "GET / HTTP/1.0\r\nHost: fn\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: fn\r\n${wire.added()}`,
    );
  });
});
