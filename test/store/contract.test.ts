import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import type { NodeChange, NodeEdit, StoreState } from "../../src/core/registry.js";
import { memoryStore } from "../../src/store/memory-store.js";
import type { EditGuard, Store } from "../../src/store/store.js";
import { eventually } from "../support/fake-clock.js";
import { startRedis, WITHOUT_REDIS } from "../support/redis-server.js";
import { CLUSTER, type Replica, runReplica, startReplica } from "../support/replica.js";

interface Kind {
  readonly name: string;
  readonly skip: string | false;
  readonly state: StoreState;
  readonly start: (t: TestContext, count: number) => Promise<Replica<Store>[]>;
}

const KINDS: readonly Kind[] = [
  {
    name: "in the memory of one process",
    state: "none",
    skip: false,
    async start(t, count) {
      let shared: Store | undefined;
      return Array.from({ length: count }, () =>
        runReplica(t, (dependencies) => {
          shared ??= memoryStore(dependencies);
          return shared;
        }),
      );
    },
  },
  {
    name: "on a Redis server",
    state: "up",
    skip: WITHOUT_REDIS,
    async start(t, count) {
      const { url } = await startRedis(t);
      return Promise.all(Array.from({ length: count }, () => startReplica(t, url)));
    },
  },
];

const isBadRequest = { name: "FnlbError", code: "ERR_BAD_REQUEST" };

