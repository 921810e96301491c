import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { RedisConnection } from "../../src/store/redis-connection.js";
import { systemClock } from "../../src/system/clock.js";
import { createAuthority } from "../support/certificates.js";
import { FakeClock } from "../support/fake-clock.js";
import { ROOT } from "../support/program.js";
import { type RedisServer, startRedis, WITHOUT_REDIS } from "../support/redis-server.js";
import { BACKOFF_MAX_MS, CLUSTER, type Replica, startReplica } from "../support/replica.js";

const isDown = { name: "FnlbError", code: "ERR_STORE" };
const EDITOR = fileURLToPath(new URL("../support/store-editor-main.js", import.meta.url));
const KEY = `fnlb:registry:${CLUSTER}`;

/** Puts other fields in the place of a hash, in one step, so that nobody comes in between. */
const REPLACE =
  "redis.call('DEL', KEYS[1]) for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end";

const eventsOf = ({ events }: Replica, name: string) => events.filter(({ event }) => event === name);

function untilUp(replica: Replica): Promise<void> {
  return replica.until("the store to be up", () => replica.store.state === "up");
}

function untilDown(replica: Replica): Promise<void> {
  return replica.until("the store to be down", () => replica.store.state === "down");
}

function untilKnown(replica: Replica, ...ids: readonly string[]): Promise<void> {
  return replica.until(ids.join(" "), () => JSON.stringify(Object.keys(replica.edits).sort()) === JSON.stringify(ids));
}

async function startReplicas(t: TestContext, count: number): Promise<{ redis: RedisServer; replicas: Replica[] }> {
  const redis = await startRedis(t);
  const replicas = await Promise.all(Array.from({ length: count }, () => startReplica(t, redis.url)));
  return { redis, replicas };
}

describe("edits of several replicas at once", { skip: WITHOUT_REDIS }, () => {
  it("are all there in the end, three hundred of three replicas", async (t) => {
    const { replicas } = await startReplicas(t, 3);
    const ids = Array.from({ length: 300 }, (_, n) => `n${String(n).padStart(3, "0")}:80`);
    await Promise.all(
      ids.map((id, n) => replicas[n % 3].store.edit(CLUSTER, [{ id, presence: "added", weight: n / 8 }])),
    );
    for (const replica of replicas) {
      await untilKnown(replica, ...ids);
      assert.deepEqual(
        ids.map((id) => replica.edits[id].weight),
        ids.map((_, n) => n / 8),
      );
    }
  });

  it("are all there in the end, those of three processes", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const run = promisify(execFile);
    const said = await Promise.all(
      ["a", "b", "c"].map((name) => run(process.execPath, [EDITOR, redis.url, name, "100"])),
    );
    assert.deepEqual(
      said.map(({ stdout }) => stdout),
      ["100\n", "100\n", "100\n"],
    );
    const ids = ["a", "b", "c"].flatMap((name) => Array.from({ length: 100 }, (_, n) => `${name}${n}:80`));
    await untilKnown(replicas[0], ...[...ids, "shared:80"].sort());
  });
});

