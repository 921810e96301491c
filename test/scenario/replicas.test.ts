import assert from "node:assert/strict";
import { type AddressInfo, connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { createServer } from "node:tls";
import type { NodeChange } from "../../src/core/registry.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { type Program, runProgram } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";
import { startRedis, WITHOUT_REDIS } from "../support/redis-server.js";
import { startReplica } from "../support/replica.js";

const idOf = ({ port }: FunctionNode) => `127.0.0.1:${port}`;

function startProgram(t: TestContext, url: string, nodes: readonly FunctionNode[]): Program {
  const addresses = nodes.map(idOf).join(",");
  return runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", addresses, "--ping-interval", "50ms"], {
    env: { FNLB_STORE: url },
  });
}

/** Who answers many paths through a replica, sorted; a status where nobody did. */
async function served(t: TestContext, program: Program): Promise<string[]> {
  const client = await connectClient(t, await program.port());
  const names = new Set<string>();
  for (let n = 0; n < 60; n++) {
    const response = await client.ask(`GET /f/${n} HTTP/1.1\r\nHost: fn\r\n\r\n`);
    names.add(response.status === 200 ? String(response.json().node) : String(response.status));
  }
  return [...names].sort();
}

/** Three replicas as processes, and an operator on a fourth. */
async function startThree(t: TestContext) {
  const redis = await startRedis(t);
  const nodes = await startFunctionNodes(t, 3);
  const programs = [1, 2, 3].map(() => startProgram(t, redis.url, nodes.slice(0, 2)));
  const operator = await startReplica(t, redis.url);
  const edit = (...changes: readonly NodeChange[]) => operator.store.edit("default", changes);
  await Promise.all(programs.map((program) => program.port()));
  return { redis, nodes, programs, operator, edit };
}

/** The time from an edit to the moment in which a replica has logged what follows from it. */
async function timesTo(programs: readonly Program[], event: string, edit: () => Promise<unknown>): Promise<number[]> {
  const begunMs = performance.now();
  await edit();
  return Promise.all(
    programs.map(async (program) => {
      await program.event(event);
      return performance.now() - begunMs;
    }),
  );
}

