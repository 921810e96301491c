import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { EditCondition } from "../../src/core/operations.js";
import type { NodeChange } from "../../src/core/registry.js";
import type { ErrorCode } from "../../src/errors.js";
import { startBalancer, type TestBalancer } from "../support/balancer.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";
import { type RedisServer, startRedis, WITHOUT_REDIS } from "../support/redis-server.js";

const idOf = ({ port }: FunctionNode) => `127.0.0.1:${port}`;

/** Balancers over the same nodes and store. */
async function startReplicas(t: TestContext, nodes: readonly FunctionNode[], count = 2) {
  const redis: RedisServer = await startRedis(t);
  const settings = { nodes: nodes.map(({ port }) => port), store: redis.url };
  const replicas = await Promise.all(Array.from({ length: count }, () => startBalancer(t, settings)));
  return { redis, replicas };
}

/** The result of an edit, or the code with which it was refused. */
function edit({ balancer }: TestBalancer, change: NodeChange, condition?: EditCondition): Promise<string> {
  return balancer
    .editNode("default", change, condition)
    .catch(({ code }: { readonly code: ErrorCode }) => code as string);
}

const idsOf = ({ balancer }: TestBalancer) => balancer.snapshot().nodes.map(({ id }) => id);

describe("operations on replicas", { skip: WITHOUT_REDIS }, () => {
  it("hold on all of them, whichever is asked (FB12)", async (t) => {
    const [a, b, c] = await startFunctionNodes(t, 3);
    const { replicas } = await startReplicas(t, [a, b]);
    const [one, other] = replicas;
    assert.equal(await edit(one, { id: idOf(c), presence: "added" }), "applied");
    assert.deepEqual(idsOf(one), [a, b, c].map(idOf), "whoever says it sees it at once");
    // The other one looks before it refuses, even if it has not heard of the node yet.
    assert.equal(await edit(other, { id: idOf(c), weight: 3 }, { expects: "present" }), "applied");
    assert.equal(await edit(other, { id: idOf(c), presence: "added" }, { expects: "absent" }), "ERR_CONFLICT");
    assert.equal(await edit(one, { id: idOf(c), weight: 3 }), "unchanged");
    for (const { port, until } of replicas) {
      await until("its weight", ({ nodes }) => nodes.find(({ id }) => id === idOf(c))?.weight === 3);
      const client = await connectClient(t, port);
      const names = new Set<unknown>();
      for (let n = 0; n < 120; n++) {
        names.add((await client.ask(`GET /f/${n} HTTP/1.1\r\nHost: fn\r\n\r\n`)).json().node);
      }
      assert.equal(names.size, 3);
    }
    const versions = () => new Set(replicas.map(({ balancer }) => balancer.snapshot().clusters[0].registryVersion));
    await other.until("the same registry", () => versions().size === 1);
    assert.equal(await edit(other, { id: idOf(c), presence: "removed" }), "applied");
    assert.equal(await edit(one, { id: idOf(c), presence: "removed" }), "unchanged");
    assert.deepEqual(idsOf(one), [a, b].map(idOf));
  });

  it("are all made that are made at once, and only one of two that are the same says so (FB12)", async (t) => {
    const { replicas } = await startReplicas(t, [], 3);
    const ids = Array.from({ length: 60 }, (_, n) => `127.0.0.1:${n + 1}`);
    const added = await Promise.all(ids.map((id, n) => edit(replicas[n % 3], { id, presence: "added" })));
    assert.deepEqual(new Set(added), new Set(["applied"]));
    for (const replica of replicas) {
      await replica.until("all of them", ({ nodes }) => nodes.length === ids.length);
      assert.deepEqual(idsOf(replica), [...ids].sort());
    }
    const everywhere = async (change: NodeChange, condition?: EditCondition) =>
      (await Promise.all([...replicas, ...replicas].map((replica) => edit(replica, change, condition)))).sort();
    assert.deepEqual(await everywhere({ id: "127.0.0.1:99", presence: "added" }, { expects: "absent" }), [
      ...Array<string>(5).fill("ERR_CONFLICT"),
      "applied",
    ]);
    for (const change of [{ weight: 5 }, { mode: "draining" }, { presence: "removed" }] as const) {
      assert.deepEqual(await everywhere({ id: "127.0.0.1:99", ...change }), [
        "applied",
        ...Array<string>(5).fill("unchanged"),
      ]);
    }
  });

  it("are refused while the store is down, but for what each replica knows for itself", async (t) => {
    const [a] = await startFunctionNodes(t, 1);
    const { redis, replicas } = await startReplicas(t, [a], 1);
    const [{ balancer, port, until }] = replicas;
    await redis.kill();
    await until("the store to be down", ({ store }) => store === "down");
    assert.equal(await edit(replicas[0], { id: idOf(a), weight: 2 }), "ERR_STORE");
    assert.equal(
      await edit(replicas[0], { id: "127.0.0.1:1", weight: 2 }),
      "ERR_STORE",
      "nobody can tell whether it is",
    );
    assert.equal(balancer.markAlive({ cluster: "default", node: idOf(a) }), "unchanged");
    assert.equal(balancer.resetNode({ cluster: "default", node: idOf(a) }), "unchanged");
    const client = await connectClient(t, port);
    assert.equal((await client.ask("GET / HTTP/1.1\r\nHost: fn\r\n\r\n")).status, 200);
  });
});