describe("a store that is killed", { skip: WITHOUT_REDIS }, () => {
  it("refuses edits at once, and takes away nothing that is known", async (t) => {
    const { redis, replicas } = await startReplicas(t, 2);
    const [one, other] = replicas;
    await one.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    await untilKnown(other, "a:80");
    await redis.kill();
    for (const replica of replicas) {
      await untilDown(replica);
      await assert.rejects(replica.store.edit(CLUSTER, [{ id: "b:80", presence: "added" }]), isDown);
      await assert.rejects(replica.store.read(CLUSTER), isDown);
      await assert.rejects(replica.store.sessions.get("s"), isDown);
      assert.deepEqual(replica.edits, { "a:80": { presence: "added" } });
    }
  });

  it("says nothing of addresses to whoever is refused", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const edit = replicas[0].store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]).catch((error: Error) => error);
    await redis.kill();
    await edit;
    await untilDown(replicas[0]);
    const error = await replicas[0].store.read(CLUSTER).then(String, (reason: Error) => reason.message);
    assert.doesNotMatch(error, /unix|\/|redis|\d/);
  });

  it("gets back from its replicas what it has lost, and is told so once a transition", async (t) => {
    const { redis, replicas } = await startReplicas(t, 3);
    const [one] = replicas;
    await one.store.edit(CLUSTER, [{ id: "a:80", presence: "added", weight: 0.5 }]);
    await one.store.edit(CLUSTER, [{ id: "b:80", presence: "removed" }]);
    await one.store.edit(CLUSTER, [{ id: "c:80", mode: "draining" }]);
    for (const replica of replicas) await untilKnown(replica, "a:80", "b:80", "c:80");
    for (let death = 1; death <= 2; death++) {
      await redis.kill();
      for (const replica of replicas) await untilDown(replica);
      await redis.restart();
      for (const replica of replicas) {
        await untilUp(replica);
        assert.deepEqual(
          [eventsOf(replica, "store_down").length, eventsOf(replica, "store_up").length],
          [death, death + 1],
        );
      }
      const late = await startReplica(t, redis.url);
      assert.deepEqual(late.edits, {
        "a:80": { presence: "added", weight: 0.5 },
        "b:80": { presence: "removed" },
        "c:80": { mode: "draining" },
      });
      await late.stop();
    }
    // Not from everybody: whoever comes second finds it there.
    const restored = replicas.flatMap((replica) => eventsOf(replica, "registry_restored"));
    assert.ok(restored.length >= 2, `restored ${restored.length} times`);
    await replicas[2].store.edit(CLUSTER, [{ id: "d:80", presence: "added" }]);
    for (const replica of replicas) await untilKnown(replica, "a:80", "b:80", "c:80", "d:80");
  });

  it("is not needed to start: what it holds is taken over when it comes", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    await replicas[0].store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    await redis.kill();
    const late = await startReplica(t, redis.url);
    assert.deepEqual([late.store.state, late.told], ["down", []]);
    assert.deepEqual(
      [eventsOf(late, "store_down").length, eventsOf(late, "store_down")[0].reason],
      [1, "ECONNREFUSED"],
    );
    await redis.restart();
    await untilKnown(late, "a:80");
    assert.deepEqual(eventsOf(late, "store_down").length, 1);
  });
});

describe("a store that is emptied", { skip: WITHOUT_REDIS }, () => {
  it("is filled again by those who know what was there", async (t) => {
    const { redis, replicas } = await startReplicas(t, 2);
    await replicas[0].store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    await untilKnown(replicas[1], "a:80");
    await redis.command("FLUSHALL");
    await replicas[0].until("somebody to restore it", () =>
      replicas.some((replica) => eventsOf(replica, "registry_restored").length > 0),
    );
    const late = await startReplica(t, redis.url);
    for (const replica of [...replicas, late]) assert.deepEqual(replica.edits, { "a:80": { presence: "added" } });
  });

  it("loses nothing to an edit that comes first", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const [{ store }] = replicas;
    for (let round = 0; round < 5; round++) {
      await store.edit(CLUSTER, [{ id: `n${round}:80`, presence: "added" }]);
      await redis.command("FLUSHALL");
    }
    const { edits } = await store.edit(CLUSTER, [{ id: "n5:80", presence: "added" }]);
    assert.deepEqual(
      [...edits.keys()].sort(),
      ["n0", "n1", "n2", "n3", "n4", "n5"].map((name) => `${name}:80`),
    );
  });

  it("does not put back what an edit that comes first takes back", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const [{ store }] = replicas;
    await store.edit(CLUSTER, [
      { id: "a:80", presence: "added" },
      { id: "b:80", presence: "added" },
    ]);
    await redis.command("FLUSHALL");
    const { edits } = await store.edit(CLUSTER, [{ id: "a:80", presence: null }]);
    assert.deepEqual([...edits.keys()], ["b:80"]);
  });

  it("loses nothing to an edit of somebody who knew nothing, and the newer word counts", async (t) => {
    const { redis, replicas } = await startReplicas(t, 2);
    const [old, another] = replicas;
    await old.store.edit(CLUSTER, [{ id: "a:80", presence: "added", weight: 1 }]);
    await untilKnown(another, "a:80");
    // Begun anew before anybody could look: in one step, so that nobody comes in between.
    const stranger = await startRedis(t);
    const newcomer = await startReplica(t, stranger.url);
    await newcomer.store.edit(CLUSTER, [
      { id: "a:80", weight: 9 },
      { id: "b:80", presence: "added" },
    ]);
    const fields = (await stranger.command("HGETALL", KEY)) as string[];
    await redis.command("EVAL", REPLACE, "1", KEY, ...fields);
    const late = await startReplica(t, redis.url);
    // Whoever comes before the others have put back what they know has both names already, and not all that was said.
    await untilEqualVersions([old, another, late]);
    for (const replica of [old, another, late]) {
      assert.deepEqual(replica.edits, { "a:80": { presence: "added", weight: 9 }, "b:80": { presence: "added" } });
    }
  });

  it("takes the word of whoever knew most, if he comes later and nobody has said anything since", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const [knowing] = replicas;
    await knowing.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    const before = (await redis.command("HGETALL", KEY)) as string[];
    await knowing.store.edit(CLUSTER, [{ id: "b:80", presence: "added" }]);
    // As a replica would have put it back that had not heard of the second edit.
    const less = before.map((field, at) => (before[at - 1] === "version" ? `${field}.restored` : field));
    await redis.command("EVAL", REPLACE, "1", KEY, ...less);
    await knowing.until("it to be put right", () => eventsOf(knowing, "registry_restored").length > 0);
    const late = await startReplica(t, redis.url);
    assert.deepEqual(Object.keys(late.edits).sort(), ["a:80", "b:80"]);
  });

  it("counts where it says less than before without having been emptied", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const [replica] = replicas;
    await replica.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    const backup = (await redis.command("HGETALL", KEY)) as string[];
    await replica.store.edit(CLUSTER, [{ id: "b:80", presence: "added" }]);
    await redis.command("EVAL", REPLACE, "1", KEY, ...backup);
    await untilKnown(replica, "a:80");
    assert.deepEqual(eventsOf(replica, "registry_restored"), []);
  });
});

