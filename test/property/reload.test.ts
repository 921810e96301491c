import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import type { NodeConfig } from "../../src/config/config.js";
import { localNode, startBalancer } from "../support/balancer.js";
import { type ClusterUnderTest, configWith } from "../support/clusters.js";
import { eventually } from "../support/fake-clock.js";
import { startFunctionNodes } from "../support/function-node.js";
import { answering, refusingPort, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { routeTo } from "../support/routed-request.js";

const NODES = 4;
const CALLERS = 6;
/** Calls between two reloads. */
const CALLS = 15;
const RUNS = 12;

/** A node that is there, or one that refuses, by its number; called by its address or by a name. */
const node = fc.record({
  number: fc.constantFrom(0, 1, 2, 3, 3, NODES),
  isNamed: fc.boolean(),
  weight: fc.constantFrom(1, 1, 2, 5, 0),
});
const settings = fc.record(
  {
    policy: fc.constantFrom(
      "ring-hash",
      "maglev",
      "rendezvous",
      "weighted-round-robin",
      "least-loaded",
      "p2c-ewma",
      "random",
    ),
    attemptsMax: fc.constantFrom(1, 5),
    nodeConnectionsMax: fc.constantFrom(1, 2, 100),
    slowStartMs: fc.constantFrom(0, 20),
    outlierConsecutive: fc.constantFrom(0, 1),
    breakerFaults: fc.constantFrom(0, 2),
    checkPath: fc.constantFrom("", "", "/health"),
    stickyHeader: fc.constantFrom("", "x-node"),
    nodeKeepAliveTimeoutMs: fc.constantFrom(0, 4000),
    silenceMs: fc.constantFrom(0, 500),
    loadHeader: fc.constantFrom("", "x-wait"),
  },
  { requiredKeys: [] },
);
const cluster = fc.record({
  // The first one is there and takes keys: every request can be served.
  first: fc.integer({ min: 0, max: NODES - 1 }),
  nodes: fc.uniqueArray(node, { maxLength: 4, selector: ({ number, isNamed }) => `${number} ${isNamed}` }),
  settings,
});
const config = fc.record({
  clusters: fc.dictionary(fc.constantFrom("a", "b", "c"), cluster, { minKeys: 1, maxKeys: 3 }),
  requestId: fc.boolean(),
});

/** A tunnel through the cluster of the start, and whether it still passes bytes. */
async function openTunnel(t: TestContext, port: number) {
  const client = await connectClient(t, port);
  client.send("GET /tunnel HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  assert.equal((await client.response()).status, 101);
  return client;
}

describe("random reloads under traffic", () => {
  it("lose no request that can be served, and leave nothing behind", async (t) => {
    const nodes = await startFunctionNodes(t, NODES);
    const ports = [...nodes.map(({ port }) => port), await refusingPort(t)];
    const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const socket = await startRawOrigin(t, answering(switching));
    const nodeOf = (number: number, isNamed: boolean, weight: number): NodeConfig => {
      const local = localNode(ports[number], weight);
      if (!isNamed) return local;
      const address = { kind: "tcp", host: `n${number}`, port: ports[number], basePath: "" } as const;
      return { ...local, id: `n${number}:${ports[number]}`, address };
    };
    await fc.assert(
      fc.asyncProperty(fc.array(config, { minLength: 3, maxLength: 8 }), async (plans) => {
        const { port, balancer } = await startBalancer(
          t,
          { nodes: [socket.port] },
          {
            resolve: async () => {
              await new Promise((resolve) => setImmediate(resolve));
              return ["127.0.0.1"];
            },
          },
        );
        const tunnel = await openTunnel(t, port);
        await balancer.reload(configWith({ a: { nodes: [ports[0]] } }, { routes: [routeTo("a")] }));
        let isOver = false;
        let calls = 0;
        const failures: unknown[] = [];
        const callers = Array.from({ length: CALLERS }, async (_, caller) => {
          const client = await connectClient(t, port);
          while (!isOver) {
            const method = calls++ % 3 === 0 ? "POST" : "GET";
            const length = method === "POST" ? "Content-Length: 2\r\n\r\nab" : "\r\n";
            const response = await client.ask(
              `${method} /${"abc"[caller % 3]}/${calls % 7} HTTP/1.1\r\nHost: fn\r\n${length}`,
              method,
            );
            if (response.status !== 200) failures.push([response.status, response.json().code]);
          }
          client.destroy();
        });
        for (const { clusters, requestId } of plans) {
          const choices = Object.entries(clusters).map(([name, { first, nodes: others, settings: chosen }]) => {
            const all = [
              nodeOf(first, false, 1),
              ...others.map(({ number, isNamed, weight }) => nodeOf(number, isNamed, weight)),
            ];
            const unique = all.filter((one, place) => all.findIndex(({ id }) => id === one.id) === place);
            return [
              name,
              { queueMax: 100, stickyCodecs: ["raw"], ...chosen, nodes: unique } as ClusterUnderTest,
            ] as const;
          });
          const routes = [
            ...choices.map(([name]) => routeTo(name, { path: `/${name}` })),
            routeTo(choices[0][0], { name: "rest" }),
          ];
          await balancer.reload(configWith(Object.fromEntries(choices), { requestId, routes }));
          const until = calls + CALLS;
          await eventually(() => calls >= until || failures.length > 0);
        }
        isOver = true;
        await Promise.all(callers);
        assert.deepEqual(failures, []);
        tunnel.send("still here");
        await eventually(() => socket.connections.some(({ text }) => text.endsWith("still here")));
        tunnel.reset();
        await eventually(() => balancer.snapshot().connections === 0);
        const { tunnels, exchanges, queued, nodes: left } = balancer.snapshot();
        assert.deepEqual([tunnels, exchanges, queued, left.filter(({ inFlight }) => inFlight > 0)], [0, 0, 0, []]);
        // The connections of removed nodes and clusters must go by themselves.
        const kept = left.reduce((sum, { connections }) => sum + connections, 0);
        await eventually(() => nodes.reduce((sum, { connections }) => sum + connections, 0) <= kept);
        await balancer.close();
        await eventually(() => nodes.every(({ connections }) => connections === 0));
      }),
      { numRuns: RUNS },
    );
  });
});
