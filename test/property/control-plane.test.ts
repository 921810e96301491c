import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import type { Config, NodeConfig } from "../../src/config/config.js";
import { readDiscovery } from "../../src/config/discovery.js";
import { parseNodeName } from "../../src/config/node-address.js";
import { EMPTY_REGISTRY, mergeNodes, type Registry } from "../../src/core/registry.js";
import { joinedNodes, orderedNodes } from "../../src/discovery/ordered-nodes.js";
import { FnlbError } from "../../src/errors.js";
import { memoryStore } from "../../src/store/memory-store.js";
import type { Store } from "../../src/store/store.js";
import { systemClock } from "../../src/system/clock.js";
import { type AdminResponse, askAdmin } from "../support/admin-client.js";
import { localNode, startConfig, type TestBalancer } from "../support/balancer.js";
import { type ClusterUnderTest, configWith } from "../support/clusters.js";
import { eventually, turns } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNode } from "../support/function-node.js";
import { OpenApiDocument, type Operation } from "../support/open-api.js";
import { makeDirectory } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";
import { routeTo } from "../support/routed-request.js";

/** The first one is in every list and stays as it is: every request can be served. */
const NODES = 5;
const REPLICAS = 2;
const RUNS = 6;
const CALLERS = 2;

const others = fc.integer({ min: 1, max: NODES });
const weight = fc.constantFrom(0, 0.5, 1, 3);
const mode = fc.constantFrom("active", "draining", "disabled");
const cluster = fc.constantFrom("a", "a", "b");
const replica = fc.nat({ max: REPLICAS - 1 });
const said = fc.record({ weight, mode }, { requiredKeys: [] });
const settings = fc.record(
  {
    policy: fc.constantFrom("ring-hash", "maglev", "rendezvous", "weighted-round-robin", "least-loaded", "p2c-ewma"),
    slowStartMs: fc.constantFrom(0, 20),
    outlierConsecutive: fc.constantFrom(0, 2),
    breakerFaults: fc.constantFrom(0, 3),
    checkPath: fc.constantFrom("", "", "/health"),
    loadHeader: fc.constantFrom("", "x-wait"),
    rebalance: fc.boolean(),
  },
  { requiredKeys: [] },
);
const listing = fc.uniqueArray(fc.record({ number: others, weight, isNamed: fc.boolean() }), {
  maxLength: 4,
  selector: ({ number }) => number,
});
const edit = (kind: "add" | "put" | "patch" | "delete" | "reset" | "mark-alive") =>
  fc.record({ kind: fc.constant(kind), replica, cluster, number: others, isNamed: fc.boolean(), said });