async function untilEqualVersions(replicas: readonly Replica[]): Promise<void> {
  const versions = () => new Set(replicas.map(({ told }) => told.at(-1)?.version));
  await replicas[0].until("all to have the same version", () => versions().size === 1);
}

describe("a store that hangs", { skip: WITHOUT_REDIS }, () => {
  it("does not hang edits, and heals when it goes on", async (t) => {
    const redis = await startRedis(t);
    const clock = new FakeClock();
    const replica = await startReplica(t, redis.url, {}, clock);
    await replica.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    redis.freeze();
    await clock.advanceUntil(assert.rejects(replica.store.edit(CLUSTER, [{ id: "b:80", presence: "added" }]), isDown));
    await untilDown(replica);
    await assert.rejects(replica.store.edit(CLUSTER, [{ id: "b:80", presence: "added" }]), isDown);
    assert.deepEqual(replica.edits, { "a:80": { presence: "added" } });
    redis.thaw();
    // It is connected to again, and has all the time that it needs to answer.
    await clock.advance(BACKOFF_MAX_MS);
    await untilUp(replica);
    await replica.store.edit(CLUSTER, [{ id: "c:80", presence: "added" }]);
    // The one that nobody answered may have been done all the same.
    assert.deepEqual(
      Object.keys(replica.edits)
        .filter((id) => id !== "b:80")
        .sort(),
      ["a:80", "c:80"],
    );
  });

  it("is found out although nobody asks it anything", async (t) => {
    const redis = await startRedis(t);
    const replica = await startReplica(t, redis.url, { timeoutMs: 100, lookIntervalMs: 20 });
    redis.freeze();
    await untilDown(replica);
    assert.equal(eventsOf(replica, "store_down")[0].reason, "no answer within 100 ms");
  });

  it("does not hold up the end of a process", async (t) => {
    const redis = await startRedis(t);
    const replica = await startReplica(t, redis.url, { timeoutMs: 60_000 });
    redis.freeze();
    const edit = assert.rejects(replica.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]), isDown);
    const connecting = startReplica(t, redis.url, { timeoutMs: 60_000 });
    await replica.stop();
    await edit;
    assert.equal(replica.store.state, "closed");
    await assert.rejects(replica.store.read(CLUSTER), isDown);
    // The other one is still waiting for its first answer when the test is over.
    connecting.catch(() => {});
  });

  it("lets no more than a thousand wait", async (t) => {
    const redis = await startRedis(t);
    const clock = new FakeClock();
    const replica = await startReplica(t, redis.url, {}, clock);
    redis.freeze();
    const outcomes: string[] = [];
    const asks = Array.from({ length: 1200 }, (_, n) =>
      replica.store.sessions.get(`s${n}`).catch((error: Error) => outcomes.push(error.message)),
    );
    await Promise.all(asks.slice(1000));
    assert.deepEqual(outcomes, Array(200).fill("too many wait for the store already"));
    await clock.advanceUntil(Promise.all(asks));
    assert.equal(outcomes.length, 1200);
  });
});