for (const { name, state, skip, start } of KINDS) {
  describe(`a store ${name}`, { skip }, () => {
    it(`says "${state}", and knows nothing at first`, async (t) => {
      const [{ store, told }] = await start(t, 1);
      assert.equal(store.state, state);
      assert.deepEqual(await store.read(CLUSTER), { version: "", edits: new Map() });
      assert.deepEqual(told, [{ version: "", edits: new Map() }]);
    });

    it("tells every replica what was said on one of them", async (t) => {
      const [one, other] = await start(t, 2);
      await one.store.edit(CLUSTER, [{ id: "a:80", presence: "added", weight: 2.5, mode: "draining" }]);
      const edits = { "a:80": { presence: "added", weight: 2.5, mode: "draining" } };
      assert.deepEqual(one.edits, edits, "whoever says it knows it first");
      await other.until("the other to hear of it", () => other.edits["a:80"] !== undefined);
      assert.deepEqual(other.edits, edits);
      assert.equal(other.told.at(-1)?.version, one.told.at(-1)?.version);
      assert.deepEqual(Object.fromEntries((await other.store.read(CLUSTER)).edits), edits);
    });

    it("hears operators who say different things of one node at the same time", async (t) => {
      const [one, other] = await start(t, 2);
      await Promise.all([
        one.store.edit(CLUSTER, [{ id: "a:80", weight: 7 }]),
        other.store.edit(CLUSTER, [{ id: "a:80", mode: "disabled" }]),
      ]);
      const edits = { "a:80": { weight: 7, mode: "disabled" } };
      for (const replica of [one, other]) {
        await replica.until("both", () => Object.keys(replica.edits["a:80"] ?? {}).length === 2);
        assert.deepEqual(replica.edits, edits);
      }
    });

    it("takes back what it is told to", async (t) => {
      const [replica] = await start(t, 1);
      const { store } = replica;
      await store.edit(CLUSTER, [{ id: "a:80", presence: "added", weight: 0, mode: "draining" }]);
      await store.edit(CLUSTER, [{ id: "a:80", mode: "active" }]);
      assert.deepEqual(replica.edits, { "a:80": { presence: "added", weight: 0 } });
      await store.edit(CLUSTER, [{ id: "a:80", weight: null }]);
      assert.deepEqual(replica.edits, { "a:80": { presence: "added" } });
      await store.edit(CLUSTER, [{ id: "a:80", presence: null }]);
      assert.deepEqual(replica.edits, {});
    });

    it("forgets weight and mode of a node that is removed", async (t) => {
      const [replica] = await start(t, 1);
      await replica.store.edit(CLUSTER, [{ id: "a:80", presence: "added", weight: 3, mode: "draining" }]);
      await replica.store.edit(CLUSTER, [{ id: "a:80", presence: "removed" }]);
      assert.deepEqual(replica.edits, { "a:80": { presence: "removed" } });
      await replica.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
      assert.deepEqual(replica.edits, { "a:80": { presence: "added" } });
    });

    it("tells nobody of an edit that changes nothing", async (t) => {
      const [one, other] = await start(t, 2);
      const change: NodeChange = { id: "a:80", presence: "added", weight: 2 };
      const { version } = await one.store.edit(CLUSTER, [change]);
      await other.until("the first", () => other.told.length === 2);
      assert.equal((await other.store.edit(CLUSTER, [change])).version, version);
      assert.equal((await other.store.edit(CLUSTER, [])).version, version);
      assert.deepEqual([one.told.length, other.told.length], [2, 2]);
    });

    it("says what had been said of the edited nodes before, whoever said it", async (t) => {
      const [one, other] = await start(t, 2);
      const before = async (replica: Replica, ...changes: readonly NodeChange[]) =>
        Object.fromEntries((await replica.store.edit(CLUSTER, changes)).before);
      assert.deepEqual(await before(one, { id: "a:80", presence: "added", weight: 2 }), {});
      assert.deepEqual(await before(other, { id: "a:80", mode: "draining" }), {
        "a:80": { presence: "added", weight: 2 },
      });
      assert.deepEqual(await before(one, { id: "b:80", weight: 1 }), {}, "nothing of others");
      assert.deepEqual(await before(one, { id: "a:80", presence: "removed" }, { id: "b:80", weight: 1 }), {
        "a:80": { presence: "added", weight: 2, mode: "draining" },
        "b:80": { weight: 1 },
      });
      assert.deepEqual(await before(other, { id: "a:80" }), { "a:80": { presence: "removed" } });
    });

    it("makes no edit whose guard is not so, whoever made it so", async (t) => {
      const [one, other] = await start(t, 2);
      const guard = (presence: EditGuard["presence"], isSaid: boolean): EditGuard => ({ id: "a:80", presence, isSaid });
      const change: NodeChange = { id: "a:80", weight: 2 };
      const isMoved = { name: "FnlbError", code: "ERR_CONFLICT" };
      await assert.rejects(one.store.edit(CLUSTER, [change], guard("added", true)), isMoved);
      assert.deepEqual(one.edits, {});
      await one.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }], guard("added", false));
      await assert.rejects(
        other.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }], guard("added", false)),
        isMoved,
      );
      assert.deepEqual(other.edits, { "a:80": { presence: "added" } }, "whoever is refused knows why");
      await other.store.edit(CLUSTER, [change], guard("removed", false));
      await one.store.edit(CLUSTER, [{ id: "a:80", presence: "removed" }], guard("added", true));
      await assert.rejects(one.store.edit(CLUSTER, [change], guard("removed", false)), isMoved);
      assert.deepEqual(one.edits, { "a:80": { presence: "removed" } });
    });

    it("adds a node for one alone of many that add it at once where it is not there", async (t) => {
      const replicas = await start(t, 3);
      const guard: EditGuard = { id: "a:80", presence: "added", isSaid: false };
      const added = await Promise.allSettled(
        Array.from({ length: 30 }, (_, n) =>
          replicas[n % 3].store.edit(CLUSTER, [{ id: "a:80", presence: "added", weight: n }], guard),
        ),
      );
      assert.equal(added.filter(({ status }) => status === "fulfilled").length, 1);
    });

    it("gives each change another version", async (t) => {
      const [{ store, told }] = await start(t, 1);
      for (const weight of [1, 2, 1]) await store.edit(CLUSTER, [{ id: "a:80", weight }]);
      assert.equal(new Set(told.map(({ version }) => version)).size, 4);
    });

    it("makes all changes of an edit or none", async (t) => {
      const [replica] = await start(t, 1);
      const { store } = replica;
      const good: NodeChange = { id: "a:80", weight: 1 };
      const bad: readonly NodeChange[] = [
        { id: "", weight: 1 },
        { id: "x".repeat(1025), weight: 1 },
        { id: "unix:/\ud800", weight: 1 },
        { id: "b:80", weight: -1 },
        { id: "b:80", weight: 1000.5 },
        { id: "b:80", weight: Number.NaN },
        { id: "b:80", mode: "paused" as "draining" },
        { id: "b:80", presence: "there" as "added" },
      ];
      for (const change of bad) await assert.rejects(store.edit(CLUSTER, [good, change]), isBadRequest);
      const many = Array.from({ length: 1001 }, (_, n) => ({ id: `n${n}:80`, weight: 1 }));
      await assert.rejects(store.edit(CLUSTER, many), isBadRequest);
      assert.deepEqual(replica.edits, {});
    });

    it("takes no more than ten thousand statements, and less again afterwards", async (t) => {
      const [replica] = await start(t, 1);
      const { store } = replica;
      for (let thousand = 0; thousand < 10; thousand++) {
        const changes = Array.from({ length: 1000 }, (_, n) => ({ id: `n${thousand * 1000 + n}:80`, weight: 5 }));
        await store.edit(CLUSTER, changes);
      }
      const isFull = { name: "FnlbError", code: "ERR_STORE" };
      await assert.rejects(store.edit(CLUSTER, [{ id: "more:80", weight: 5 }]), isFull);
      await assert.rejects(
        store.edit(CLUSTER, [{ id: "n0:80", weight: null, mode: "draining", presence: "added" }]),
        isFull,
      );
      await store.edit(CLUSTER, [{ id: "n1:80", weight: 6 }]);
      await store.edit(CLUSTER, [
        { id: "n0:80", weight: null },
        { id: "more:80", weight: 5 },
      ]);
      assert.equal((await store.read(CLUSTER)).edits.size, 10_000);
      assert.deepEqual([replica.edits["more:80"], replica.edits["n0:80"]], [{ weight: 5 }, undefined]);
      await store.edit("another", [{ id: "more:80", weight: 5 }]);
    });

    it("keeps clusters apart, whatever they are called", async (t) => {
      const [replica] = await start(t, 1);
      for (const cluster of ["__proto__", "a:b c", "version", "ü"]) {
        await replica.store.edit(cluster, [{ id: `${cluster}:80`, weight: 1 }]);
        assert.deepEqual([...(await replica.store.read(cluster)).edits.keys()], [`${cluster}:80`]);
      }
      assert.deepEqual(replica.edits, {});
    });

    it("tells nobody who has left", async (t) => {
      const [{ store }] = await start(t, 1);
      const stop = new AbortController();
      const versions: string[] = [];
      store.watch("d", ({ version }) => versions.push(version), stop.signal);
      await store.edit("d", [{ id: "a:80", weight: 1 }]);
      const before = versions.length;
      stop.abort();
      await store.edit("d", [{ id: "a:80", weight: 2 }]);
      store.watch("d", ({ version }) => versions.push(version), stop.signal);
      assert.equal(versions.length, before);
    });

    it("holds what any sequence of edits comes to, by several replicas in turn", async (t) => {
      const replicas = await start(t, 2);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(1), fc.array(change, { maxLength: 4 })), { maxLength: 12 }),
          async (steps) => {
            const cluster = `property ${run++}`;
            const model = new Map<string, NodeEdit>();
            for (const [replica, changes] of steps) {
              for (const one of changes) apply(model, one);
              const { edits } = await replicas[replica].store.edit(cluster, changes);
              assert.deepEqual(new Map([...edits].sort()), new Map([...model].sort()));
            }
          },
        ),
        { numRuns: 60 },
      );
    });

    it("has sessions that all replicas see", async (t) => {
      const [{ store: one }, { store: other }] = await start(t, 2);
      assert.equal(await one.sessions.get("s1"), undefined);
      await one.sessions.set("s1", "10.0.0.1:80 ü", 60_000);
      assert.equal(await other.sessions.get("s1"), "10.0.0.1:80 ü");
      await other.sessions.set("s1", "10.0.0.2:80", 60_000);
      assert.equal(await one.sessions.get("s1"), "10.0.0.2:80");
      assert.equal(await one.sessions.touch("s1", 1_000_000), true);
      assert.equal(await one.sessions.delete("s1"), true);
      assert.deepEqual([await other.sessions.get("s1"), await other.sessions.delete("s1")], [undefined, false]);
      assert.equal(await other.sessions.touch("s1", 1000), false);
    });

    it("lets a session end by itself, and later when it is touched", async (t) => {
      const [{ store }] = await start(t, 1);
      await store.sessions.set("long", "a", 1);
      // It may have ended before it could be touched: then it is the short one over again.
      if (await store.sessions.touch("long", 3_600_000)) assert.equal(await store.sessions.get("long"), "a");
      await store.sessions.set("short", "b", 1);
      let value: string | undefined = "b";
      await eventually(() => {
        void store.sessions.get("short").then((now) => {
          value = now;
        });
        return value === undefined;
      });
      assert.equal(await store.sessions.touch("short", 1000), false);
    });

    it("refuses sessions that it should not hold", async (t) => {
      const [{ store }] = await start(t, 1);
      const { sessions } = store;
      await assert.rejects(sessions.get(""), isBadRequest);
      await assert.rejects(sessions.set("x".repeat(257), "v", 1), isBadRequest);
      await assert.rejects(sessions.set("s", "x".repeat(4097), 1), isBadRequest);
      for (const ttlMs of [0, -1, 1.5, Number.NaN, 1e15]) {
        await assert.rejects(sessions.set("s", "v", ttlMs), isBadRequest);
        await assert.rejects(sessions.touch("s", ttlMs), isBadRequest);
      }
      await assert.rejects(sessions.delete(""), isBadRequest);
    });
  });
}