const step = fc.oneof(
  { weight: 4, arbitrary: edit("add") },
  { weight: 4, arbitrary: edit("put") },
  { weight: 4, arbitrary: edit("patch") },
  { weight: 4, arbitrary: edit("delete") },
  { weight: 1, arbitrary: edit("reset") },
  { weight: 1, arbitrary: edit("mark-alive") },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("reload" as const),
      replica,
      lists: fc.record({ a: listing, b: fc.option(listing) }),
      settings,
      discovers: fc.boolean(),
      adminMoves: fc.boolean(),
      adminConnectionsMax: fc.constantFrom(16, 64),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("find" as const), nodes: listing }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("store" as const), state: fc.constantFrom("up", "up", "down", "late") }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("node" as const),
      number: others,
      state: fc.constantFrom("up", "up", "killed", "frozen"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pause" as const), replica, isPaused: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("look" as const), replica, at: fc.nat() }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
type Edit = Extract<Step, { readonly kind: "add" | "put" | "patch" | "delete" | "reset" | "mark-alive" }>;
type Reload = Extract<Step, { readonly kind: "reload" }>;
type Listing = Reload["lists"]["a"];

/** A store that can be down, or slow to answer and to tell. */
function moodyStore(inner: Store): Store & { mood: "up" | "down" | "late" } {
  const asked = async <T>(act: () => Promise<T>): Promise<T> => {
    const { mood } = store;
    if (mood === "down") throw new FnlbError("ERR_STORE", "the store is down");
    if (mood === "late") await turns(20);
    const answer = await act();
    if (mood === "late") await turns(20);
    return answer;
  };
  const store: Store & { mood: "up" | "down" | "late" } = {
    mood: "up",
    get state() {
      return store.mood === "down" ? ("down" as const) : ("up" as const);
    },
    sessions: inner.sessions,
    run: (signal) => inner.run(signal),
    opened: () => inner.opened(),
    watch(name, onChange, signal) {
      let newest = EMPTY_REGISTRY;
      const tell = () => signal.aborted || onChange(newest);
      const hear = (registry: Registry) => {
        newest = registry;
        if (store.mood === "late") void turns(10).then(tell);
        else tell();
      };
      inner.watch(name, hear, signal);
    },
    read: (name) => asked(() => inner.read(name)),
    edit: (name, changes, guard) => asked(() => inner.edit(name, changes, guard)),
  };
  return store;
}

/** A node that can be killed, and frozen: then it takes requests and says nothing until it thaws. */
interface Victim {
  readonly node: FunctionNode;
  become(state: "up" | "killed" | "frozen"): Promise<void>;
}

async function startVictim(t: TestContext, name: string): Promise<Victim> {
  let isFrozen = false;
  let thawed: (() => void)[] = [];
  const node = await startFunctionNode(t, {
    name,
    answer(_request, response) {
      response.setHeader("x-node", name);
      response.setHeader("x-wait", "1");
      const answer = () => response.end(name);
      if (isFrozen) thawed.push(answer);
      else answer();
    },
  });
  let isUp = true;
  return {
    node,
    async become(state) {
      isFrozen = state === "frozen";
      if (!isFrozen) for (const answer of thawed.splice(0)) answer();
      if (state === "killed" && isUp) await node.stop();
      if (state !== "killed" && !isUp) await node.start();
      isUp = state !== "killed";
      if (state === "killed") thawed = [];
    },
  };
}

/** One replica: a balancer, the config that it has taken over, and where its admin API may be. */
interface Replica extends Omit<TestBalancer, "config"> {
  config: Config;
  /** Reloads that move the admin API are under way, or were in this batch. */
  moved: boolean;
  reloading: Promise<void>;
}

const EDITS: Readonly<Record<Edit["kind"], readonly [method: string, path: string]>> = {
  add: ["POST", "/v1/clusters/{cluster}/nodes"],
  put: ["PUT", "/v1/clusters/{cluster}/nodes/{node}"],
  patch: ["PATCH", "/v1/clusters/{cluster}/nodes/{node}"],
  delete: ["DELETE", "/v1/clusters/{cluster}/nodes/{node}"],
  reset: ["POST", "/v1/clusters/{cluster}/nodes/{node}/reset"],
  "mark-alive": ["POST", "/v1/clusters/{cluster}/nodes/{node}/mark-alive"],
};

class Siege {
  readonly #t: TestContext;
  readonly #directory: string;
  readonly store = moodyStore(memoryStore({ clock: systemClock }));
  readonly victims: Victim[] = [];
  readonly replicas: Replica[] = [];
  readonly failures: unknown[] = [];
  readonly outcomes = new Map<string, number>();
  #document: OpenApiDocument | undefined;
  #found: Listing = [];
  #sockets = 0;

  constructor(t: TestContext) {
    this.#t = t;
    this.#directory = makeDirectory(t);
  }

  async start(): Promise<void> {
    for (let number = 0; number < NODES; number++) this.victims.push(await startVictim(this.#t, `n${number}`));
    this.#write([]);
    for (let index = 0; index < REPLICAS; index++) {
      const config = this.#configOf({ lists: { a: [], b: [] } });
      const resolve = async () => {
        await turns(2);
        return ["127.0.0.1"];
      };
      const started = await startConfig(this.#t, config, { store: this.store, resolve });
      this.replicas.push({ ...started, config, moved: false, reloading: Promise.resolve() });
    }
    this.#document = new OpenApiDocument(
      (await askAdmin(this.replicas[0].balancer.adminAddress, "/v1/openapi.json")).json,
    );
  }

  get #path(): string {
    return join(this.#directory, "nodes");
  }

  /** One port more than there are nodes: nobody listens there. */
  #idOf(number: number, isNamed: boolean): string {
    const port = number < NODES ? this.victims[number].node.port : 1;
    return isNamed ? `n${number}:${port}` : `127.0.0.1:${port}`;
  }

  #nodesOf(list: Listing): NodeConfig[] {
    return list.map(({ number, isNamed, weight: weighs }) => {
      const node = parseNodeName(this.#idOf(number, isNamed));
      assert.ok(!("reason" in node));
      return { ...node, weight: weighs };
    });
  }

  #write(list: Listing): void {
    this.#found = list;
    const text = this.#nodesOf(list).map(({ id, weight: weighs }) => `${id}=${weighs}`);
    writeFileSync(`${this.#path}.new`, text.join("\n"));
    renameSync(`${this.#path}.new`, this.#path);
  }

  #configOf(given: Pick<Reload, "lists"> & Partial<Reload>): Config {
    const { lists, settings: chosen = {}, discovers = true, adminMoves = false, adminConnectionsMax = 64 } = given;
    const discover = discovers
      ? readDiscovery({ texts: [`file:${this.#path}`], source: "test" })
      : ({ kind: "none" } as const);
    const anchor = localNode(this.victims[0].node.port);
    const clusterOf = (list: Listing): ClusterUnderTest => ({
      attemptsMax: 8,
      retryBudget: 1,
      retryReserve: 10_000,
      silenceMs: 150,
      pingIntervalMs: 20,
      checkIntervalMs: 50,
      discoverIntervalMinMs: 20,
      ...chosen,
      nodes: [anchor, ...this.#nodesOf(list)],
    });
    const clusters = {
      a: { ...clusterOf(lists.a), discover },
      ...(lists.b === null ? {} : { b: clusterOf(lists.b) }),
    };
    const path = join(this.#directory, `admin-${++this.#sockets}`);
    const address = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
    return configWith(clusters, {
      listeners: [address, { ...address, host: "127.0.0.2" }].map((one) => ({ address: one, proxyProtocol: false })),
      admin: adminMoves ? { kind: "unix", path } : address,
      adminConnectionsMax,
      routes: [routeTo("a", { name: "rest" }), ...(lists.b === null ? [] : [routeTo("b", { path: "/b" })])],
    });
  }

  /** Asks a replica, and holds the answer against the document. */
  async #ask(one: Replica, operation: Operation, path: string, body?: unknown): Promise<AdminResponse | undefined> {
    let answer: AdminResponse;
    try {
      answer = await askAdmin(one.balancer.adminAddress, path, { method: operation.method, body });
    } catch (error) {
      if (!one.moved) this.failures.push([operation.id, String(error)]);
      return undefined;
    }
    this.failures.push(...(this.#document?.faults(operation, answer) ?? []));
    const code = (answer.json as { readonly code?: string; readonly result?: string } | undefined) ?? {};
    const outcome = `${operation.id} ${code.result ?? code.code ?? answer.status}`;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (answer.status >= 500 && code.code !== "ERR_STORE") this.failures.push([operation.id, answer.status, code.code]);
    return answer;
  }

  #operation(method: string, path: string): Operation {
    const found = this.#document?.operations.find((one) => one.method === method && one.path === path);
    assert.ok(found !== undefined, `${method} ${path}`);
    return found;
  }

  async make(given: Step): Promise<void> {
    switch (given.kind) {
      case "reload": {
        const one = this.replicas[given.replica];
        one.moved = true;
        const config = this.#configOf(given);
        one.reloading = one.balancer.reload(config).then(() => {
          one.config = config;
        });
        return one.reloading;
      }
      case "find":
        this.#write(given.nodes);
        return;
      case "store":
        this.store.mood = given.state as "up";
        return;
      case "node":
        if (given.number < NODES) await this.victims[given.number].become(given.state as "up");
        return;
      case "pause": {
        const one = this.replicas[given.replica];
        const id = one.balancer.listeners()[1].id;
        const operation = this.#operation("PATCH", "/v1/listeners/{listener}");
        await this.#ask(one, operation, `/v1/listeners/${encodeURIComponent(id)}`, {
          state: given.isPaused ? "paused" : "open",
        });
        return;
      }
      case "look": {
        // These are not for everybody: a stream, and what only the program has.
        const readable = (this.#document?.operations ?? []).filter(
          ({ method, path, params }) =>
            method === "GET" && params.length === 0 && !["/v1/events", "/v1/log-level"].includes(path),
        );
        const operation = readable[given.at % readable.length];
        const query = operation.path === "/v1/explain" ? "?url=/b/1" : "";
        await this.#ask(this.replicas[given.replica], operation, `${operation.path}${query}`);
        return;
      }
      default: {
        const { kind, replica: index, cluster: name, number, isNamed, said: words } = given;
        const [method, path] = EDITS[kind];
        const node = this.#idOf(number, isNamed);
        const filled = path.replace("{cluster}", name).replace("{node}", encodeURIComponent(node));
        const body = kind === "add" ? { node, ...words } : ["put", "patch"].includes(kind) ? words : undefined;
        await this.#ask(this.replicas[index], this.#operation(method, path), filled, body);
      }
    }
  }

  /** What must be so at every moment. */
  look(): void {
    for (const { balancer } of this.replicas) {
      const { nodes, clusters, queued, exchanges, timers } = balancer.snapshot();
      for (const count of [queued, exchanges, timers]) assert.ok(count >= 0);
      const names = nodes.map(({ cluster: name, id }) => `${name} ${id}`);
      assert.equal(new Set(names).size, names.length, "each node once");
      for (const { inFlight, connections, idleConnections } of nodes) {
        assert.ok(inFlight >= 0 && idleConnections >= 0 && idleConnections <= connections);
      }
      for (const { name, inFlight } of clusters) {
        const own = nodes.filter((node) => node.cluster === name).reduce((sum, node) => sum + node.inFlight, 0);
        assert.ok(inFlight >= own, `${name}: ${inFlight} in flight, ${own} at its nodes`);
      }
    }
  }

  /** The nodes of a replica as config, discovery and operators want them. */
  async #wantedOf({ config }: Replica): Promise<unknown[]> {
    const wanted: unknown[] = [];
    for (const { name, nodes, discover } of config.clusters) {
      const found = discover.kind === "none" ? [] : orderedNodes(this.#nodesOf(this.#found));
      const { edits } = await this.store.read(name);
      const nodeOf = (id: string) => {
        const node = parseNodeName(id);
        return "reason" in node ? undefined : { ...node, weight: 1 };
      };
      for (const node of mergeNodes({ named: joinedNodes(nodes, found), edits, nodeOf })) {
        wanted.push([name, node.id, node.weight, node.mode]);
      }
    }
    return wanted;
  }

  async settle(): Promise<void> {
    this.store.mood = "up";
    for (const victim of this.victims) await victim.become("up");
    // None at all would keep what was there before.
    this.#write([{ number: 1, weight: 1, isNamed: false }]);
    for (const one of this.replicas) {
      await one.reloading;
      const wanted = JSON.stringify(await this.#wantedOf(one));
      const nodesOf = () =>
        JSON.stringify(
          one.balancer
            .snapshot()
            .nodes.map(({ cluster: name, id, weight: weighs, mode: is }) => [name, id, weighs, is]),
        );
      const untilMs = performance.now() + 8000;
      await eventually(() => nodesOf() === wanted || performance.now() > untilMs);
      assert.equal(nodesOf(), wanted, "what was said is what there is");
    }
  }
}

/** Calls a replica until told to stop; what went wrong is a failure. */
async function call(
  t: TestContext,
  siege: Siege,
  { port }: Replica,
  path: string,
  isOver: () => boolean,
): Promise<number> {
  const client = await connectClient(t, port);
  let calls = 0;
  for (; !isOver(); calls++) {
    const { status, body } = await client.ask(`GET ${path}/${calls % 13} HTTP/1.1\r\nHost: fn\r\n\r\n`);
    if (status !== 200) siege.failures.push([path, status, body.toString()]);
  }
  client.destroy();
  return calls;
}

describe("the control plane under fire", () => {
  it("loses no request, believes what it was told, and says what is", async (t) => {
    const plan = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 10, maxLength: 25 });
    const outcomes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(plan, async (batches) => {
        const siege = new Siege(t);
        await siege.start();
        let isOver = false;
        let counts: readonly number[] = [];
        const calls = siege.replicas.flatMap((one) =>
          Array.from({ length: CALLERS }, (_, index) =>
            call(t, siege, one, index % 2 === 0 ? "/a" : "/b", () => isOver),
          ),
        );
        try {
          for (const batch of batches) {
            for (const one of siege.replicas) one.moved = false;
            await Promise.all(batch.map((given) => siege.make(given)));
            siege.look();
            assert.deepEqual(siege.failures, [], JSON.stringify(batch));
          }
          await siege.settle();
        } finally {
          isOver = true;
          counts = await Promise.all(calls);
        }
        assert.ok(counts.every((count) => count > 0));
        assert.deepEqual(siege.failures, []);
        siege.look();
        // One of them drains while the other is edited, and both are as they were told to be.
        const last = { kind: "put" as const, replica: 0, cluster: "a" as const, number: 2, isNamed: false, said: {} };
        await Promise.all([siege.replicas[1].balancer.drain(), siege.make(last)]);
        for (const { balancer, events } of siege.replicas) {
          await eventually(() => balancer.snapshot().connections === 0);
          const { exchanges, queued, nodes } = balancer.snapshot();
          assert.deepEqual([exchanges, queued, nodes.filter(({ inFlight }) => inFlight !== 0)], [0, 0, []]);
          assert.deepEqual(
            events.filter(({ event }) => event === "admin_failed"),
            [],
          );
          await balancer.close();
        }
        for (const [name, count] of siege.outcomes) outcomes.set(name, (outcomes.get(name) ?? 0) + count);
        await eventually(() => siege.victims.every(({ node }) => node.connections === 0));
        await Promise.all(siege.victims.map(({ node }) => node.stop()));
        assert.deepEqual(siege.failures, []);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
    // Chance may have left something out.
    if (process.env.FNLB_TEST_SEED === undefined) {
      for (const name of [
        "addNode applied",
        "removeNode applied",
        "changeNode ERR_NOT_FOUND",
        "addNode ERR_CONFLICT",
        "setNode ERR_STORE",
      ]) {
        assert.ok((outcomes.get(name) ?? 0) > 0, `${name}: ${[...outcomes]}`);
      }
    }
  });
});
