import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import { DEFAULTS, localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const UPGRADE = "GET /ws HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** Does the port refuse? */
function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
}

describe("drain", () => {
  it("refuses new connections, finishes what runs with Connection: close, and cuts nothing", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer, event } = await startBalancer(t, { nodes: [origin.port] });
    const busy = await connectClient(t, port);
    const idle = await connectClient(t, port);
    busy.send(get("/long"));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const drained = balancer.drain();
    await event("draining");
    await idle.log.untilEnd();
    assert.equal(await isRefused(port), true);
    node.send(ok("done"));
    const response = await busy.response();
    assert.deepEqual(
      [response.status, response.header("connection"), response.body.toString()],
      [200, "close", "done"],
    );
    await busy.log.untilEnd();
    busy.end();
    idle.end();
    assert.deepEqual(await drained, { cut: 0 });
  });

  it("serves on through the drain delay, asking each client to close", async (t) => {
    const clock = new FakeClock();
    const origin = await startRawOrigin(t, (peer) => peer.socket.on("data", () => peer.send(ok("served"))));
    const { port, balancer, event } = await startBalancer(t, { nodes: [origin.port], drainDelayMs: 5000 }, { clock });
    const early = await connectClient(t, port);
    await early.ask(get("/f"));
    const drained = balancer.drain();
    await event("draining");
    const late = await connectClient(t, port);
    for (const client of [early, late]) {
      const response = await client.ask(get("/f"));
      assert.deepEqual([response.status, response.header("connection")], [200, "close"]);
    }
    const checker = await connectClient(t, port);
    const check = await checker.ask("OPTIONS * HTTP/1.1\r\nHost: fnlb\r\n\r\n");
    assert.deepEqual([check.status, check.json().code], [503, "ERR_DRAINING"], "health checks are told first");
    await clock.advance(5100);
    assert.deepEqual(await drained, { cut: 0 });
    assert.equal(await isRefused(port), true);
  });

  it("cuts what still runs when the shutdown timeout is over, visibly, and counts it", async (t) => {
    const clock = new FakeClock();
    const origin = await startRawOrigin(t);
    const { port, balancer, event } = await startBalancer(
      t,
      { nodes: [origin.port], shutdownTimeoutMs: 3000 },
      { clock },
    );
    const waiting = await connectClient(t, port);
    waiting.send(get("/long"));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const half = await connectClient(t, port);
    half.send(get("/half"));
    const sender = await origin.accept();
    await sender.log.untilText("\r\n\r\n");
    sender.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    await half.log.untilText("half");
    const tunnel = await connectClient(t, port);
    tunnel.send(UPGRADE);
    const socket = await origin.accept();
    await socket.log.untilText("\r\n\r\n");
    socket.send(SWITCH);
    await tunnel.response();

    const drained = balancer.drain();
    await event("draining");
    await clock.advance(2900);
    assert.equal(half.log.isClosed, false);
    await clock.advance(200);
    assert.deepEqual(await drained, { cut: 3 });
    for (const client of [waiting, half, tunnel]) await client.log.untilEnd();
    assert.equal(half.log.errorCode, "ECONNRESET", "a truncated body must not look complete");
    await Promise.all([node, sender, socket].map((peer) => peer.log.untilEnd()));
    assert.equal((await event("drained")).cut, 3);
  });

  it("waits for a tunnel that ends by itself", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer, event } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    client.send(UPGRADE);
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(SWITCH);
    await client.response();
    const drained = balancer.drain();
    await event("draining");
    client.send("ping");
    await node.log.untilText("ping");
    node.send("pong");
    await client.log.untilText("pong");
    client.end();
    await node.log.untilEnd();
    node.end();
    assert.deepEqual(await drained, { cut: 0 });
  });

  it("may be asked for twice, and closed at once meanwhile", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    client.send(get("/long"));
    await origin.accept();
    const first = balancer.drain();
    const second = balancer.drain();
    await balancer.close();
    await balancer.close();
    assert.deepEqual(await first, await second);
    await client.log.untilClosed();
  });

  it("ends with a close within its delay, also while a client holds on to its connection", async (t) => {
    const origin = await startRawOrigin(t);
    const { port, balancer } = await startBalancer(t, { nodes: [origin.port], drainDelayMs: 60_000 });
    const client = await connectClient(t, port);
    const drained = balancer.drain();
    assert.equal((await client.ask("OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n")).header("connection"), "close");
    await balancer.close();
    assert.deepEqual(await drained, { cut: 0 });
    await client.log.untilEnd();
  });

  it("ends a start that is under way: nothing stays open behind it", async (t) => {
    const balancer = createBalancer(oneCluster({ ...DEFAULTS, nodes: [localNode(1)] }), {
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    t.after(() => balancer.close());
    const started = balancer.listen();
    const closed = balancer.close();
    await assert.rejects(started, { code: "ERR_LISTEN" });
    await closed;
  });

  it("is over at once before anything was opened", async (t) => {
    const { balancer } = await startBalancer(t, { nodes: [1] });
    await balancer.close();
    assert.deepEqual(await balancer.drain(), { cut: 0 });
  });
});
