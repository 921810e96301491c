import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { readDiscovery } from "../../src/config/discovery.js";
import { POLICIES, type PolicyName } from "../../src/core/policies/table.js";
import { localNode, oneCluster, startBalancer, type TestBalancer } from "../support/balancer.js";
import { startDnsServer } from "../support/dns-server.js";
import { FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { startManyNodes } from "../support/many-nodes.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";
import { scrapedText } from "../support/scrape.js";

const source = (text: string) => readDiscovery({ texts: [text], source: "test" });
const asking = (target: string) => `GET ${target} HTTP/1.1\r\nHost: fn\r\n\r\n`;
const idsOf = ({ balancer }: Pick<TestBalancer, "balancer">) => balancer.snapshot().nodes.map(({ id }) => id);
const named = (events: TestBalancer["events"], name: string) => events.filter(({ event }) => event === name);

/** Has exactly these nodes, by address or id. */
function untilNodes({ until }: TestBalancer, parts: readonly string[]): Promise<void> {
  return until(`nodes ${parts.join(" ")}`, ({ nodes }) => {
    const left = nodes.map(({ id }) => id);
    return (
      left.length === parts.length && parts.every((part) => left.some((id) => id === part || id.startsWith(`${part}:`)))
    );
  });
}

/** The node that answers each of some paths. */
async function homesOf(client: RawClient, paths: readonly string[]): Promise<readonly string[]> {
  const homes: string[] = [];
  for (const path of paths) {
    const response = await client.ask(asking(path));
    assert.equal(response.status, 200, path);
    homes.push(response.header("x-node") ?? "");
  }
  return homes;
}

const PATHS = Array.from({ length: 60 }, (_, index) => `/f${index}`);

/** Clients that ask one path after the other until they are told to stop; what went wrong is in `failed`. */
function startLoad(t: TestContext, port: number, clients = 8) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const state = { answered: 0, isOver: false };
  const failed: string[] = [];
  const call = (path: string) =>
    new Promise<void>((resolve) => {
      const outgoing = get({ agent, port, host: "127.0.0.1", path }, (response) => {
        if (response.statusCode !== 200) failed.push(`${path}: ${response.statusCode}`);
        response.resume().on("end", resolve);
      });
      outgoing.on("error", (error) => {
        failed.push(`${path}: ${error.message}`);
        resolve();
      });
    });
  const client = async (number: number) => {
    for (let turn = number; !state.isOver; turn++) {
      await call(`/f${turn % 97}`);
      state.answered++;
    }
  };
  const story = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  const stop = async () => {
    state.isOver = true;
    await story;
    agent.destroy();
  };
  t.after(stop);
  return { state, failed, stop };
}

const OFTEN = { discoverIntervalMinMs: 100 };

