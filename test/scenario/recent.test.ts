import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { askAdmin } from "../support/admin-client.js";
import { startBalancer } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";

interface Answer {
  readonly latencyMs: { readonly p50: number } | null;
  readonly recent?: Readonly<Record<"rate" | "errors" | "p50Ms" | "p99Ms", number | null>>;
}

const SAMPLE_MS = 2000;

describe("what a cluster and its nodes did in the last two seconds", () => {
  it("stands beside what they have done since the start, and passes", async (t) => {
    const clock = new FakeClock();
    const node = await startFunctionNode(t, {
      name: "slow",
      answer(_request, response) {
        clock.pass(100);
        response.statusCode = 500;
        response.end();
      },
    });
    const admin = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
    const { port, balancer } = await startBalancer(t, { nodes: [node.port], admin }, { clock });
    const ask = async (path: string) => (await askAdmin(String(balancer.adminAddress), path)).json as unknown as Answer;
    const both = () =>
      Promise.all([ask("/v1/clusters/default"), ask(`/v1/clusters/default/nodes/${encodeURIComponent(node.address)}`)]);
    for (const { recent } of await both()) assert.equal(recent, undefined, "nothing is known before the first sample");
    const client = await connectClient(t, port);
    for (let number = 0; number < 4; number++)
      assert.equal((await client.ask(`GET /${number} HTTP/1.1\r\nHost: fn\r\n\r\n`)).status, 500);
    await clock.advance(SAMPLE_MS);
    for (const { latencyMs, recent } of await both()) {
      assert.deepEqual([recent?.rate, recent?.errors], [2, 2]);
      for (const ms of [latencyMs?.p50, recent?.p50Ms, recent?.p99Ms])
        assert.ok(Math.abs(Number(ms) - 100) < 10, `${ms}`);
    }
    await clock.advance(SAMPLE_MS);
    for (const { latencyMs, recent } of await both()) {
      assert.deepEqual(recent, { rate: 0, errors: 0, p50Ms: null, p99Ms: null });
      assert.ok(Number(latencyMs?.p50) > 90);
    }
  });
});
