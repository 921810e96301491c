import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { startBalancer } from "../support/balancer.js";
import { eventually } from "../support/fake-clock.js";
import { startGatedNode } from "../support/gated-node.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";

interface Arrival {
  readonly target: string;
  readonly client: RawClient;
}

const limits = fc.record({
  nodes: fc.integer({ min: 1, max: 3 }),
  nodeConnectionsMax: fc.integer({ min: 1, max: 3 }),
  clusterConnectionsMax: fc.integer({ min: 0, max: 4 }),
  queueMax: fc.integer({ min: 1, max: 5 }),
  policy: fc.constantFrom("ring-hash", "weighted-round-robin", "least-loaded", "maglev"),
});
const command = fc.record({
  kind: fc.constantFrom("arrive", "arrive", "arrive", "answer", "leave-queue", "leave-node"),
  which: fc.nat(100),
});

describe("a queue under churn", () => {
  it("keeps to the limits, serves in turn, starves nobody and leaves nothing behind", async (t) => {
    const commands = fc.array(command, { minLength: 20, maxLength: 50 });
    await fc.assert(
      fc.asyncProperty(limits, commands, async ({ nodes: count, policy, ...config }, steps) => {
        const names = ["a", "b", "c"].slice(0, count);
        const nodes = await Promise.all(names.map((name) => startGatedNode(t, name)));
        const { port, balancer, until } = await startBalancer(t, {
          ...config,
          policy: policy as "ring-hash",
          nodes: nodes.map((node) => node.port),
          silenceMs: 0,
        });
        const capacity = Math.min(count * config.nodeConnectionsMax, config.clusterConnectionsMax || 99);
        let arrivals = 0;
        let refusals = 0;
        const waiting: Arrival[] = [];
        const served: Arrival[] = [];
        /** Of all that were ever let in, in that order. */
        const expected: string[] = [];

        /** What the model lets in now. */
        const settle = async () => {
          while (served.length < capacity && waiting.length > 0) {
            const next = waiting.shift()!;
            served.push(next);
            expected.push(next.target);
          }
          await until("the balancer to agree", ({ queued, nodes: all, counters }) => {
            const inFlight = all.map((node) => node.inFlight);
            const sum = inFlight.reduce((total, one) => total + one, 0);
            assert.ok(Math.max(...inFlight) <= config.nodeConnectionsMax && sum <= capacity, inFlight.join());
            assert.ok(queued <= config.queueMax, `${queued}`);
            return queued === waiting.length && sum === served.length && counters.requests === arrivals;
          });
        };
        const answer = async ({ target, client }: Arrival) => {
          const callOf = () => nodes.flatMap(({ held }) => held).find((call) => call.target === target);
          await eventually(() => callOf() !== undefined);
          callOf()!.answer();
          assert.equal((await client.response()).status, 200);
          client.destroy();
        };

        for (const { kind, which } of steps) {
          if (kind === "arrive") {
            const arrival = { target: `/${arrivals++}`, client: await connectClient(t, port) };
            arrival.client.send(`GET ${arrival.target} HTTP/1.1\r\nHost: fn\r\n\r\n`);
            if (served.length < capacity || waiting.length < config.queueMax) waiting.push(arrival);
            else {
              assert.equal((await arrival.client.response()).json().code, "ERR_AT_CAPACITY");
              refusals++;
            }
          } else {
            const from = kind === "leave-queue" ? waiting : served;
            if (from.length === 0) continue;
            const [arrival] = from.splice(which % from.length, 1);
            if (kind === "answer") await answer(arrival);
            else arrival.client.reset();
          }
          await settle();
        }
        while (served.length > 0) {
          await answer(served.shift()!);
          await settle();
        }
        const { counters } = balancer.snapshot();
        assert.equal(counters.requestsRefusedAtQueueLimit, refusals);
        assert.equal(counters.queueTimeouts, 0);
        if (count === 1 && capacity === 1) {
          // Where a node reads one request at a time, what it has read comes in turn; some had left before it was read.
          const read = nodes[0].calls.map(({ target }) => target);
          assert.deepEqual(
            read,
            expected.filter((target) => read.includes(target)),
          );
        }
        await balancer.close();
      }),
      { numRuns: 25 },
    );
  });
});
