import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNodes } from "../support/function-node.js";
import { pathThrough } from "../support/paths.js";
import { startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";

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
});
