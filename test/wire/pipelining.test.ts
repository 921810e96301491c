import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answering, ok } from "../support/raw-origin.js";
import { standstill } from "../support/standstill.js";
import { startWire } from "../support/wire.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;

describe("pipelined requests", () => {
  it("are answered in order, and a node has one of them at a time", async (t) => {
    const { client, origin, added } = await startWire(t);
    const post = "POST /2 HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\n";
    client.send(`${get("/1")}${post}\r\nhello${get("/3")}`);
    const node = await origin.accept();
    let received = "";
    for (const [head, body, answer] of [
      ["GET /1 HTTP/1.1\r\nHost: fn\r\n", "", "one"],
      [post, "hello", "two"],
      ["GET /3 HTTP/1.1\r\nHost: fn\r\n", "", "three"],
    ]) {
      received += head + added() + body;
      await node.log.untilLength(received.length);
      assert.equal(node.text, received);
      node.send(ok(answer));
      assert.equal((await client.response()).body.toString(), answer);
    }
    assert.equal(origin.connections.length, 1);
  });

  it("are all answered however many came at once", async (t) => {
    const { client, origin, balancer } = await startWire(
      t,
      {},
      {
        onConnection: (peer) => {
          let answered = 0;
          peer.socket.on("data", () => {
            const targets = [...peer.text.matchAll(/GET (\S+)/g)];
            for (; answered < targets.length; answered++) peer.send(ok(targets[answered][1]));
          });
        },
      },
    );
    const paths = Array.from({ length: 500 }, (_, number) => `/${number}`);
    client.send(paths.map(get).join(""));
    for (const path of paths) assert.equal((await client.response()).body.toString(), path);
    assert.equal(origin.connections.length, 1);
    assert.equal(balancer.snapshot().counters.requests, 500);
  });

  it("behind one that asks to close are not read", async (t) => {
    const { client, origin, balancer } = await startWire(t, {}, { onConnection: answering(ok("last")) });
    client.send(`GET /1 HTTP/1.1\r\nHost: fn\r\nConnection: close\r\n\r\n${get("/2")}`);
    const response = await client.response();
    assert.equal(response.header("connection"), "close");
    await client.log.untilEnd();
    client.end();
    await client.log.untilClosed();
    assert.deepEqual([client.text, client.log.errorCode], ["", undefined]);
    assert.equal(balancer.snapshot().counters.requests, 1);
    assert.ok(!origin.connections[0].text.includes("/2"));
  });

  it("behind a malformed one are not read, those before it are answered", async (t) => {
    const { client, balancer } = await startWire(t, {}, { onConnection: answering(ok("first")) });
    client.send(`${get("/1")}GET /2 HTTP/1.1\r\nHost: fn\r\nX : y\r\n\r\n${get("/3")}`);
    assert.equal((await client.response()).body.toString(), "first");
    const refused = await client.response();
    assert.deepEqual([refused.status, refused.header("connection")], [400, "close"]);
    await client.log.untilEnd();
    assert.equal(client.text, "");
    assert.equal(balancer.snapshot().counters.requests, 1);
  });

  it("may be mixed with OPTIONS *, which waits for its turn", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(`${get("/1")}OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n${get("/3")}`);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    assert.equal(client.text, "");
    node.send(ok("one"));
    assert.equal((await client.response()).body.toString(), "one");
    assert.equal((await client.response()).header("content-length"), "0");
    await node.log.untilText("GET /3");
    node.send(ok("three"));
    assert.equal((await client.response()).body.toString(), "three");
  });

  it("that wait are not read beyond one buffer: the client is held back", async (t) => {
    const wire = await startWire(t);
    const { client, origin, balancer } = wire;
    const flood = Buffer.from(get("/flood").repeat(200_000));
    client.send(flood);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const read = await standstill(wire, ({ counters }) => counters.bytesIn);
    assert.ok(read <= 2 * 128 * 1024, `${read} bytes were read while one request waited for its node`);
    assert.ok(client.socket.writableLength > 0);
    assert.equal(balancer.snapshot().counters.requests, 1);
  });

  it("are answered as their client reads: answers do not pile up either", async (t) => {
    const body = "x".repeat(100_000);
    const wire = await startWire(t, {}, { onConnection: answering(ok(body)) });
    const { client, balancer } = wire;
    client.socket.pause();
    client.send(get("/f").repeat(300));
    await standstill(wire, ({ counters }) => counters.bytesOut);
    const { requests } = balancer.snapshot().counters;
    assert.ok(requests < 200, `${requests} requests were served for a client that reads nothing`);
    client.socket.resume();
    for (let number = 0; number < 300; number++) assert.equal((await client.response()).body.length, body.length);
  });
});
