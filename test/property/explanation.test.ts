import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { explainConfig } from "../../src/assembly/explain-config.js";
import type { KeyPart } from "../../src/config/config.js";
import { CircuitBreaker } from "../../src/core/breaker.js";
import { type Cluster, staticCluster } from "../../src/core/cluster.js";
import { LoadWait } from "../../src/core/load-wait.js";
import type { Node, NodeMode } from "../../src/core/node.js";
import type { RequestSketch } from "../../src/core/operations.js";
import { OutlierDetector } from "../../src/core/outlier.js";
import { Outcome } from "../../src/core/policies/policy.js";
import type { PolicyName, PolicyOptions } from "../../src/core/policies/table.js";
import { Rebalancer } from "../../src/core/rebalancer.js";
import { memoryStore } from "../../src/store/memory-store.js";
import { systemClock } from "../../src/system/clock.js";
import { BY_KEY, POLICY_NAMES, policyNamed } from "../core/every-policy.js";
import { addresses, exchangeOf, nodesOf } from "../core/small-cluster.js";
import { localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";
import { seeded } from "../support/seeded-random.js";

const OPEN_MS = 1000;
const SLOW_START_MS = 10_000;
const CONNECTIONS_MAX = 20;
const hash = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const rarely = fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });

type ValueOf<A> = A extends fc.Arbitrary<infer Value> ? Value : never;

/** How a node stands. */
const standing = fc.record({
  weight: fc.constantFrom(0, 1, 1, 1, 2, 5),
  isDead: rarely,
  isSuspect: rarely,
  isEjected: rarely,
  mode: fc.constantFrom<NodeMode>("active", "active", "active", "active", "draining", "disabled"),
  check: fc.constantFrom("off" as const, "off" as const, "passing" as const, "failing" as const, "unknown" as const),
  breaker: fc.constantFrom("closed", "closed", "closed", "open", "due", "half-open"),
  inFlight: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: CONNECTIONS_MAX })),
  /** How long ago it came back; undefined: long ago. */
  youngMs: fc.option(fc.constantFrom(0, 3000, 9000), { nil: undefined, freq: 3 }),
  loadWaitMs: fc.constantFrom<number>(0, 0, 0, 0, 1000, 3000),
});
type Standing = ValueOf<typeof standing>;

const world = fc.record({
  policy: fc.constantFrom(...POLICY_NAMES),
  rebalances: fc.boolean(),
  options: fc.record({
    hash: fc.constantFrom("fast" as const, "ketama" as const),
    mode: fc.constantFrom("smooth" as const, "interleaved" as const),
    spread: fc.constantFrom<number>(1, 1, 2, 3),
    balanceFactor: fc.constantFrom<number>(1.5, 1.5, 0, 1, 3),
  }),
  nodes: fc.array(standing, { maxLength: 6 }),
  /** The node that a client is kept on, by its number. */
  affinity: fc.option(fc.nat(5), { nil: undefined, freq: 2 }),
  clusterConnectionsMax: fc.constantFrom<number>(0, 0, 0, 25),
});
type World = ValueOf<typeof world>;

interface Built {
  readonly cluster: Cluster;
  readonly nodes: readonly Node[];
  readonly clock: FakeClock;
  /** Numbers that chance was asked for. */
  readonly drawn: () => number;
}

