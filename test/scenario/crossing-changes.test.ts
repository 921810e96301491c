import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { ChangeResult } from "../../src/core/operations.js";
import { memoryStore } from "../../src/store/memory-store.js";
import type { Store } from "../../src/store/store.js";
import { systemClock } from "../../src/system/clock.js";
import { localNode, startConfig } from "../support/balancer.js";
import { configWith } from "../support/clusters.js";
import { eventually } from "../support/fake-clock.js";

const CLUSTERS = { a: { nodes: [1] }, b: { nodes: [2] } };
const ID = "127.0.0.1:7";

/** A store whose edits are made at once, and answered when the test says so. */
function lateStore(): Store & { readonly answer: () => void; readonly waiting: number } {
  const inner = memoryStore({ clock: systemClock });
  const waiting: (() => void)[] = [];
  return {
    ...inner,
    state: "up",
    async edit(...given) {
      const edited = await inner.edit(...given);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return edited;
    },
    answer() {
      for (const resolve of waiting.splice(0)) resolve();
    },
    get waiting() {
      return waiting.length;
    },
  };
}

/** An edit whose answer is on its way. */
async function startEditing(t: TestContext) {
  const store = lateStore();
  const started = await startConfig(t, configWith(CLUSTERS), { store });
  const editing: Promise<ChangeResult> = started.balancer.editNode("b", { id: ID, presence: "added" });
  await eventually(() => store.waiting > 0);
  const ids = (cluster: string) =>
    started.balancer
      .snapshot()
      .nodes.filter((node) => node.cluster === cluster)
      .map(({ id }) => id);
  return { ...started, store, editing, ids };
}

describe("an edit whose answer is on its way", () => {
  it("is told of though a reload removes its cluster meanwhile, and holds when that is back", async (t) => {
    const { balancer, store, editing, ids } = await startEditing(t);
    await balancer.reload(configWith({ a: CLUSTERS.a }));
    store.answer();
    assert.equal(await editing, "applied");
    await assert.rejects(balancer.editNode("b", { id: ID, weight: 2 }), { code: "ERR_NOT_FOUND" });
    await balancer.reload(configWith(CLUSTERS));
    assert.deepEqual(ids("b"), ["127.0.0.1:2", ID]);
  });

  it("goes with a reload that names the node itself", async (t) => {
    const { balancer, store, editing, ids } = await startEditing(t);
    await balancer.reload(configWith({ ...CLUSTERS, b: { nodes: [localNode(7, 3)] } }));
    store.answer();
    assert.equal(await editing, "applied");
    assert.deepEqual(ids("b"), [ID]);
    assert.equal(balancer.snapshot().nodes.find(({ id }) => id === ID)?.weight, 3);
  });

  it("is told of by a balancer that drains, and by one that is closed", async (t) => {
    const { balancer, store, editing } = await startEditing(t);
    await balancer.drain();
    store.answer();
    assert.equal(await editing, "applied");
    await assert.rejects(balancer.editNode("b", { id: ID, weight: 2 }), { code: "ERR_DRAINING" });
    await assert.rejects(balancer.reload(configWith(CLUSTERS)), { code: "ERR_LISTEN" });
  });
});

describe("edits of one node on several replicas at once", () => {
  it("are applied by one of them each, and all replicas have the same nodes", async (t) => {
    const store = memoryStore({ clock: systemClock });
    const replicas = await Promise.all([1, 2, 3].map(() => startConfig(t, configWith(CLUSTERS), { store })));
    const all = (edit: (balancer: (typeof replicas)[number]["balancer"]) => Promise<ChangeResult>) =>
      Promise.all(
        replicas.map(({ balancer }) => edit(balancer).catch(({ code }: { readonly code: string }) => code)),
      ).then((outcomes) => outcomes.sort());
    const once = ["applied", "unchanged", "unchanged"];
    const [added, conflict] = [{ id: ID, presence: "added" } as const, "ERR_CONFLICT"];
    assert.deepEqual(await all((one) => one.editNode("a", added, { expects: "absent" })), [
      conflict,
      conflict,
      "applied",
    ]);
    assert.deepEqual(await all((one) => one.editNode("a", { id: ID, weight: 5 })), once);
    assert.deepEqual(await all((one) => one.editNode("a", { id: ID, mode: "draining" })), once);
    for (const { balancer } of replicas) {
      const node = balancer.snapshot().nodes.find(({ id }) => id === ID);
      assert.deepEqual([node?.weight, node?.mode, node?.origin], [5, "draining", "operator"]);
    }
    assert.deepEqual(await all((one) => one.editNode("a", { id: ID, presence: "removed" })), once);
    for (const { balancer } of replicas) assert.ok(!balancer.snapshot().nodes.some(({ id }) => id === ID));
  });
});