describe("a cluster whose nodes are the addresses of a name", () => {
  it("follows them under load, and no client sees an error", async (t) => {
    const nodes = await startManyNodes(t);
    const pods = Array.from({ length: 7 }, (_, index) => `127.0.0.${index + 1}`);
    const dns = await startDnsServer(t, { fn: { addresses: pods.slice(0, 3), ttlS: 0 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns:fn:${nodes.port}`), ...OFTEN },
      { openLookup: dns.openLookup },
    );
    assert.deepEqual(
      idsOf(started),
      pods.slice(0, 3).map((pod) => `${pod}:${nodes.port}`),
      "known before it listens",
    );
    const { state, failed, stop } = startLoad(t, started.port);
    for (let round = 1; round <= 12; round++) {
      const from = round % 5;
      const alive = pods.slice(from, from + 2 + (round % 3));
      dns.zones.set("fn", { addresses: alive, ttlS: 0 });
      await untilNodes(started, alive);
      const { answered } = state;
      await started.until("requests with these nodes", () => state.answered >= answered + 100);
    }
    await stop();
    assert.deepEqual(failed, []);
    assert.equal(started.balancer.snapshot().counters.nodeDeaths, 0);
    assert.equal(nodes.calls.size, pods.length, "each had its turn");
  });

  it("does not move a key when the answers come in another order, and logs nothing", async (t) => {
    const clock = new FakeClock();
    const nodes = await startManyNodes(t);
    const pods = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
    const dns = await startDnsServer(t, { fn: { addresses: pods, ttlS: 5 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`) },
      { clock, openLookup: dns.openLookup },
    );
    const client = await connectClient(t, started.port);
    const homes = await homesOf(client, PATHS);
    const { length: logged } = started.events;
    for (let turn = 1; turn <= 6; turn++) {
      dns.zones.set("fn", { addresses: [...pods.slice(turn % 4), ...pods.slice(0, turn % 4)], ttlS: 5 });
      await clock.advance(5000);
      await started.until("an answer", ({ counters }) => counters.discoveries >= turn + 1);
    }
    assert.deepEqual(await homesOf(client, PATHS), homes);
    assert.equal(started.events.length, logged);
  });

  it("goes on with what it had while the resolver is down, and follows it again when it is back", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1", "127.0.0.2"], ttlS: 0 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns:fn:${nodes.port}`), ...OFTEN, discoverIntervalMaxMs: 1000 },
      { openLookup: dns.openLookup },
    );
    dns.faults.set("all", "fail");
    const { reason, ...fields } = await started.event("discovery_failed");
    assert.deepEqual(
      [fields.level, fields.cluster, fields.source, reason],
      ["warn", "default", `dns:fn:${nodes.port}`, "A fn: ESERVFAIL"],
    );
    await started.until("more failures", ({ counters }) => counters.discoveriesFailed >= 3);
    const discoveryOf = () => started.balancer.snapshot().clusters[0].discovery;
    assert.deepEqual(discoveryOf(), { source: `dns:fn:${nodes.port}`, trouble: "A fn: ESERVFAIL" });
    const up = () => /^fnlb_cluster_discovery_up\{cluster="default"\} (\d)$/m.exec(scrapedText(started.balancer))?.[1];
    assert.equal(up(), "0");
    const client = await connectClient(t, started.port);
    assert.equal(new Set(await homesOf(client, PATHS)).size, 2);
    dns.zones.set("fn", { addresses: ["127.0.0.3"], ttlS: 0 });
    dns.faults.clear();
    await untilNodes(started, ["127.0.0.3"]);
    await started.event("discovery_recovered");
    assert.deepEqual([discoveryOf()?.trouble, up()], [undefined, "1"]);
    assert.equal(named(started.events, "discovery_failed").length, 1);
    assert.deepEqual(new Set(await homesOf(client, PATHS)), new Set(["127.0.0.3"]));
  });

  it("keeps its nodes when the name is gone, unless it was told otherwise", async (t) => {
    for (const discoverAllowsEmpty of [false, true]) {
      const nodes = await startManyNodes(t);
      const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1"], ttlS: 0 } });
      const started = await startBalancer(
        t,
        { nodes: [], discover: source(`dns:fn:${nodes.port}`), ...OFTEN, discoverAllowsEmpty },
        { openLookup: dns.openLookup },
      );
      dns.zones.delete("fn");
      const client = await connectClient(t, started.port);
      if (discoverAllowsEmpty) {
        await untilNodes(started, []);
        assert.equal((await client.ask(asking("/f"))).json().code, "ERR_NO_NODE");
        assert.equal(named(started.events, "discovery_empty").length, 0);
        dns.zones.set("fn", { addresses: ["127.0.0.2"] });
        await untilNodes(started, ["127.0.0.2"]);
      } else {
        await started.event("discovery_empty");
        await started.until("a second empty answer", ({ counters }) => counters.discoveriesEmpty > 1);
        assert.equal(named(started.events, "discovery_empty").length, 1);
      }
      assert.equal((await client.ask(asking("/f"))).status, 200);
    }
  });

  it("starts within two seconds when nobody answers, and gets its nodes as soon as somebody does", async (t) => {
    const clock = new FakeClock();
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1"] } });
    dns.faults.set("all", "silent");
    const starting = startBalancer(
      t,
      { nodes: [], discover: source(`dns:fn:${nodes.port}`) },
      { clock, openLookup: dns.openLookup },
    );
    const waiting = setInterval(() => void clock.advance(500), 5);
    const started = await starting.finally(() => clearInterval(waiting));
    const client = await connectClient(t, started.port);
    assert.equal((await client.ask(asking("/f"))).json().code, "ERR_NO_NODE");
    dns.faults.clear();
    // The question is still out: the resolver asks once more.
    await untilNodes(started, ["127.0.0.1"]);
    assert.equal((await client.ask(asking("/f"))).status, 200);
  });

  it("may have a thousand nodes; one that joins takes its own share and no more", async (t) => {
    const nodes = await startManyNodes(t);
    const pods = Array.from({ length: 1001 }, (_, index) => `127.1.${index >> 8}.${(index & 255) + 0}`).filter(
      (address) => address !== "127.1.0.0",
    );
    const dns = await startDnsServer(t, { fn: { addresses: pods.slice(0, 999), ttlS: 0 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`), ...OFTEN },
      { openLookup: dns.openLookup },
    );
    assert.equal(idsOf(started).length, 999);
    const client = await connectClient(t, started.port);
    const paths = Array.from({ length: 300 }, (_, index) => `/f${index}`);
    const before = await homesOf(client, paths);
    assert.ok(new Set(before).size > 200, "spread over many");
    dns.zones.set("fn", { addresses: [...pods].reverse(), ttlS: 0 });
    await started.until("all of them", (snapshot) => snapshot.nodes.length === pods.length);
    const after = await homesOf(client, paths);
    const moved = after.filter((home, index) => home !== before[index]);
    assert.ok(
      moved.every((home) => home === pods[pods.length - 1]),
      `${moved.length} moved`,
    );
  });

  it("is joined to the nodes that are given, and of one that is both the list knows better", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1", "127.0.0.2"] } });
    const started = await startBalancer(
      t,
      { nodes: [localNode(nodes.port, 3)], discover: source(`dns:fn:${nodes.port}`) },
      { openLookup: dns.openLookup },
    );
    const weights = started.balancer.snapshot().nodes.map(({ id, weight }) => `${id}=${weight}`);
    assert.deepEqual(weights, [`127.0.0.1:${nodes.port}=3`, `127.0.0.2:${nodes.port}=1`]);
  });

  it("works with every policy from nobody to some and back to nobody", async (t) => {
    for (const policy of Object.keys(POLICIES) as PolicyName[]) {
      const nodes = await startManyNodes(t);
      const dns = await startDnsServer(t);
      const started = await startBalancer(
        t,
        { nodes: [], policy, discover: source(`dns4:fn:${nodes.port}`), ...OFTEN, discoverAllowsEmpty: true },
        { openLookup: dns.openLookup },
      );
      const client = await connectClient(t, started.port);
      for (const addresses of [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.3", "127.0.0.4"], []]) {
        dns.zones.set("fn", { addresses, ttlS: 0 });
        await untilNodes(started, addresses);
        for (let turn = 0; turn < 5; turn++) {
          const { status } = await client.ask(asking(`/f${turn}`));
          assert.equal(status, addresses.length === 0 ? 503 : 200, `${policy} with ${addresses.length}`);
        }
      }
    }
  });
});

describe("a node that is not listed any more", () => {
  it("ends the exchange that it serves as it began, and gets no other", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1"], ttlS: 0 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`), ...OFTEN },
      { openLookup: dns.openLookup },
    );
    const client = await connectClient(t, started.port);
    client.send(asking("/held"));
    await client.log.until("the head", () => client.text.includes("begun") || undefined);
    dns.zones.set("fn", { addresses: ["127.0.0.2"], ttlS: 0 });
    await started.event("node_removed");
    const other = await connectClient(t, started.port);
    assert.deepEqual(new Set(await homesOf(other, PATHS)), new Set(["127.0.0.2"]));
    nodes.release();
    const { status, body } = await client.response();
    assert.deepEqual([status, body.toString()], [200, "begun done"]);
    assert.deepEqual(await homesOf(client, ["/f"]), ["127.0.0.2"]);
    assert.equal(nodes.calls.get("127.0.0.1"), 1);
  });

  it("may be listed again while its last exchange still runs", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1", "127.0.0.2"], ttlS: 0 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`), policy: "weighted-round-robin", ...OFTEN },
      { openLookup: dns.openLookup },
    );
    const clients = [await connectClient(t, started.port), await connectClient(t, started.port)];
    for (const client of clients) {
      client.send(asking("/held"));
      await client.log.until("the head", () => client.text.includes("begun") || undefined);
    }
    for (const addresses of [["127.0.0.3"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.3"], ["127.0.0.2", "127.0.0.1"]]) {
      dns.zones.set("fn", { addresses, ttlS: 0 });
      await untilNodes(started, addresses);
      const other = await connectClient(t, started.port);
      assert.deepEqual([...new Set(await homesOf(other, PATHS))].sort(), [...addresses].sort());
    }
    nodes.release();
    for (const client of clients) assert.equal((await client.response()).status, 200);
    await started.until("nobody busy", (snapshot) => snapshot.nodes.every(({ inFlight }) => inFlight === 0));
  });
});