/** A cluster in that state, each time the same. */
function build(given: World): Built {
  const clock = new FakeClock();
  const chance = seeded(7);
  let drawn = 0;
  const random = () => {
    drawn++;
    return chance();
  };
  const now = () => clock.now();
  const ids = addresses(given.nodes.length);
  const nodes = nodesOf(ids, (id) => given.nodes[ids.indexOf(id)].weight);
  const breaker = new CircuitBreaker({ clock, random }, { consecutiveFaults: 1, openMs: OPEN_MS });
  const outlier = new OutlierDetector({ clock });
  const loadWait = new LoadWait({ now, random }, { halfLifeMs: 1_000_000 });
  const total = { inFlight: 0 };
  const options: Partial<PolicyOptions> = { ...given.options, tableSize: 211, random, now };
  const plain = policyNamed(given.policy, options);
  const policy = given.rebalances ? new Rebalancer(plain, { clock }) : plain;
  const { affinity, clusterConnectionsMax } = given;
  const cluster = staticCluster(
    {
      policy,
      breaker,
      outlier,
      loadWait,
      total,
      now,
      random,
      affinity:
        affinity === undefined
          ? undefined
          : (exchange, members) => {
              const home = members[affinity];
              return home?.alive && home.mode !== "disabled" && !exchange.tried.has(home.index) ? home : undefined;
            },
    },
    { nodeConnectionsMax: CONNECTIONS_MAX, clusterConnectionsMax, slowStartMs: SLOW_START_MS },
    nodes,
  );
  const trip = (node: Node) => breaker.observe(node, breaker.noteAcquired(node), Outcome.FAILED, 0);
  const all = nodes.map((node, index) => ({ node, ...given.nodes[index] }));
  for (const { node, breaker: kind } of all) if (kind === "due" || kind === "half-open") trip(node);
  clock.pass(2 * OPEN_MS);
  for (const { node, breaker: kind } of all) {
    if (kind === "half-open") breaker.noteAcquired(node);
    if (kind === "open") trip(node);
  }
  for (const { node, youngMs } of all) {
    if (youngMs === undefined) continue;
    clock.pass(-youngMs);
    cluster.noteReturn(node);
    clock.pass(youngMs);
  }
  for (const each of all) {
    stand(each.node, each, loadWait);
    total.inFlight += each.inFlight;
    policy.noteLoad?.(each.node);
  }
  outlier.noteHealth();
  return { cluster, nodes, clock, drawn: () => drawn };
}

function stand(node: Node, given: Standing, loadWait: LoadWait): void {
  const { isDead, isSuspect, isEjected, mode, check, inFlight, loadWaitMs } = given;
  node.alive = !isDead;
  node.suspect = isSuspect && !isDead;
  node.ejected = isEjected;
  node.mode = mode;
  node.check = check;
  node.inFlight = inFlight;
  for (const keyHash of KEYS) if (loadWaitMs > 0) loadWait.note(node, keyHash, loadWaitMs);
}

/** The keys for which calls wait. */
const KEYS = [1, 2 ** 31, 2 ** 32 - 5];
const anyHash = fc.oneof(hash, fc.constantFrom(...KEYS));

/** Who gets an exchange, and who next each time the last one could not be dialled. */
function acquired({ cluster, nodes }: Built, keyHash: number) {
  const exchange = exchangeOf("", keyHash);
  const ids: string[] = [];
  for (let node = cluster.acquire(exchange); node !== undefined; node = cluster.acquire(exchange)) {
    assert.ok(ids.length < nodes.length);
    ids.push(node.id);
    cluster.release(node, exchange.stamp, Outcome.NONE);
    exchange.tried.add(node.index);
  }
  return { ids, refusal: ids.length === 0 ? exchange.refusal : "none" };
}

