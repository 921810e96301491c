import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { queryObjects } from "node:v8";
import { Histogram } from "../../src/core/histogram.js";
import { NodePool } from "../../src/proxy/node-pool.js";
import { localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { turns } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";

const CYCLES = 200;
/** What the runtime, the compiler and the history of a few seconds may hold. */
const SLACK = 100;

const countOf = (kind: new (...args: never) => object) => queryObjects(kind, { format: "count" });
const census = () => ({
  pools: countOf(NodePool),
  histograms: countOf(Histogram),
  controllers: countOf(AbortController),
  promises: countOf(Promise),
});

describe("a cluster whose nodes come and go, each with a name of its own", () => {
  it("keeps nothing of those that have left, while requests run", async (t) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => {
      if (warning.name !== "ExperimentalWarning") warnings.push(warning);
    };
    process.on("warning", onWarning);
    t.after(() => process.off("warning", onWarning));
    const node = await startFunctionNode(t, { name: "a" });
    const { balancer, port, config } = await startBalancer(
      t,
      { nodes: [node.port], admin: { kind: "tcp", host: "127.0.0.1", port: 0 }, checkPath: "/health" },
      { resolve: async () => ["127.0.0.1"] },
    );
    const client = await connectClient(t, port);
    let cycles = 0;
    const churn = async (count: number) => {
      for (let turn = 0; turn < count; turn++) {
        const id = `n${++cycles}:${node.port}`;
        assert.equal(await balancer.editNode("default", { id, presence: "added" }), "applied");
        if (turn % 30 === 0) {
          const { status, body } = await client.ask(`GET /${turn} HTTP/1.1\r\nHost: fn\r\n\r\n`);
          assert.equal(status, 200, body.toString());
          await balancer.reload(oneCluster({ ...config, nodes: [localNode(node.port, 1 + (turn % 3))] }));
        }
        assert.equal(await balancer.editNode("default", { id, presence: "removed" }), "applied");
        // Checks need the loop, too.
        await turns(1);
      }
    };
    await churn(60);
    const before = census();
    // Each call leaves a reference in the signals that it is given, as long as these live.
    const any = t.mock.method(AbortSignal, "any");
    await churn(CYCLES);
    const after = census();
    for (const [kind, count] of Object.entries(after)) {
      const grown = count - before[kind as keyof typeof before];
      assert.ok(grown < SLACK, `${grown} ${kind} more after ${CYCLES} nodes`);
    }
    assert.equal(any.mock.callCount(), 0);
    assert.deepEqual(warnings, []);
  });
});
