import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { FakeClock } from "../support/fake-clock.js";
import { ok } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";
import {
  assertForwarded,
  assertProblem,
  startWire,
  type Wire,
  type WireConfig,
  type WireOptions,
} from "../support/wire.js";

const HEAD = "GET /ws HTTP/1.1\r\nHost: fn\r\nSec-WebSocket-Key: x\r\n";
const UPGRADE = `${HEAD}Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nOrigin: o\r\n\r\n`;
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\n";
const SWITCHED = `${SWITCH}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`;

async function openTunnel(
  t: TestContext,
  config: WireConfig = {},
  options: WireOptions = {},
): Promise<Wire & { readonly node: RawPeer }> {
  const wire = await startWire(t, config, options);
  wire.client.send(UPGRADE);
  const node = await wire.origin.accept();
  await node.log.untilText("\r\n\r\n");
  node.log.drop(node.log.bytes.length);
  node.send(SWITCHED);
  await wire.client.log.untilText("\r\n\r\n");
  wire.client.log.drop(wire.client.log.bytes.length);
  return { ...wire, node };
}

describe("an upgrade", () => {
  it("reaches the node, its 101 the client, and then bytes pass both ways", async (t) => {
    const { client, origin, added, balancer, until } = await startWire(t);
    client.send(UPGRADE);
    const node = await origin.accept();
    const head = `${HEAD}Origin: o\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${added()}`;
    await node.log.untilLength(head.length);
    assert.equal(node.text, head);
    node.send(`${SWITCH}Connection: upgrade, x\r\nX: hop\r\nKeep-Alive: timeout=1\r\nUPGRADE: WebSocket\r\n\r\n`);
    await client.log.untilText("\r\n\r\n");
    assert.equal(client.text, `${SWITCH}Upgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n`);
    client.log.drop(client.log.bytes.length);
    client.send("GET / HTTP/1.1\r\n\r\n\0\xff");
    await node.log.untilText("\0\xff");
    assert.equal(node.text, `${head}GET / HTTP/1.1\r\n\r\n\0\xff`);
    node.send("HTTP/1.1 200 no\r\n\r\n\xfe");
    await client.log.untilText("\xfe");
    assert.equal(client.text, "HTTP/1.1 200 no\r\n\r\n\xfe");
    const { tunnels, nodes, counters } = balancer.snapshot();
    assert.deepEqual([tunnels, nodes[0].inFlight, counters.tunnels, counters.responses1xx], [1, 1, 1, 1]);
    client.end();
    await node.log.untilEnd();
    node.end();
    await until("the tunnel to be gone", (now) => now.tunnels === 0 && now.nodes[0].connections === 0);
    assert.equal(balancer.snapshot().nodes[0].inFlight, 0);
  });

  it("brings the bytes right behind its head to the node after its 101, and not before", async (t) => {
    const { client, origin, added } = await startWire(t);
    client.send(`${UPGRADE}early`);
    const node = await origin.accept();
    const head = `${HEAD}Origin: o\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${added()}`;
    await node.log.untilLength(head.length);
    client.send(" and more");
    node.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    await client.log.untilText("103");
    assert.equal(node.text, head);
    node.send(SWITCHED);
    await node.log.untilText("more");
    assert.equal(node.text, `${head}early and more`);
  });

  it("brings the bytes right behind the 101 to the client", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(UPGRADE);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(`${SWITCHED}hello`);
    await client.log.untilText("hello");
    assert.equal(client.text, `${SWITCHED}hello`);
  });

  it("passes with another token when that is allowed", async (t) => {
    const wire = await startWire(t, { upgradeTokens: ["websocket", "tcp"] });
    await assertForwarded(
      wire,
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: TCP\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: fn\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n${wire.added()}`,
    );
  });

  for (const [name, config, request, expected] of [
    [
      "of a token that is not allowed",
      {},
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
      "",
    ],
    [
      "of any token when none is allowed",
      { upgradeTokens: [] },
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "",
    ],
    ["that Connection does not name", {}, "GET / HTTP/1.1\r\nHost: fn\r\nUpgrade: websocket\r\n\r\n", ""],
    ["without a token", {}, "GET / HTTP/1.1\r\nHost: fn\r\nConnection: upgrade\r\n\r\n", ""],
    ["with an empty token", {}, "GET / HTTP/1.1\r\nHost: fn\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n", ""],
    [
      "to h2c",
      {},
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n",
      "",
    ],
    [
      "to h2c, even when somebody allows it",
      { upgradeTokens: ["h2c"] },
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n",
      "",
    ],
    [
      "to h2c or websocket",
      {},
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
      "",
    ],
    [
      "with another method than GET",
      {},
      "POST / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "",
    ],
    [
      "with a body",
      {},
      "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok",
      "Content-Length: 2\r\n",
    ],
  ] as const) {
    it(`${name} is served as a plain request`, async (t) => {
      const wire = await startWire(t, config);
      const [line] = request.split("\r\n");
      const body = expected === "" ? "" : "ok";
      await assertForwarded(wire, request, `${line}\r\nHost: fn\r\n${expected}${wire.added()}${body}`);
    });
  }

  it("that the node answers without 101 is a plain exchange: both connections go on, and there is no tunnel", async (t) => {
    const { client, origin, balancer } = await startWire(t);
    client.send(UPGRADE);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nno");
    const refused = await client.response();
    assert.deepEqual([refused.status, refused.body.toString(), refused.header("upgrade")], [426, "no", undefined]);
    client.send("GET /next HTTP/1.1\r\nHost: fn\r\n\r\n");
    await node.log.untilText("GET /next");
    node.send(ok("next"));
    assert.equal((await client.response()).body.toString(), "next");
    const { tunnels, counters } = balancer.snapshot();
    assert.deepEqual([tunnels, counters.tunnels, origin.connections.length], [0, 0, 1]);
  });

  it("that the node answers without 101 never becomes a tunnel for the bytes behind it", async (t) => {
    const { client, origin } = await startWire(t);
    client.send(`${UPGRADE}\x81\x05hello`);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const received = node.text;
    node.send(ok("plain"));
    assert.equal((await client.response()).body.toString(), "plain");
    assertProblem(await client.response(), 400, "ERR_BAD_REQUEST");
    await client.log.untilEnd();
    assert.equal(node.text, received);
  });

  for (const [name, answer] of [
    ["to another token", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"],
    ["without a token", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ]) {
    it(`that the node switches ${name} is a bad response`, async (t) => {
      const { client, origin } = await startWire(t);
      client.send(UPGRADE);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.send(answer);
      assertProblem(await client.response(), 502, "ERR_BAD_RESPONSE");
      await node.log.untilEnd();
    });
  }

  it("that the node closes on is answered 502", async (t) => {
    const { client, origin, balancer } = await startWire(t, { attemptsMax: 1 });
    client.send(UPGRADE);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.destroy();
    assertProblem(await client.response(), 502, "ERR_NODE_CLOSED");
    assert.equal(balancer.snapshot().nodes[0].connections, 0);
  });
});

for (const sockets of ["fast", "plain"]) {
  const options = { dependencies: { sockets } };

  describe(`a tunnel on ${sockets} sockets`, () => {
    it("passes a half-close on, and the other direction goes on", async (t) => {
      const { client, node, until } = await openTunnel(t, {}, options);
      client.send("last words");
      client.end();
      await node.log.untilEnd();
      assert.equal(node.text, "last words");
      node.send("still here");
      await client.log.untilText("still here");
      node.end();
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, undefined);
      await until("the tunnel to be gone", ({ tunnels }) => tunnels === 0);
    });

    it("passes the node's half-close on as well", async (t) => {
      const { client, node, until } = await openTunnel(t, {}, options);
      node.send("bye");
      node.end();
      await client.log.untilEnd();
      client.send("one more");
      await node.log.untilText("one more");
      client.end();
      await node.log.untilClosed();
      assert.deepEqual([client.text, node.log.errorCode], ["bye", undefined]);
      await until("the tunnel to be gone", ({ tunnels }) => tunnels === 0);
    });

    it("passes a reset of the client on", async (t) => {
      const { client, node, balancer, until } = await openTunnel(t, {}, options);
      client.reset();
      await node.log.untilClosed();
      assert.equal(node.log.errorCode, "ECONNRESET");
      await until("the tunnel to be gone", ({ tunnels }) => tunnels === 0);
      assert.equal(balancer.snapshot().nodes[0].alive, true);
    });

    it("passes a reset of the node on", async (t) => {
      const { client, node, until } = await openTunnel(t, {}, options);
      node.reset();
      await client.log.untilClosed();
      assert.equal(client.log.errorCode, "ECONNRESET");
      await until("the tunnel to be gone", ({ tunnels }) => tunnels === 0);
    });

    it("passes the last bytes on when a half-closed side is written to until the end", async (t) => {
      const { client, node } = await openTunnel(t, {}, options);
      client.end();
      await node.log.untilEnd();
      const bytes = Buffer.alloc(3_000_000, "0123456789");
      node.socket.end(bytes);
      await client.log.untilEnd();
      assert.ok(client.log.bytes.equals(bytes));
    });

    it("ends at the close of the balancer", async (t) => {
      const { client, node, balancer } = await openTunnel(t, {}, options);
      await balancer.close();
      await client.log.untilEnd();
      await node.log.untilEnd();
      assert.equal(balancer.snapshot().tunnels, 0);
    });
  });
}

describe("a tunnel", () => {
  it("closes when nothing has passed in either direction for the idle timeout", async (t) => {
    const clock = new FakeClock();
    const { client, node, balancer } = await openTunnel(t, { tunnelIdleTimeoutMs: 2000 }, { dependencies: { clock } });
    for (const [from, to] of [
      [client, node],
      [node, client],
    ]) {
      await clock.advance(1900);
      from.send("x");
      await to.log.untilText("x");
    }
    await clock.advance(1900);
    assert.equal(balancer.snapshot().tunnels, 1);
    await clock.advance(200);
    await client.log.untilEnd();
    await node.log.untilEnd();
    assert.deepEqual([balancer.snapshot().tunnels, balancer.snapshot().counters.tunnelTimeouts], [0, 1]);
  });

  it("is one of at most so many: a further upgrade is refused, until one has ended", async (t) => {
    const { client, origin, port, balancer, until } = await openTunnel(t, { tunnelsMax: 1 });
    const other = await connectClient(t, port);
    const refused = await other.ask(UPGRADE);
    assertProblem(refused, 503, "ERR_AT_CAPACITY");
    assert.equal(refused.header("retry-after"), "1");
    assert.equal(balancer.snapshot().counters.requestsRefusedAtTunnelLimit, 1);
    assert.equal(origin.connections.length, 1, "no node hears of it");
    client.reset();
    await until("the tunnel to be gone", ({ tunnels }) => tunnels === 0);
    other.send(UPGRADE);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(SWITCHED);
    assert.equal((await other.response()).status, 101);
  });

  it("is one of at most so many, also when several nodes agree at once", async (t) => {
    const { client, origin, port, balancer } = await startWire(t, { tunnelsMax: 1 });
    const other = await connectClient(t, port);
    client.send(UPGRADE);
    const first = await origin.accept();
    await first.log.untilText("\r\n\r\n");
    other.send(UPGRADE);
    const second = await origin.accept();
    await second.log.untilText("\r\n\r\n");
    first.send(SWITCHED);
    assert.equal((await client.response()).status, 101);
    second.send(SWITCHED);
    assertProblem(await other.response(), 503, "ERR_AT_CAPACITY");
    await second.log.untilEnd();
    const { tunnels, counters } = balancer.snapshot();
    assert.deepEqual([tunnels, counters.requestsRefusedAtTunnelLimit], [1, 1]);
  });
});