describe("a preview of an exchange", () => {
  it("names the nodes that get it, one after the other, or says why nobody does", () => {
    let certain = 0;
    fc.assert(
      fc.property(world, anyHash, (given, keyHash) => {
        const built = build(given);
        const preview = built.cluster.preview(exchangeOf("", keyHash));
        const foretold = preview.attempts.map(({ id }) => id);
        const { ids, refusal } = acquired(built, keyHash);
        assert.deepEqual(foretold, ids.slice(0, foretold.length));
        assert.equal(preview.refusal, refusal);
        assert.deepEqual(preview.nodes.map(({ node }) => node.id).sort(), built.nodes.map(({ id }) => id).sort());
        if (!preview.isKeyed) {
          assert.equal(foretold.length, preview.stays ? 1 : 0);
          return;
        }
        const hasChance = preview.nodes.some(({ reasons }) => reasons.includes("load-wait"));
        if (hasChance) return;
        certain++;
        assert.ok(preview.isFixed);
        assert.deepEqual(foretold, ids);
      }),
      { numRuns: 3000 },
    );
    assert.ok(certain > 300, `only ${certain} were certain`);
  });

  it("gives a reason for each node before the one that gets it, and none for that one", () => {
    fc.assert(
      fc.property(world, fc.constantFrom(...BY_KEY), hash, (given, policy, keyHash) => {
        const nodes = given.nodes.map((node) => ({ ...node, youngMs: undefined, loadWaitMs: 0 }));
        const options = { ...given.options, spread: 1, balanceFactor: Math.max(1, given.options.balanceFactor) };
        const { cluster } = build({ ...given, nodes, options, policy, clusterConnectionsMax: 0 });
        const preview = cluster.preview(exchangeOf("", keyHash));
        const free = preview.nodes.filter(({ reasons }) => reasons.length === 0).map(({ node }) => node);
        if (free.length > 0) assert.equal(preview.attempts[0], free[0]);
        assert.ok(free.every((node) => preview.attempts.includes(node)));
      }),
      { numRuns: 2000 },
    );
  });

  it("leaves no trace: the same exchanges get the same nodes whether they were explained or not", () => {
    const step = fc.record({
      keyHash: anyHash,
      passMs: fc.constantFrom(0, 1, 300, 5000),
      outcome: fc.constantFrom(Outcome.ANSWERED, Outcome.ANSWERED, Outcome.FAILED, Outcome.NONE),
      waitedMs: fc.integer({ min: 0, max: 500 }),
      isKept: fc.boolean(),
      loadWaitMs: fc.constantFrom(0, 0, 1000),
    });
    fc.assert(
      fc.property(world, fc.array(step, { maxLength: 40 }), (given, steps) => {
        const [plain, explained] = [build(given), build(given)];
        for (const each of steps) {
          const { keyHash, passMs, outcome, waitedMs, isKept, loadWaitMs } = each;
          const exchange = exchangeOf("", (keyHash * 31) >>> 0);
          explained.cluster.preview(exchange);
          explained.cluster.preview(exchangeOf("", keyHash));
          assert.ok(exchange.tried.isEmpty);
          assert.deepEqual([exchange.refusal, exchange.stamp], ["none", 0]);
          const [one, other] = [plain, explained].map(({ cluster, clock }) => {
            clock.pass(passMs);
            const begun = exchangeOf("", keyHash);
            const node = cluster.acquire(begun);
            if (node !== undefined && !isKept) {
              cluster.noteLoadWait(node, begun, loadWaitMs);
              cluster.release(node, begun.stamp, outcome, waitedMs, outcome === Outcome.ANSWERED ? 200 : 0);
            }
            return [node?.id, begun.refusal, begun.stamp];
          });
          assert.deepEqual(other, one);
        }
        assert.equal(explained.drawn(), plain.drawn());
        assert.deepEqual(
          explained.nodes.map(({ inFlight }) => inFlight),
          plain.nodes.map(({ inFlight }) => inFlight),
        );
      }),
      { numRuns: 600 },
    );
  });
});

const KEY_PARTS: readonly KeyPart[] = [
  { kind: "path" },
  { kind: "target" },
  { kind: "prefix", depth: 1 },
  { kind: "query", name: "user" },
  { kind: "header", name: "X-Tenant" },
  { kind: "cookie", name: "session" },
  { kind: "host" },
  { kind: "client" },
];
const NODES = 4;
const word = fc.stringMatching(/^[a-z0-9%.]{1,6}$/);
const setup = fc.record({
  policy: fc.constantFrom<PolicyName>(...BY_KEY),
  hash: fc.constantFrom("fast" as const, "ketama" as const),
  key: fc.uniqueArray(fc.constantFrom(...KEY_PARTS), { minLength: 1, maxLength: 2 }),
  weights: fc.array(fc.constantFrom(1, 1, 2, 5, 0), { minLength: NODES, maxLength: NODES }),
  modes: fc.array(fc.constantFrom<NodeMode>("active", "active", "draining", "disabled"), {
    minLength: NODES - 1,
    maxLength: NODES - 1,
  }),
  isSticky: fc.boolean(),
});
const request = fc.record({
  path: fc.array(word, { maxLength: 3 }).map((segments) => `/${segments.join("/")}`),
  user: fc.option(word),
  tenant: fc.option(word),
  session: fc.option(word),
  host: fc.constantFrom("a.example", "B.example:8080", "c"),
  client: fc.constantFrom("127.0.0.1", "127.0.0.2", "127.0.0.3"),
  sticksTo: fc.option(fc.nat(NODES - 1)),
});
type Request = ValueOf<typeof request>;

