import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../support/fake-clock.js";
import { pathThrough } from "../support/paths.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { assertForwarded, assertRefused, startWire } from "../support/wire.js";

const HEAD = "POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

describe("Expect: 100-continue", () => {
  it("brings the node's 100 to the client and only then the body to the node", async (t) => {
    const { client, origin, added, balancer } = await startWire(t);
    client.send(`${HEAD}\r\n`);
    const node = await origin.accept();
    const head = HEAD + added();
    await node.log.untilLength(head.length);
    assert.equal(client.text, "", "nothing is promised for the node");
    node.send("HTTP/1.1 100 Go on\r\nX: y\r\n\r\n");
    await client.log.untilLength(CONTINUE.length);
    assert.equal(client.text, CONTINUE);
    assert.equal(node.text, head);
    client.send("hello");
    await node.log.untilText("hello");
    node.send(ok("answer"));
    const response = await client.response();
    assert.deepEqual([response.status, response.interims.length, response.header("connection")], [200, 1, undefined]);
    assert.equal(node.text, `${head}hello`);
    assert.equal(balancer.snapshot().nodes[0].idleConnections, 1, "both connections go on");
  });

  it("holds a body that did not wait until the node has said 100", async (t) => {
    const { client, origin, added } = await startWire(t);
    client.send(`${HEAD}\r\nhello`);
    const node = await origin.accept();
    await node.log.untilLength((HEAD + added()).length);
    assert.equal(node.text, HEAD + added());
    node.send(CONTINUE);
    await node.log.untilText("hello");
    node.send(ok("answer"));
    assert.equal((await client.response()).body.toString(), "answer");
  });

  it("holds a chunked body as well", async (t) => {
    const { client, origin, added } = await startWire(t);
    const head = HEAD.replace("Content-Length: 5", "Transfer-Encoding: chunked");
    client.send(`${head}\r\n5\r\nhello\r\n0\r\n\r\n`);
    const node = await origin.accept();
    await node.log.untilLength((head + added()).length);
    assert.equal(node.text, head + added());
    node.send(CONTINUE);
    await node.log.untilText("0\r\n\r\n");
    node.send(ok("answer"));
    assert.equal((await client.response()).body.toString(), "answer");
  });

  it("relays a final status instead of 100, never sends the body, and closes", async (t) => {
    const { client, origin, added, until } = await startWire(t);
    client.send(`${HEAD}\r\nhello`);
    const node = await origin.accept();
    await node.log.untilLength((HEAD + added()).length);
    node.send("HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno");
    const response = await client.response();
    assert.deepEqual([response.status, response.body.toString(), response.header("connection")], [413, "no", "close"]);
    await client.log.untilEnd();
    await node.log.untilEnd();
    assert.equal(node.text, HEAD + added(), "the node was never sent the body");
    client.end();
    await until("both to be gone", ({ connections, nodes }) => connections === 0 && nodes[0].connections === 0);
    assert.equal(client.log.errorCode, undefined);
  });

  it("gives a node that is silent for a second the body anyway", async (t) => {
    const clock = new FakeClock();
    const { client, origin, added } = await startWire(t, {}, { dependencies: { clock } });
    client.send(`${HEAD}\r\n`);
    const node = await origin.accept();
    await node.log.untilLength((HEAD + added()).length);
    await clock.advance(950);
    assert.equal(client.text, "");
    await clock.advance(150);
    await client.log.untilText(CONTINUE);
    client.send("hello");
    await node.log.untilText("hello");
    node.send(CONTINUE + ok("answer"));
    const response = await client.response();
    assert.deepEqual([response.status, response.interims.length], [200, 1], "the late 100 is one too many");
  });

  it("lets another node be tried, whatever the method, while only the head was sent", async (t) => {
    const other = await startRawOrigin(t);
    const first = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const wire = await startWire(t, { nodes: [first.port, other.port] });
    const path = pathThrough(wire.config.nodes, [`127.0.0.1:${first.port}`]);
    wire.client.send(`${HEAD.replace("/", path)}\r\nhello`);
    const node = await other.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(CONTINUE);
    await node.log.untilText("hello");
    node.send(ok("answer"));
    assert.equal((await wire.client.response()).status, 200);
    assert.equal(first.connections[0].text, HEAD.replace("/", path) + wire.added());
    assert.equal(wire.balancer.snapshot().counters.retries, 0, "nothing was repeated");
  });

  it("passes 100 and the final response on when they come at once", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(`${HEAD}\r\n`);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(CONTINUE + ok("early"));
    const response = await client.response();
    assert.deepEqual([response.interims.length, response.body.toString()], [1, "early"]);
    assert.equal(response.header("connection"), "close", "the body may still come");
    await client.log.untilEnd();
  });

  it("is written in any letters", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(`${HEAD.replace("100-continue", "100-CONTINUE")}\r\nhello`);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    assert.ok(node.text.includes("Expect: 100-CONTINUE\r\n"));
    node.send(CONTINUE);
    await node.log.untilText("hello");
    node.send(ok("answer"));
    assert.equal((await client.response()).status, 200);
  });

  it("means nothing without a body: it is forwarded, and an answer of 100 dropped", async (t) => {
    const { client, origin, added } = await startWire(t);
    client.send("GET / HTTP/1.1\r\nHost: fn\r\nExpect: 100-continue\r\n\r\n");
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    assert.equal(node.text, `GET / HTTP/1.1\r\nHost: fn\r\nExpect: 100-continue\r\n${added()}`);
    node.send(CONTINUE + ok("answer"));
    const response = await client.response();
    assert.deepEqual([response.status, response.interims.length], [200, 0]);
  });

  it("is ignored in HTTP/1.0: the body follows its head, and no 100 is sent", async (t) => {
    const { client, origin, added } = await startWire(t);
    client.send("POST / HTTP/1.0\r\nHost: fn\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    const node = await origin.accept();
    await node.log.untilText("hello");
    assert.equal(node.text, `POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\n${added()}hello`);
    node.send(CONTINUE + ok("answer"));
    const response = await client.response();
    assert.deepEqual([response.status, response.interims.length], [200, 0]);
  });

  it("that is left by its client leaves the node too, which is not to blame", async (t) => {
    const { client, origin, until } = await startWire(t);
    client.send(`${HEAD}\r\n`);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(CONTINUE);
    await client.log.untilText(CONTINUE);
    client.end();
    await node.log.untilEnd();
    await until("the abort", ({ counters, nodes }) => counters.clientAborts === 1 && nodes[0].alive);
  });
});

describe("another expectation", () => {
  for (const value of ["", "200-ok", "100-continue, more", "100-continue;x", "100", "continue", "x=y"]) {
    it(`is refused: ${JSON.stringify(value)}`, async (t) => {
      const request = `POST / HTTP/1.1\r\nHost: fn\r\nExpect: ${value}\r\nContent-Length: 5\r\n\r\nhello`;
      await assertRefused(await startWire(t), request, 417, "ERR_EXPECTATION");
    });
  }

  it("is refused beside 100-continue", async (t) => {
    const request = "GET / HTTP/1.1\r\nHost: fn\r\nExpect: 100-continue\r\nExpect: more\r\n\r\n";
    await assertRefused(await startWire(t), request, 417, "ERR_EXPECTATION");
  });

  it("is ignored in HTTP/1.0", async (t) => {
    const wire = await startWire(t);
    await assertForwarded(
      wire,
      "GET / HTTP/1.0\r\nHost: fn\r\nExpect: more\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: fn\r\n${wire.added()}`,
    );
  });
});