describe("a node that is newly listed", () => {
  it("gets nothing before its first passed check", async (t) => {
    const nodes = await startManyNodes(t);
    nodes.unhealthy.add("127.0.0.2");
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1"], ttlS: 0 } });
    const started = await startBalancer(
      t,
      {
        nodes: [],
        discover: source(`dns4:fn:${nodes.port}`),
        ...OFTEN,
        checkPath: "/health",
        checkIntervalMs: 20,
      },
      { openLookup: dns.openLookup },
    );
    await started.event("node_passing");
    const client = await connectClient(t, started.port);
    dns.zones.set("fn", { addresses: ["127.0.0.1", "127.0.0.2"], ttlS: 0 });
    await started.event("node_failing");
    assert.deepEqual(new Set(await homesOf(client, PATHS)), new Set(["127.0.0.1"]));
    assert.equal(nodes.calls.has("127.0.0.2"), false);
    nodes.unhealthy.delete("127.0.0.2");
    await started.event("node_passing");
    assert.deepEqual(new Set(await homesOf(client, PATHS)), new Set(["127.0.0.1", "127.0.0.2"]));
  });

  it("is waited for at the start where checks are on, so that the first request finds it", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1", "127.0.0.2"] } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`), checkPath: "/health" },
      { openLookup: dns.openLookup },
    );
    const client = await connectClient(t, started.port);
    assert.equal(new Set(await homesOf(client, PATHS)).size, 2);
  });
});