describe("three replicas with one store", { skip: WITHOUT_REDIS }, () => {
  it("have the nodes that were edited on one of them", async (t) => {
    const { nodes, programs, edit } = await startThree(t);
    const [a, , c] = nodes;
    for (const program of programs) assert.deepEqual(await served(t, program), ["a", "b"]);
    const add = () => edit({ id: idOf(c), presence: "added" });
    const timesMs = await timesTo(programs, "node_added", add);
    t.diagnostic(`routable everywhere after ${Math.ceil(Math.max(...timesMs))} ms`);
    for (const program of programs) assert.deepEqual(await served(t, program), ["a", "b", "c"]);
    await timesTo(programs, "node_mode_changed", () => edit({ id: idOf(a), mode: "draining" }));
    for (const program of programs) assert.deepEqual(await served(t, program), ["b", "c"]);
    await timesTo(programs, "node_removed", () => edit({ id: idOf(c), presence: "removed" }));
    for (const program of programs) assert.deepEqual(await served(t, program), ["b"]);
  });

  it("ping for themselves: what one cannot reach, the others still use", async (t) => {
    const { nodes, programs, edit } = await startThree(t);
    const [a, b, c] = nodes;
    await c.stop();
    await timesTo(programs, "node_added", () => edit({ id: idOf(c), presence: "added" }));
    assert.deepEqual(await served(t, programs[0]), ["a", "b"]);
    await programs[0].event("node_dead");
    assert.deepEqual(
      programs.slice(1).flatMap(({ events }) => events.filter(({ event }) => event === "node_dead")),
      [],
    );
    await c.start();
    await programs[0].event("node_alive");
    for (const program of programs) assert.deepEqual(await served(t, program), ["a", "b", "c"]);
    assert.ok(a.calls.length + b.calls.length > 0);
  });

  it("go on when one of them is killed, and it finds the list as it is when it is back", async (t) => {
    const { redis, nodes, programs, edit } = await startThree(t);
    const [a, , c] = nodes;
    const [victim, ...others] = programs;
    await timesTo(programs, "node_added", () => edit({ id: idOf(c), presence: "added" }));
    victim.signal("SIGKILL");
    await victim.ended();
    await timesTo(others, "node_removed", () => edit({ id: idOf(a), presence: "removed" }));
    for (const program of others) assert.deepEqual(await served(t, program), ["b", "c"]);
    const back = startProgram(t, redis.url, nodes.slice(0, 2));
    assert.deepEqual(await served(t, back), ["b", "c"]);
  });

  it("route on what they know while the store is gone, and heal when it is back, empty as it is", async (t) => {
    const { redis, nodes, programs, operator, edit } = await startThree(t);
    const [a, b, c] = nodes;
    await timesTo(programs, "node_added", () => edit({ id: idOf(c), presence: "added" }));
    await timesTo(programs, "node_mode_changed", () => edit({ id: idOf(b), mode: "disabled" }));
    await redis.kill();
    for (const program of programs) {
      await program.event("store_down");
      assert.deepEqual(await served(t, program), ["a", "c"]);
    }
    await operator.until("the operator to know", () => operator.store.state === "down");
    await assert.rejects(edit({ id: idOf(a), presence: "removed" }), { code: "ERR_STORE" });
    // Falling back needs no store.
    await a.stop();
    for (const program of programs) assert.deepEqual(await served(t, program), ["c"]);
    await a.start();
    for (const program of programs) await program.event("node_alive");
    await operator.stop();
    await redis.restart();
    for (const program of programs) {
      // The first was that of the start.
      await program.event("store_up");
      await program.event("store_up");
      assert.deepEqual(await served(t, program), ["a", "c"]);
    }
    const late = await startReplica(t, redis.url);
    const { edits } = await late.store.read("default");
    assert.deepEqual(Object.fromEntries(edits), {
      [idOf(b)]: { mode: "disabled" },
      [idOf(c)]: { presence: "added" },
    });
    const change: NodeChange = { id: idOf(b), mode: "active" };
    await timesTo(programs, "node_mode_changed", () => late.store.edit("default", [change]));
    for (const program of programs) assert.deepEqual(await served(t, program), ["a", "b", "c"]);
  });

  it("start without the store, and take over what it says once it is there", async (t) => {
    const redis = await startRedis(t);
    const nodes = await startFunctionNodes(t, 3);
    await redis.kill();
    const program = startProgram(t, redis.url, nodes.slice(0, 2));
    assert.deepEqual(await served(t, program), ["a", "b"]);
    assert.equal((await program.event("store_down")).reason, "ECONNREFUSED");
    await redis.restart();
    await program.event("store_up");
    const operator = await startReplica(t, redis.url);
    await operator.store.edit("default", [{ id: idOf(nodes[2]), presence: "added" }]);
    await program.event("node_added");
    assert.deepEqual(await served(t, program), ["a", "b", "c"]);
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });

  it("speak TLS to a store that proves who it is", async (t) => {
    const redis = await startRedis(t);
    const authority = createAuthority();
    const identity = authority.issue({ dns: ["localhost"] });
    const front = createServer(identity, (client) => {
      const server = connect(redis.socketPath);
      client.pipe(server).pipe(client);
      client.on("error", () => server.destroy());
      server.on("error", () => client.destroy());
    });
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    t.after(() => front.close());
    const [a] = await startFunctionNodes(t, 1);
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", idOf(a)], {
      env: {
        FNLB_STORE: `rediss://localhost:${(front.address() as AddressInfo).port}`,
        NODE_EXTRA_CA_CERTS: certificateFiles(t).write("ca.crt", authority.cert),
      },
    });
    await program.event("store_up");
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });

  it("end while the store hangs", async (t) => {
    const { redis, programs } = await startThree(t);
    redis.freeze();
    for (const program of programs) {
      program.signal("SIGTERM");
      assert.equal(await program.ended(), 0);
    }
  });
});
