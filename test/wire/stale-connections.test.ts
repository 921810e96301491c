import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startExchange } from "../support/exchange.js";
import { FakeClock } from "../support/fake-clock.js";
import { ok } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const GET = "GET / HTTP/1.1\r\nHost: fn\r\n\r\n";
const PUT = "PUT / HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\n\r\nhello";
const POST = PUT.replace("PUT", "POST");

describe("an idle node connection that closes as it is used again", () => {
  for (const [name, request] of [
    ["GET", GET],
    ["PUT", PUT],
  ]) {
    for (const how of ["destroy", "reset"] as const) {
      it(`costs a ${name} nothing when no byte came (${how})`, async (t) => {
        const { client, node, origin, balancer } = await startExchange(t);
        node.send(ok("first"));
        await client.response();
        node.log.drop(node.log.bytes.length);
        client.send(request);
        await node.log.untilText(`${name} /`);
        const sent = node.text;
        node[how]();
        const fresh = await origin.accept();
        await fresh.log.untilLength(sent.length);
        assert.equal(fresh.text, sent);
        fresh.send(ok("second"));
        assert.equal((await client.response()).body.toString(), "second");
        const { counters, nodes } = balancer.snapshot();
        assert.deepEqual([counters.retries, nodes[0].alive, nodes[0].suspect], [1, true, false]);
      });
    }
  }

  it("ends a POST, which may not be repeated", async (t) => {
    const { client, node, origin } = await startExchange(t);
    node.send(ok("first"));
    await client.response();
    client.send(POST);
    await node.log.untilText("hello");
    node.destroy();
    assertProblem(await client.response(), 502, "ERR_NODE_CLOSED");
    assert.equal(origin.connections.length, 1);
  });

  it("ends a GET when a byte had come", async (t) => {
    const { client, node, origin } = await startExchange(t);
    node.send(ok("first"));
    await client.response();
    client.send(GET);
    await node.log.until("the second", () => (node.text.split("\r\n\r\n").length > 2 ? true : undefined));
    node.socket.end("H");
    assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
    assert.equal(origin.connections.length, 1);
  });

  it("is given one fresh connection to its node, not a second stale one", async (t) => {
    const { client, node, origin, port, until } = await startExchange(t);
    const other = await connectClient(t, port);
    other.send(GET);
    const second = await origin.accept();
    await second.log.untilText("\r\n\r\n");
    node.send(ok("a"));
    second.send(ok("b"));
    await client.response();
    await other.response();
    await until("two idle connections", ({ nodes }) => nodes[0].idleConnections === 2);
    for (const peer of [node, second]) {
      peer.log.drop(peer.log.bytes.length);
      peer.socket.on("data", () => peer.destroy());
    }
    client.send(GET);
    const fresh = await origin.accept();
    await fresh.log.untilText("\r\n\r\n");
    fresh.send(ok("fresh"));
    assert.equal((await client.response()).body.toString(), "fresh");
    assert.ok(node.text === "" || second.text === "", "only one of the old ones was tried");
  });
});

describe("an idle node connection", () => {
  it("is not used again once its node has closed it", async (t) => {
    const { client, node, origin, until } = await startExchange(t);
    node.send(ok("first"));
    await client.response();
    node.end();
    await until("the connection to be gone", ({ nodes }) => nodes[0].connections === 0);
    client.send(POST);
    const fresh = await origin.accept();
    await fresh.log.untilText("hello");
    fresh.send(ok("second"));
    assert.equal((await client.response()).status, 200);
  });

  for (const [name, fields, idleMs] of [
    ["four seconds", "", 4000],
    ["a second less than its node's Keep-Alive says", "Keep-Alive: timeout=3\r\n", 2000],
    ["four seconds when its node's Keep-Alive says more", "Keep-Alive: max=5, timeout=60\r\n", 4000],
  ] as const) {
    it(`is used again for ${name}, and then closed`, async (t) => {
      const clock = new FakeClock();
      const { client, node, until } = await startExchange(t, GET, {}, { dependencies: { clock } });
      node.send(ok("first", fields));
      await client.response();
      await clock.advance(idleMs - 100);
      client.send(GET);
      await node.log.until("the second", () => (node.text.split("\r\n\r\n").length > 2 ? true : undefined));
      node.send(ok("second", fields));
      await client.response();
      await until("it to be kept", ({ nodes }) => nodes[0].idleConnections === 1);
      await clock.advance(idleMs + 1200);
      await node.log.untilEnd();
      await until("it to be gone", ({ nodes }) => nodes[0].connections === 0);
    });
  }

  it("is none when its node's Keep-Alive leaves less than a second", async (t) => {
    const { client, node, until } = await startExchange(t);
    node.send(ok("first", "Keep-Alive: timeout=1\r\n"));
    await client.response();
    await node.log.untilEnd();
    await until("it to be gone", ({ nodes }) => nodes[0].connections === 0);
  });
});