describe("a store that says what has changed", { skip: WITHOUT_REDIS }, () => {
  it("is heard by replicas that do not look", async (t) => {
    const redis = await startRedis(t);
    const options = { lookIntervalMs: 3_600_000 };
    const [one, other] = [await startReplica(t, redis.url, options), await startReplica(t, redis.url, options)];
    await one.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
    await untilKnown(other, "a:80");
    await redis.command("FLUSHALL");
    await other.store.edit(CLUSTER, [{ id: "b:80", weight: 1 }]);
    await untilKnown(one, "a:80", "b:80");
  });
});

describe("a store whose messages get lost", { skip: WITHOUT_REDIS }, () => {
  it("is looked at again all the same", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const [replica] = replicas;
    await replica.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
    const version = String(await redis.command("HGET", KEY, "version"));
    const silently = "redis.call('HSET', KEYS[1], 'weight a:80', '7', 'version', ARGV[1])";
    await redis.command("EVAL", silently, "1", KEY, version.replace(/\.\d+\./, ".99."));
    await replica.until("the new weight", () => replica.edits["a:80"].weight === 7);
    await replica.store.edit(CLUSTER, [{ id: "b:80", weight: 2 }]);
    assert.match(replica.told.at(-1)?.version ?? "", /^\w+\.100\.\w+$/);
  });

  it("is connected to again where the server has cut the connection", async (t) => {
    const { redis, replicas } = await startReplicas(t, 1);
    const [replica] = replicas;
    for (let cut = 1; cut <= 3; cut++) {
      await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      await replica.until("the loss", () => eventsOf(replica, "store_down").length === cut);
      await untilUp(replica);
      await replica.store.edit(CLUSTER, [{ id: "a:80", weight: cut }]);
    }
    assert.deepEqual(replica.edits, { "a:80": { weight: 3 } });
  });
});

describe("a store that is not as it should be", { skip: WITHOUT_REDIS }, () => {
  it("is down while it refuses, and says why in the log", async (t) => {
    const redis = await startRedis(t, ["--requirepass", "right"]);
    const refused = await startReplica(t, redis.url.replace("unix://", "unix://:wrong@"));
    assert.match(String(eventsOf(refused, "store_down")[0].reason), /WRONGPASS/);
    const unnamed = await startReplica(t, redis.url);
    assert.match(String(eventsOf(unnamed, "store_down")[0].reason), /NOAUTH/);
    const { store } = await startReplica(t, redis.url.replace("unix://", "unix://:right@"));
    await store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
  });

  it("is down while something else stands in its place, and heals", async (t) => {
    const redis = await startRedis(t);
    await redis.command("SET", KEY, "what somebody else put there");
    const replica = await startReplica(t, redis.url);
    assert.match(String(eventsOf(replica, "store_down")[0].reason), /WRONGTYPE/);
    await redis.command("DEL", KEY);
    await untilUp(replica);
    await replica.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
  });

  it("gives what can be read of what it holds", async (t) => {
    const redis = await startRedis(t);
    const garbage = [
      "weight a:80",
      "much",
      "weight b:80",
      "1e9",
      "mode a:80",
      "gone",
      "colour a:80",
      "red",
      "weight",
      "1",
      "",
      "",
    ];
    await redis.command("HSET", KEY, "version", "nonsense", "weight c:80", "4", "presence d:80", "there", ...garbage);
    const replica = await startReplica(t, redis.url);
    assert.deepEqual(replica.edits, { "c:80": { weight: 4 } });
    // One who knows better puts his own beside it.
    const { version } = await replica.store.edit(CLUSTER, [{ id: "c:80", weight: 5 }]);
    assert.match(version, /^\w+\.1\.\w+$/);
  });

  it("refuses an edit that the server has no memory for, and stays up", async (t) => {
    const redis = await startRedis(t);
    const replica = await startReplica(t, redis.url);
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    await assert.rejects(replica.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]), (error: Error) => {
      assert.match(String(error.cause), /OOM/);
      assert.equal(error.message, "the store that replicas share refuses: OOM");
      return true;
    });
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    await replica.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
    assert.equal(eventsOf(replica, "store_down").length, 0);
  });

  it("asks for no more rights than the documentation grants", async (t) => {
    const redis = await startRedis(t);
    const [rights] = /^~fnlb:.*$/m.exec(readFileSync(join(ROOT, "docs/replicas.md"), "utf8")) ?? [""];
    await redis.command("ACL", "SETUSER", "fnlb", "on", ">secret", ...rights.split(" "));
    const replica = await startReplica(t, `${redis.url.replace("unix://", "unix://fnlb:secret@")}?db=1`);
    assert.equal(replica.store.state, "up", JSON.stringify(replica.events));
    await replica.store.edit(CLUSTER, [{ id: "a:80", presence: "added" }]);
    await replica.store.edit(CLUSTER, [{ id: "a:80", presence: null, weight: 1 }]);
    await redis.command("FLUSHALL");
    await replica.until("it to be restored", () => eventsOf(replica, "registry_restored").length > 0);
    await replica.store.sessions.set("s", "v", 60_000);
    assert.equal(await replica.store.sessions.touch("s", 60_000), true);
    assert.deepEqual([await replica.store.sessions.get("s"), await replica.store.sessions.delete("s")], ["v", true]);
    const idle = await startReplica(t, redis.url.replace("unix://", "unix://fnlb:secret@"));
    assert.equal(idle.store.state, "up");
  });

  it("has databases that know nothing of each other", async (t) => {
    const redis = await startRedis(t);
    const one = await startReplica(t, `${redis.url}?db=1`);
    const other = await startReplica(t, `${redis.url}?db=2`);
    await one.store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
    assert.deepEqual([...(await other.store.read(CLUSTER)).edits], []);
  });
});

