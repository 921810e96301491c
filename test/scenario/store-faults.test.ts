import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { NodeChange } from "../../src/core/registry.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { holdPort } from "../support/held-port.js";
import { type Load, startLoad } from "../support/load.js";
import { type Program, runProgram } from "../support/program.js";
import { type RedisServer, startRedis, WITHOUT_REDIS } from "../support/redis-server.js";
import { startReplica } from "../support/replica.js";

const idOf = ({ port }: FunctionNode) => `127.0.0.1:${port}`;
const isDown = { code: "ERR_STORE" };

interface Replicas {
  readonly redis: RedisServer;
  readonly nodes: readonly FunctionNode[];
  readonly programs: readonly Program[];
  readonly load: Load;
  edit(...changes: readonly NodeChange[]): Promise<unknown>;
  /** What the store holds about nodes. */
  read(): Promise<unknown>;
  /** Who answers at each replica. */
  served(): Promise<string[][]>;
  /** Each has logged this since it was last asked for. */
  heard(event: string): Promise<unknown>;
}

/** Three replicas as processes with the first two of three nodes, a client at each, and an operator on a fourth. */
async function startThree(t: TestContext, settings: readonly string[] = []): Promise<Replicas> {
  const redis = await startRedis(t, settings);
  const nodes = await startFunctionNodes(t, 3);
  const args = ["--listen", "127.0.0.1:0", "--nodes", nodes.slice(0, 2).map(idOf).join(",")];
  const programs = [1, 2, 3].map(() => runProgram(t, args, { env: { FNLB_STORE: redis.url } }));
  const ports = await Promise.all(programs.map((program) => program.port()));
  const operator = await startReplica(t, redis.url);
  const load = await startLoad(t, ports);
  const heard = (event: string) => Promise.all(programs.map((program) => program.event(event)));
  await heard("store_up");
  return {
    redis,
    nodes,
    programs,
    load,
    async edit(...changes) {
      await operator.until("the store", () => operator.store.state === "up");
      return operator.store.edit("default", changes);
    },
    async read() {
      await operator.until("the store", () => operator.store.state === "up");
      return Object.fromEntries((await operator.store.read("default")).edits);
    },
    served: () => Promise.all(ports.map((port) => load.served(port))),
    heard,
  };
}

const dumpOf = ({ socketPath }: RedisServer) => join(dirname(socketPath), "dump.rdb");
const everywhere = (...names: readonly string[]) => [names, names, names];

