import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { type AdminAnswer, askAdmin } from "../support/admin-socket.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { type Load, startLoad } from "../support/load.js";
import { makeDirectory, type Program, runProgram } from "../support/program.js";
import { type RedisServer, startRedis, WITHOUT_REDIS } from "../support/redis-server.js";
import { until } from "../support/until.js";

const idOf = ({ port }: FunctionNode) => `127.0.0.1:${port}`;
const LIST = "/v1/clusters/default/nodes";
const pathOf = (node: FunctionNode) => `${LIST}/${encodeURIComponent(idOf(node))}`;

/** What all replicas must say alike of a node. */
interface Shared {
  readonly id: string;
  readonly mode: string;
  readonly weight: number;
}

/** A replica as a process, with an admin API. */
interface AdminReplica {
  readonly program: Program;
  readonly port: number;
  ask(method: string, path: string, body?: unknown): Promise<AdminAnswer>;
  nodes(): Promise<Shared[]>;
}

async function startAdminReplica(t: TestContext, store: string, nodes: readonly FunctionNode[]): Promise<AdminReplica> {
  const socketPath = join(makeDirectory(t), "admin");
  const args = ["--listen", "127.0.0.1:0", "--nodes", nodes.map(idOf).join(","), "--admin", `unix:${socketPath}`];
  const program = runProgram(t, [...args, "--ping-interval", "50ms"], { env: { FNLB_STORE: store } });
  const port = await program.port();
  const ask = (method: string, path: string, body?: unknown) => askAdmin(socketPath, method, path, body);
  return {
    program,
    port,
    ask,
    async nodes() {
      const { body } = await ask("GET", LIST);
      return (body.nodes as Shared[]).map(({ id, mode, weight }) => ({ id, mode, weight }));
    },
  };
}

interface Three {
  readonly redis: RedisServer;
  readonly nodes: readonly FunctionNode[];
  readonly replicas: readonly AdminReplica[];
  readonly load: Load;
}

/** Three replicas with the first two of three nodes, and a client at each. */
async function startThree(t: TestContext): Promise<Three> {
  const redis = await startRedis(t);
  const nodes = await startFunctionNodes(t, 3);
  const replicas = await Promise.all([1, 2, 3].map(() => startAdminReplica(t, redis.url, nodes.slice(0, 2))));
  const load = await startLoad(
    t,
    replicas.map(({ port }) => port),
  );
  return { redis, nodes, replicas, load };
}

/** Until every replica lists these nodes, in whatever order; resolves to how long it took the last, in milliseconds. */
async function untilAgreed(replicas: readonly AdminReplica[], expected: readonly Shared[]): Promise<number> {
  const text = (nodes: readonly Shared[]) =>
    JSON.stringify([...nodes].sort((one, other) => (one.id < other.id ? -1 : 1)));
  const begunMs = performance.now();
  for (const [index, replica] of replicas.entries()) {
    let known = "nothing";
    await until(`replica ${index + 1} to know ${text(expected)}`, async () => {
      known = text(await replica.nodes());
      return known === text(expected);
    }).catch((error: Error) => assert.fail(`${error.message}; knows ${known}`));
  }
  return performance.now() - begunMs;
}

async function assertServed({ load, replicas }: Pick<Three, "load" | "replicas">, names: readonly string[]) {
  for (const { port } of replicas) assert.deepEqual(await load.served(port), names);
}

const refused = ({ status, body }: AdminAnswer) => [status, body.code];
const REFUSED = [503, "ERR_STORE"];
const node = (of: FunctionNode, said: Partial<Shared> = {}): Shared => ({
  id: idOf(of),
  mode: "active",
  weight: 1,
  ...said,
});

