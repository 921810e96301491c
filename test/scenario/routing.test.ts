import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { startFunctionNodes } from "../support/function-node.js";
import { orderOf, pathsOf } from "../support/paths.js";
import { connectClient } from "../support/raw-peer.js";

describe("routing", () => {
  it("FA13: sends a path to the same node, whatever its query", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, config } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    for (let number = 0; number < 30; number++) {
      const home = orderOf(config.nodes, `/f${number}`)[0];
      for (const query of ["", "?x=1", "?y=2;z", "?"]) {
        const response = await client.ask(`GET /f${number}${query} HTTP/1.1\r\nHost: fn\r\n\r\n`);
        assert.equal(response.status, 200);
        const { node, target } = response.json();
        assert.equal(nodes.find(({ name }) => name === node)?.address, home);
        assert.equal(target, `/f${number}${query}`);
      }
    }
  });

  it("sends a path without a slash of its own to the node of /, by its path or where the key is missing", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    for (const key of [[{ kind: "path" }], [{ kind: "header", name: "x-user" }]] as const) {
      const { port, config } = await startBalancer(t, { nodes: nodes.map((node) => node.port), key });
      const home = nodes.find(({ address }) => address === orderOf(config.nodes, "/")[0]);
      const client = await connectClient(t, port);
      for (const target of ["/", "/?q", "http://fn", "http://fn/", "http://fn?q"]) {
        assert.equal((await client.ask(`GET ${target} HTTP/1.1\r\nHost: fn\r\n\r\n`)).json().node, home?.name, target);
      }
    }
  });

  it("FA5: lets every node of the list receive calls", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, config } = await startBalancer(t, { nodes: nodes.map((node) => node.port) });
    const client = await connectClient(t, port);
    for (const { address } of nodes) {
      for (const path of pathsOf(config.nodes, address, 3))
        await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`);
    }
    assert.deepEqual(
      nodes.map(({ calls }) => calls.length),
      [3, 3, 3],
    );
  });
});
