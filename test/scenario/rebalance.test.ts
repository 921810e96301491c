import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";

/** A request each so many milliseconds. */
const PACE_MS = 100;

describe("rebalance", () => {
  it("moves weight away from a node that answers 500, keeps asking it a little, and gives it back when it has recovered", async (t) => {
    const clock = new FakeClock();
    let isFailing = true;
    const good = await startFunctionNode(t, { name: "good" });
    const bad = await startFunctionNode(t, {
      name: "bad",
      answer(_request, response) {
        response.statusCode = isFailing ? 500 : 200;
        response.end(JSON.stringify({ node: "bad" }));
      },
    });
    const { port, events } = await startBalancer(
      t,
      { nodes: [good.port, bad.port], policy: "weighted-round-robin", rebalance: true },
      { clock },
    );
    const client = await connectClient(t, port);
    const shareOfBad = async (requests: number) => {
      const before = bad.calls.length;
      for (let number = 0; number < requests; number++) {
        await client.ask("GET /f HTTP/1.1\r\nHost: fn\r\n\r\n");
        await clock.advance(PACE_MS);
      }
      return (bad.calls.length - before) / requests;
    };
    const weightOfBad = () =>
      events.filter(({ event, node }) => event === "weight_moved" && node === bad.address).at(-1)?.weight;

    assert.equal(await shareOfBad(100), 0.5, "ten seconds pass before anything is judged");
    await shareOfBad(500);
    const share = await shareOfBad(400);
    assert.ok(share > 0 && share < 0.1, `${share} of the requests still find out whether it is better`);
    assert.ok((weightOfBad() as number) < 0.1);

    isFailing = false;
    await shareOfBad(1500);
    assert.equal(weightOfBad(), 1);
    assert.equal(await shareOfBad(100), 0.5);
  });

  it("leaves the weights of nodes alone that fail alike or hardly at all", async (t) => {
    const clock = new FakeClock();
    let calls = 0;
    const nodes = await Promise.all(
      ["a", "b"].map((name) =>
        startFunctionNode(t, {
          name,
          answer(_request, response) {
            response.statusCode = ++calls % 50 === 0 ? 503 : 200;
            response.end("{}");
          },
        }),
      ),
    );
    const { port, events } = await startBalancer(
      t,
      { nodes: nodes.map((node) => node.port), policy: "random", rebalance: true },
      { clock },
    );
    const client = await connectClient(t, port);
    for (let number = 0; number < 400; number++) {
      await client.ask("GET /f HTTP/1.1\r\nHost: fn\r\n\r\n");
      await clock.advance(PACE_MS);
    }
    assert.ok(!events.some(({ event }) => event === "weight_moved"));
  });
});