describe("three replicas with an admin API, under load", { skip: WITHOUT_REDIS }, () => {
  it("agree about what is said to any of them, and lose no call", async (t) => {
    const three = await startThree(t);
    const { nodes, replicas, load } = three;
    const [a, b, c] = nodes;
    const [one, two, third] = replicas;
    await assertServed(three, ["a", "b"]);

    const added = await one.ask("POST", LIST, { node: idOf(c) });
    assert.deepEqual([added.status, added.body.result], [201, "applied"]);
    const tookMs = await untilAgreed(replicas, [node(a), node(b), node(c)]);
    t.diagnostic(`known everywhere after ${Math.ceil(tookMs)} ms`);
    await assertServed(three, ["a", "b", "c"]);
    assert.equal((await two.ask("POST", LIST, { node: idOf(c) })).status, 409);

    assert.equal((await two.ask("PATCH", pathOf(a), { mode: "draining" })).status, 200);
    assert.equal((await third.ask("PATCH", pathOf(b), { weight: 3 })).status, 200);
    await untilAgreed(replicas, [node(a, { mode: "draining" }), node(b, { weight: 3 }), node(c)]);
    await assertServed(three, ["b", "c"]);
    assert.equal((await third.ask("PATCH", pathOf(a), { mode: "draining" })).body.result, "unchanged");

    assert.equal((await third.ask("DELETE", pathOf(b))).status, 200);
    assert.equal((await one.ask("PATCH", pathOf(a), { mode: "active" })).status, 200);
    await untilAgreed(replicas, [node(a), node(c)]);
    await assertServed(three, ["a", "c"]);
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("hear all that is said to all of them at the same time", async (t) => {
    const { nodes, replicas, load } = await startThree(t);
    const weights = Array.from({ length: 20 }, (_, index) => index + 1);
    const idOfMany = (weight: number) => `127.0.0.1:${20_000 + weight}`;
    const answers = await Promise.all(
      weights.map((weight, index) =>
        replicas[index % 3].ask("PUT", `${LIST}/${idOfMany(weight)}`, { weight, mode: "disabled" }),
      ),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
    const many = weights.map((weight) => ({ id: idOfMany(weight), mode: "disabled", weight }));
    await untilAgreed(replicas, [node(nodes[0]), node(nodes[1]), ...many]);
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("go on when any of them is killed, and it knows what was said when it is back", async (t) => {
    const { redis, nodes, replicas, load } = await startThree(t);
    const [a, b, c] = nodes;
    const alive = [...replicas];
    let said = [node(a), node(b)];
    for (const [index, mode] of ["draining", "disabled", "active"].entries()) {
      const victim = alive.shift() ?? assert.fail();
      // Whoever calls there at that moment loses his call: no replica can help that.
      await load.leave(victim.port);
      victim.program.signal("SIGKILL");
      await victim.program.ended();
      const { status } = await alive[0].ask("PUT", pathOf(c), { mode, weight: index + 2 });
      assert.ok(status === 200 || status === 201, String(status));
      said = [node(a), node(b), node(c, { mode, weight: index + 2 })];
      await untilAgreed(alive, said);
      const back = await startAdminReplica(t, redis.url, nodes.slice(0, 2));
      assert.deepEqual(new Set(await back.nodes()), new Set(said), "from its first moment on");
      await load.join(back.port);
      alive.push(back);
    }
    await assertServed({ load, replicas: alive }, ["a", "b", "c"]);
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("route on and refuse edits without the store, and put back what it has lost", async (t) => {
    const three = await startThree(t);
    const { redis, nodes, replicas, load } = three;
    const [a, b, c] = nodes;
    await replicas[0].ask("POST", LIST, { node: idOf(c), weight: 2 });
    await replicas[1].ask("PATCH", pathOf(b), { mode: "disabled" });
    const said = [node(a), node(b, { mode: "disabled" }), node(c, { weight: 2 })];
    await untilAgreed(replicas, said);
    await redis.kill();
    for (const { program } of replicas) await program.event("store_down");
    for (const { ask } of replicas) {
      for (const answer of [
        await ask("PATCH", pathOf(a), { mode: "draining" }),
        await ask("POST", LIST, { node: "127.0.0.1:9" }),
        await ask("DELETE", pathOf(a)),
      ]) {
        assert.deepEqual(refused(answer), REFUSED);
      }
      // Watching needs no store, and neither does saying how it is.
      assert.equal((await ask("GET", "/v1/status")).body.store, "down");
      assert.equal((await ask("GET", "/readyz")).status, 200);
    }
    await untilAgreed(replicas, said);
    await a.stop();
    await assertServed(three, ["c"]);
    await a.start();
    for (const { program } of replicas) await program.event("node_alive");
    await assertServed(three, ["a", "c"]);
    await redis.restart();
    for (const { ask } of replicas) {
      await until("the store", async () => (await ask("GET", "/v1/status")).body.store === "up");
    }
    await untilAgreed(replicas, said);
    assert.equal((await replicas[2].ask("PATCH", pathOf(b), { mode: "active" })).status, 200);
    await untilAgreed(replicas, [node(a), node(b), node(c, { weight: 2 })]);
    await assertServed(three, ["a", "b", "c"]);
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("refuse edits while the store hangs, and go on with everything else", async (t) => {
    const three = await startThree(t);
    const { redis, nodes, replicas, load } = three;
    const [a, b] = nodes;
    redis.freeze();
    const edits = replicas.map(({ ask }) => ask("PATCH", pathOf(a), { weight: 5 }));
    await assertServed(three, ["a", "b"]);
    for (const { ask } of replicas) assert.equal((await ask("GET", "/healthz")).status, 200);
    for (const edit of edits) assert.deepEqual(refused(await edit), REFUSED);
    redis.thaw();
    for (const { ask } of replicas) {
      await until("the store", async () => (await ask("GET", "/v1/status")).body.store === "up");
    }
    // Said again, for it is not known whether it was done.
    assert.equal((await replicas[0].ask("PATCH", pathOf(a), { weight: 5 })).status, 200);
    await untilAgreed(replicas, [node(a, { weight: 5 }), node(b)]);
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("start without the store, refuse edits, and take them once it is there", async (t) => {
    const redis = await startRedis(t);
    const [a, b, c] = await startFunctionNodes(t, 3);
    await redis.kill();
    const replicas = await Promise.all([1, 2, 3].map(() => startAdminReplica(t, redis.url, [a, b])));
    for (const { ask } of replicas) assert.deepEqual(refused(await ask("POST", LIST, { node: idOf(c) })), REFUSED);
    await redis.restart();
    await until("an edit", async () => (await replicas[1].ask("POST", LIST, { node: idOf(c) })).status === 201);
    await untilAgreed(replicas, [node(a), node(b), node(c)]);
  });
});