const change: fc.Arbitrary<NodeChange> = fc.record(
  {
    id: fc.oneof(
      fc.constantFrom("a:80", "b:80", "unix:/run/a b.sock", "h:80/x=1"),
      fc.string({ minLength: 1, maxLength: 20 }),
    ),
    presence: fc.constantFrom("added" as const, "removed" as const, null),
    weight: fc.oneof(fc.constant(null), fc.double({ min: 0, max: 1000, noNaN: true }), fc.nat(3)),
    mode: fc.constantFrom("active" as const, "draining" as const, "disabled" as const),
  },
  { requiredKeys: ["id"] },
);

/** What the documentation says of a change, on plain data. */
function apply(model: Map<string, NodeEdit>, { id, presence, weight, mode }: NodeChange): void {
  const edit: { -readonly [Field in keyof NodeEdit]: NodeEdit[Field] } = { ...model.get(id) };
  if (presence === null) delete edit.presence;
  else if (presence !== undefined) edit.presence = presence;
  if (weight === null) delete edit.weight;
  else if (weight !== undefined) edit.weight = weight + 0;
  if (mode === "active") delete edit.mode;
  else if (mode !== undefined) edit.mode = mode;
  if (presence === "removed") {
    delete edit.weight;
    delete edit.mode;
  }
  if (Object.keys(edit).length > 0) model.set(id, edit);
  else model.delete(id);
}