function sketchOf({ path, user, tenant, session, host, client }: Request, sticky: string | undefined): RequestSketch {
  const headers: [string, string][] = [];
  if (tenant !== null) headers.push(["x-tenant", tenant]);
  if (session !== null) headers.push(["Cookie", `theme=dark; session=${session}`]);
  if (sticky !== undefined) headers.push(["x-stay", sticky]);
  return { url: `http://${host}${path}${user === null ? "" : `?user=${user}`}`, headers, client };
}

/** The node that answers the request, by its name. */
async function ask(t: TestContext, port: number, { url, headers = [], client }: RequestSketch) {
  const [, host, target] = /^http:\/\/([^/]+)(.*)$/.exec(url) ?? [];
  const lines = [["Host", host], ...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  const peer = await connectClient(t, port, client);
  const response = await peer.ask(`GET ${target} HTTP/1.1\r\n${lines.join("")}\r\n`);
  peer.destroy();
  return response;
}

describe("the explanation of a request", () => {
  it("names the node that serves it over real sockets, one that is dead and not known to be included", async (t) => {
    const nodes = await startFunctionNodes(t, NODES);
    const idOf = ({ port }: FunctionNode) => `127.0.0.1:${port}`;
    await nodes[0].stop();
    let served = 0;
    await fc.assert(
      fc.asyncProperty(setup, fc.array(request, { minLength: 6, maxLength: 6 }), async (given, requests) => {
        const { weights, modes, isSticky, ...settings } = given;
        const store = memoryStore({ clock: systemClock });
        const { balancer, port, config } = await startBalancer(
          t,
          {
            ...settings,
            nodes: nodes.map((node, index) => localNode(node.port, weights[index])),
            stickyHeader: isSticky ? "x-stay" : "",
            stickyCodecs: ["hash"],
            pingIntervalMs: 60_000,
          },
          { store },
        );
        await store.edit(
          "default",
          modes.map((mode, index) => ({ id: idOf(nodes[index + 1]), mode })),
        );
        const stays = new Map<number, string>();
        for (const each of requests) {
          const sketch = sketchOf(each, isSticky ? stays.get(each.sticksTo ?? -1) : undefined);
          const foretold = balancer.explain(sketch);
          const attempts = foretold.order
            .filter(({ attempt }) => attempt !== undefined)
            .sort((a, b) => (a.attempt ?? 0) - (b.attempt ?? 0));
          assert.equal(foretold.node, attempts[0]?.id);
          const response = await ask(t, port, sketch);
          const alive = attempts.find(({ id }) => id !== idOf(nodes[0]));
          if (alive === undefined) {
            assert.ok(response.status >= 500, String(response.status));
            continue;
          }
          assert.equal(response.status, 200);
          served++;
          const node = nodes.find(({ name }) => name === response.json().node)!;
          assert.equal(idOf(node), alive.id);
          const stay = response.header("x-stay");
          if (stay !== undefined) stays.set(nodes.indexOf(node), stay);
          // Once it is known to be dead nobody is sent there.
          if (foretold.node === idOf(nodes[0])) assert.equal(balancer.explain(sketch).node, alive.id);
        }
        // All are well as far as a config knows; that says the same of the order and of the key.
        const [first] = requests;
        const live = balancer.explain(sketchOf(first, undefined));
        const whole = oneCluster(config);
        const offline = explainConfig(whole, sketchOf(first, undefined));
        assert.equal(offline.source, "config");
        assert.deepEqual(
          [offline.key, offline.keyHash, offline.order.map(({ id }) => id)],
          [live.key, live.keyHash, live.order.map(({ id }) => id)],
        );
        await balancer.close();
      }),
      { numRuns: 25 },
    );
    assert.ok(served > 50, `only ${served} were served`);
  });
});
