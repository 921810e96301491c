import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { pathsOf, pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";

describe("the early close that makes a node suspect", () => {
  it("costs its request one attempt, not a second one at the node that comes next", async (t) => {
    const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const nodes = await startFunctionNodes(t, 2);
    const { port, config, balancer, event } = await startBalancer(t, {
      nodes: [bad.port, ...nodes.map((node) => node.port)],
    });
    const client = await connectClient(t, port);
    const path = pathThrough(config.nodes, [`127.0.0.1:${bad.port}`, nodes[0].address]);
    // The third of them meets an idle connection to the node that comes next.
    for (let number = 0; number < 3; number++) {
      const response = await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`);
      assert.equal(response.json().node, "a");
    }
    await event("node_suspect");
    const { counters } = balancer.snapshot();
    assert.deepEqual([counters.attempts, counters.retries, counters.retriesByClose, nodes[0].headsSeen], [6, 3, 3, 3]);
  });

  it("does not hide that the node is gone: the question that cannot be asked marks it dead, and it comes back", async (t) => {
    const closing = (peer: RawPeer) => void peer.socket.once("data", () => peer.destroy());
    const bad = await startRawOrigin(t, closing);
    const good = await startFunctionNode(t, { name: "good" });
    const times = { pingIntervalMs: 20, pingTimeoutMs: 500 };
    const { port, config, balancer, event } = await startBalancer(t, { nodes: [bad.port, good.port], ...times });
    const client = await connectClient(t, port);
    const [path] = pathsOf(config.nodes, `127.0.0.1:${bad.port}`, 1);
    const get = () => client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`);
    for (let number = 0; number < 3; number++) assert.equal((await get()).json().node, "good");
    await event("node_suspect");
    await bad.stop();
    // Nobody asks for the node's keys: it is the question that finds out.
    const { code } = await event("node_dead");
    assert.equal(code, "ECONNREFUSED");
    const [node] = balancer.snapshot().nodes;
    assert.deepEqual([node.alive, node.suspect], [false, false]);
    await startRawOrigin(t, answering(ok("back")), bad.port);
    await event("node_alive");
    assert.equal((await get()).body.toString(), "back");
  });
});
