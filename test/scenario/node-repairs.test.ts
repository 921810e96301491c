import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { startMoodyNode } from "../support/moody-node.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

const GET = "GET /f HTTP/1.1\r\nHost: fn\r\n\r\n";
const NO_REPEATS = { closed: false, silent: false, statuses: [] };

/** A balancer with a node whose status a test sets, and what there is to say about it. */
async function start(t: TestContext, config: Partial<TestConfig>) {
  const clock = new FakeClock();
  const node = await startMoodyNode(t, "a");
  const settings = { silenceMs: 0, retryOn: NO_REPEATS, ...config };
  const started = await startBalancer(t, { nodes: [node.port], ...settings }, { clock });
  const client = await connectClient(t, started.port);
  const name = { cluster: "default", node: `127.0.0.1:${node.port}` };
  const ask = async () => (await client.ask(GET)).status;
  const repair = () => started.balancer.resetNode(name);
  const shown = () => started.balancer.snapshot().nodes[0];
  return { ...started, clock, node, name, ask, repair, shown };
}

describe("a node that an operator resets", () => {
  it("has its breaker closed, and one that is closed is left alone (WB6, W13)", async (t) => {
    const { node, ask, repair, shown, event } = await start(t, { breakerFaults: 2 });
    node.status = 500;
    assert.deepEqual([await ask(), await ask(), await ask()], [500, 500, 503]);
    assert.equal(shown().breaker, "open");
    node.status = 200;
    assert.equal(repair(), "applied");
    assert.equal((await event("breaker_closed")).node, shown().id);
    assert.deepEqual([shown().breaker, await ask()], ["closed", 200]);
    assert.equal(repair(), "unchanged");
  });

  it("has its breaker closed while a probe is under way, which says nothing any more (W13)", async (t) => {
    const clock = new FakeClock();
    const node = await startGatedNode(t);
    const settings = { silenceMs: 0, retryOn: NO_REPEATS, breakerFaults: 1 };
    const { balancer, port } = await startBalancer(t, { nodes: [node.port], ...settings }, { clock });
    const client = await connectClient(t, port);
    const fault = client.ask(GET);
    (await node.next()).answer(500);
    await fault;
    await clock.advance(1000);
    const probed = client.ask(GET);
    const probe = await node.next();
    assert.equal(balancer.snapshot().nodes[0].breaker, "half-open");
    assert.equal(balancer.resetNode({ cluster: "default", node: `127.0.0.1:${node.port}` }), "applied");
    probe.answer(500);
    await probed;
    assert.equal(balancer.snapshot().nodes[0].breaker, "closed", "one that was sent before is no judgement of now");
  });

  it("comes back from its ejection at once, and the next one is as short as a first", async (t) => {
    const good = await startFunctionNode(t, { name: "good" });
    const bad = await startMoodyNode(t, "bad", 500);
    const clock = new FakeClock();
    const { balancer, port, event } = await startBalancer(
      t,
      {
        nodes: [bad.port, good.port],
        policy: "weighted-round-robin",
        silenceMs: 0,
        retryOn: NO_REPEATS,
        outlierConsecutive: 2,
      },
      { clock },
    );
    const client = await connectClient(t, port);
    const name = { cluster: "default", node: `127.0.0.1:${bad.port}` };
    const eject = async () => {
      for (let request = 0; request < 4; request++) await client.ask(GET);
      return (await event("node_ejected")).ejectedMs;
    };
    const firstMs = await eject();
    assert.equal(balancer.snapshot().nodes[0].ejected, true);
    assert.equal(balancer.resetNode(name), "applied");
    assert.equal((await event("node_returned")).node, name.node);
    assert.equal(balancer.snapshot().nodes[0].ejected, false);
    assert.equal(balancer.resetNode(name), "unchanged");
    assert.equal(await eject(), firstMs, "what spoke against it is forgotten");
  });

  it("is trusted again, and not suspect again for what it did before", async (t) => {
    const origin = await startRawOrigin(t, (peer) => peer.socket.once("data", () => peer.reset()));
    const settings = { nodes: [origin.port], retryOn: NO_REPEATS, pingIntervalMs: 60_000 };
    const { balancer, port, event } = await startBalancer(t, settings, { clock: new FakeClock() });
    const client = await connectClient(t, port);
    const name = { cluster: "default", node: `127.0.0.1:${origin.port}` };
    for (let request = 0; request < 3; request++) assert.equal((await client.ask(GET)).status, 502);
    assert.equal((await event("node_suspect")).reason, "closes before answering");
    assert.equal(balancer.resetNode(name), "applied");
    assert.equal((await event("node_trusted")).node, name.node);
    assert.equal(balancer.snapshot().nodes[0].suspect, false);
    assert.equal(balancer.resetNode(name), "unchanged");
    await client.ask(GET);
    assert.equal(balancer.snapshot().nodes[0].suspect, false, "a count of three begins anew");
  });

  it("must be one that there is", async (t) => {
    const { balancer, name } = await start(t, {});
    for (const act of [balancer.resetNode, balancer.markAlive]) {
      assert.throws(() => act({ ...name, cluster: "other" }), { code: "ERR_NOT_FOUND" });
      assert.throws(() => act({ ...name, node: "127.0.0.1:1" }), { code: "ERR_NOT_FOUND" });
      assert.throws(() => act({ ...name, node: "quic://a" }), { code: "ERR_BAD_REQUEST" });
      assert.equal(act({ ...name, node: `http://${name.node}/` }), "unchanged", "however it is written");
    }
  });
});

describe("a node that an operator marks as alive", () => {
  it("is dialled by the next request, without waiting for a ping", async (t) => {
    const { balancer, node, name, ask, shown, event } = await start(t, { dialDeadlineMs: 100 });
    assert.equal(balancer.markAlive(name), "unchanged");
    await node.stop();
    assert.equal(await ask(), 502);
    await event("node_dead");
    await node.start();
    // The clock stands still: no ping is due.
    assert.equal(shown().alive, false);
    assert.equal(balancer.markAlive(name), "applied");
    assert.equal((await event("node_alive")).node, name.node);
    assert.deepEqual([shown().alive, await ask(), balancer.snapshot().counters.pings], [true, 200, 0]);
  });

  it("is dead again when nobody answers, and is pinged as before", async (t) => {
    const { balancer, node, name, ask, clock, event } = await start(t, {});
    await node.stop();
    await ask();
    await event("node_dead");
    assert.equal(balancer.markAlive(name), "applied");
    assert.equal(await ask(), 502);
    await event("node_dead");
    await event("node_alive");
    await node.start();
    await clock.advanceUntil(event("node_alive"));
    assert.equal(await ask(), 200);
  });
});