describe("a cluster whose nodes are in a file", () => {
  it("follows it under load, through atomic renames, and no client sees an error", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-nodes-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "nodes");
    const nodes = await startFunctionNodes(t, 6);
    const list = (some: readonly { readonly address: string }[]) => {
      writeFileSync(`${path}.new`, `# written anew\n${some.map(({ address }) => address).join("\n")}\n`);
      renameSync(`${path}.new`, path);
    };
    list(nodes.slice(0, 2));
    const started = await startBalancer(t, { nodes: [], discover: source(`file:${path}`), ...OFTEN });
    const { state, failed, stop } = startLoad(t, started.port);
    let running = nodes.slice(0, 2);
    const stopped: FunctionNode[] = [];
    for (let round = 1; round <= 8; round++) {
      const next = [0, 1, 2].map((offset) => nodes[(round * 2 + offset) % nodes.length]);
      for (const node of stopped.splice(0)) await node.start();
      list(next);
      await untilNodes(
        started,
        next.map(({ address }) => address),
      );
      const { answered } = state;
      await started.until("requests with these nodes", () => state.answered >= answered + 100);
      // Whoever is not listed any more may go once nobody has a connection to it; dials of before have come by now.
      for (const node of running.filter((one) => !next.includes(one))) {
        await started.until("its connections to close", () => node.connections === 0);
        await node.stop();
        stopped.push(node);
      }
      running = next;
    }
    await stop();
    assert.deepEqual(failed, []);
    assert.equal(started.balancer.snapshot().counters.nodeDeaths, 0);
  });

  it("keeps its nodes while the file is bad or gone, and says once of each thing that it is wrong", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-nodes-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "nodes");
    const [a, b] = await startFunctionNodes(t, 2);
    writeFileSync(path, a.address);
    const started = await startBalancer(t, { nodes: [], discover: source(`file:${path}`), ...OFTEN });
    writeFileSync(path, `${a.address}\nb:99999\n`);
    assert.match(String((await started.event("discovery_failed")).reason), /^line 2 has "b:99999"/);
    rmSync(path);
    const reasons = () => named(started.events, "discovery_failed").map(({ reason }) => String(reason));
    await started.until("the loss", () => reasons().includes("ENOENT"));
    const looks = started.balancer.snapshot().counters.discoveriesFailed;
    await started.until("more looks", ({ counters }) => counters.discoveriesFailed > looks + 3);
    assert.deepEqual(idsOf(started), [a.address]);
    writeFileSync(path, JSON.stringify([b.address]));
    await started.event("discovery_recovered");
    await untilNodes(started, [b.address]);
    assert.equal(reasons().length, 2);
  });
});