describe("three replicas under load, and a store", { skip: WITHOUT_REDIS }, () => {
  it("that freezes: requests do not notice, edits are refused, and it heals when it goes on", async (t) => {
    const { redis, nodes, load, edit, served, heard } = await startThree(t);
    await edit({ id: idOf(nodes[2]), presence: "added" });
    await heard("node_added");
    redis.freeze();
    await assert.rejects(edit({ id: idOf(nodes[0]), presence: "removed" }), isDown);
    await heard("store_down");
    assert.deepEqual(await served(), everywhere("a", "b", "c"));
    redis.thaw();
    await heard("store_up");
    await edit({ id: idOf(nodes[1]), mode: "disabled" });
    await heard("node_mode_changed");
    // Whether a is there is not known: what was refused waited at the server all the same.
    for (const names of await served())
      assert.deepEqual(
        names.filter((name) => name !== "a"),
        ["c"],
      );
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("that is killed and had written to disk: it has what it had, and nobody puts anything back", async (t) => {
    const { redis, nodes, programs, load, edit, served, heard } = await startThree(t, [
      ...["--appendonly", "yes"],
      ...["--appendfsync", "always"],
    ]);
    await edit({ id: idOf(nodes[2]), presence: "added" }, { id: idOf(nodes[0]), mode: "draining" });
    await heard("node_added");
    await redis.kill();
    await heard("store_down");
    assert.deepEqual(await served(), everywhere("b", "c"));
    await redis.restart();
    await heard("store_up");
    await edit({ id: idOf(nodes[0]), mode: "active" });
    // The first was that it drains.
    await heard("node_mode_changed");
    await heard("node_mode_changed");
    assert.deepEqual(await served(), everywhere("a", "b", "c"));
    for (const { events } of programs) assert.ok(events.every(({ event }) => event !== "registry_restored"));
    await load.stop();
    assert.deepEqual(load.lost, []);
  });

  it("that comes back with what others have said: their word counts, and what it lacks is added", async (t) => {
    const { redis, nodes, load, edit, read, served, heard } = await startThree(t);
    const [, b, c] = nodes;
    await edit({ id: idOf(c), presence: "added" }, { id: idOf(b), mode: "draining" });
    await heard("node_added");
    const other = await startRedis(t);
    const stranger = await startReplica(t, other.url);
    await stranger.store.edit("default", [{ id: idOf(c), presence: "removed" }]);
    await other.command("SAVE");
    await redis.kill();
    await heard("store_down");
    copyFileSync(dumpOf(other), dumpOf(redis));
    await redis.restart();
    await heard("node_removed");
    assert.deepEqual(await served(), everywhere("a"));
    assert.deepEqual(await read(), { [idOf(b)]: { mode: "draining" }, [idOf(c)]: { presence: "removed" } });
    await load.stop();
    assert.deepEqual(load.lost, []);
  });
});

describe("nodes that are added on one replica", { skip: WITHOUT_REDIS }, () => {
  it("get nothing on any of them before their first passed check there", async (t) => {
    const redis = await startRedis(t);
    const [a] = await startFunctionNodes(t, 1);
    let isWell = false;
    const young = await startFunctionNode(t, {
      name: "young",
      onHead(request, response) {
        if (request.url !== "/health" || isWell) return false;
        response.writeHead(503).end();
        return true;
      },
    });
    const args = ["--listen", "127.0.0.1:0", "--nodes", idOf(a), "--check-path", "/health", "--check-interval", "20ms"];
    const programs = [1, 2, 3].map(() => runProgram(t, args, { env: { FNLB_STORE: redis.url } }));
    const ports = await Promise.all(programs.map((program) => program.port()));
    const load = await startLoad(t, ports);
    const { store } = await startReplica(t, redis.url);
    const heard = (event: string) => Promise.all(programs.map((program) => program.event(event)));
    await store.edit("default", [{ id: idOf(young), presence: "added" }]);
    await heard("node_added");
    await heard("node_failing");
    for (const port of ports) assert.deepEqual(await load.served(port), ["a"]);
    assert.ok(young.calls.every(({ target }) => target === "/health"));
    isWell = true;
    await heard("node_passing");
    for (const port of ports) assert.deepEqual(await load.served(port), ["a", "young"]);
    await load.stop();
    assert.deepEqual(load.lost, []);
  });
});

describe("a store that asks who comes", { skip: WITHOUT_REDIS }, () => {
  const PASSWORD = "p@ss/w0rd";

  async function startGuarded(t: TestContext, settings: readonly string[] = ["--tls-auth-clients", "no"]) {
    const authority = createAuthority();
    const files = certificateFiles(t);
    const { certFile, keyFile } = files.writePair("store", authority.issue({ ips: ["127.0.0.1"], dns: ["localhost"] }));
    const port = await freePort();
    const letGo = await holdPort(port);
    await startRedis(t, [
      ...["--tls-port", String(port), "--bind", "127.0.0.1", ...settings],
      ...[
        "--tls-cert-file",
        certFile,
        "--tls-key-file",
        keyFile,
        "--tls-ca-cert-file",
        files.write("ca.crt", authority.cert),
      ],
      ...["--requirepass", PASSWORD],
    ]);
    letGo();
    const [a] = await startFunctionNodes(t, 1);
    const start = (host: string, credentials: string, env: NodeJS.ProcessEnv = {}) =>
      runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", idOf(a)], {
        env: { FNLB_STORE: `rediss://${credentials}${host}:${port}`, ...env },
      });
    return { start, env: { NODE_EXTRA_CA_CERTS: files.write("trusted.crt", authority.cert) } };
  }

  it("is spoken to in TLS, by name and by address, with the password that it asks for", async (t) => {
    const { start, env } = await startGuarded(t);
    const programs = ["localhost", "127.0.0.1"].map((host) => start(host, `:${encodeURIComponent(PASSWORD)}@`, env));
    for (const program of programs) {
      await program.event("store_up");
      program.signal("SIGTERM");
      assert.equal(await program.ended(), 0);
    }
  });

  it("is down for whoever does not know the password or the authority, and no log says a password", async (t) => {
    const { start, env } = await startGuarded(t);
    for (const [program, reason] of [
      [start("localhost", ":wrong-secret@", env), /WRONGPASS/],
      [start("localhost", "", env), /NOAUTH/],
      [start("localhost", ":wrong-secret@"), /UNABLE_TO_VERIFY|SELF_SIGNED/],
    ] as const) {
      assert.match(String((await program.event("store_down")).reason), reason);
      await program.port();
      program.signal("SIGTERM");
      assert.equal(await program.ended(), 0);
      assert.ok(!`${program.stdout.text}${program.stderr.text}`.includes("wrong-secret"));
    }
  });

  it("is down if it wants certificates of clients, as it does by default", async (t) => {
    const { start, env } = await startGuarded(t, []);
    const { reason } = await start("localhost", `:${encodeURIComponent(PASSWORD)}@`, env).event("store_down");
    assert.match(String(reason), /CERTIFICATE_REQUIRED/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { readonly port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