/** Hands connections on to the server, in the clear. */
function handOn(client: Socket, redis: RedisServer): void {
  const server = connect(redis.socketPath);
  client.pipe(server).pipe(client);
  client.on("error", () => server.destroy());
  server.on("error", () => client.destroy());
}

describe("a store at an address", { skip: WITHOUT_REDIS }, () => {
  it("is reached over TCP", async (t) => {
    const redis = await startRedis(t);
    const front = createServer((client) => handOn(client, redis)).listen(0, "127.0.0.1");
    t.after(() => front.close());
    const port = await portOf(front);
    const { store } = await startReplica(t, `redis://127.0.0.1:${port}/3`);
    await store.edit(CLUSTER, [{ id: "a:80", weight: 1 }]);
    assert.equal(
      await redis.command("EVAL", "redis.call('SELECT', 3) return redis.call('HLEN', KEYS[1])", "1", KEY),
      2,
    );
  });

  it("is not believed over TLS without a certificate that proves it", async (t) => {
    const redis = await startRedis(t);
    const { cert, key } = createAuthority().issue({ dns: ["localhost"], ips: ["127.0.0.1"] });
    const front = createTlsServer({ cert, key }, (client) => handOn(client, redis)).listen(0, "127.0.0.1");
    t.after(() => front.close());
    const replica = await startReplica(t, `rediss://localhost:${await portOf(front)}`);
    assert.equal(replica.store.state, "down");
    assert.match(String(eventsOf(replica, "store_down")[0].reason), /^(?:UNABLE_TO_VERIFY|SELF_SIGNED|DEPTH_ZERO)/);
  });

  it("is given up that accepts and never says anything, also while it connects", async (t) => {
    const front = createServer().listen(0, "127.0.0.1");
    const clients: Socket[] = [];
    front.on("connection", (client) => clients.push(client));
    t.after(() => {
      for (const client of clients) client.destroy();
      front.close();
    });
    const options = { url: `redis://127.0.0.1:${await portOf(front)}`, channel: "x", timeoutMs: 60_000 };
    const stop = new AbortController();
    const opening = RedisConnection.open({ clock: systemClock, onMessage: () => {} }, options, stop.signal);
    const refused = assert.rejects(opening, /aborted/);
    stop.abort();
    await refused;
    const late = RedisConnection.open({ clock: systemClock, onMessage: () => {} }, options, stop.signal);
    await assert.rejects(late, /aborted/);
  });
});

async function portOf(server: { address(): unknown; once(event: "listening", heard: () => void): unknown }) {
  if (server.address() === null) await new Promise<void>((resolve) => server.once("listening", resolve));
  return (server.address() as { readonly port: number }).port;
}