describe("a reload", () => {
  it("that leaves the source alone keeps what was found", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1", "127.0.0.2"] } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`) },
      { openLookup: dns.openLookup },
    );
    dns.faults.set("all", "fail");
    const { length: asked } = dns.questions;
    const { balancer, config } = started;
    await balancer.reload(oneCluster({ ...config, attemptsMax: 2, policy: "least-loaded" }));
    assert.equal(idsOf(started).length, 2);
    assert.deepEqual([dns.questions.length, named(started.events, "node_removed").length], [asked, 0]);
    const client = await connectClient(t, started.port);
    assert.equal((await client.ask(asking("/f"))).status, 200);
  });

  it("that names another source holds the nodes until that has answered", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.2"] }, other: { addresses: ["127.0.0.3"] } });
    const started = await startBalancer(
      t,
      { nodes: [localNode(nodes.port)], discover: source(`dns4:fn:${nodes.port}`), discoverIntervalMinMs: 100 },
      { openLookup: dns.openLookup },
    );
    assert.equal(idsOf(started).length, 2);
    dns.faults.set("all", "fail");
    const { balancer, config } = started;
    const next = { ...config, nodes: [], discover: source(`dns4:other:${nodes.port}`) };
    await balancer.reload(oneCluster(next));
    await started.event("discovery_failed");
    assert.equal(idsOf(started).length, 2, "also those that were on the list");
    dns.faults.clear();
    await untilNodes(started, ["127.0.0.3"]);
    const { length: asked } = dns.questions.filter((question) => question === "A fn");
    await balancer.reload(oneCluster({ ...next, nodes: [localNode(nodes.port)], discover: { kind: "none" } }));
    assert.deepEqual(idsOf(started), [`127.0.0.1:${nodes.port}`], "a list alone is complete at once");
    assert.equal(dns.questions.filter((question) => question === "A fn").length, asked);
  });

  it("changes the limits of a source that goes on", async (t) => {
    const nodes = await startManyNodes(t);
    const dns = await startDnsServer(t, { fn: { addresses: ["127.0.0.1", "127.0.0.2", "127.0.0.3"], ttlS: 0 } });
    const started = await startBalancer(
      t,
      { nodes: [], discover: source(`dns4:fn:${nodes.port}`), ...OFTEN },
      { openLookup: dns.openLookup },
    );
    await started.balancer.reload(oneCluster({ ...started.config, discoverNodesMax: 2 }));
    await untilNodes(started, ["127.0.0.1", "127.0.0.2"]);
    const { limit, nodes: count } = await started.event("discovery_over_limit");
    assert.deepEqual([limit, count], [2, 3]);
  });
});
