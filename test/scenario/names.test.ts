import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NodeConfig } from "../../src/config/config.js";
import { startBalancer } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { startFunctionNode } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";

const GET = "GET /f HTTP/1.1\r\nHost: fn\r\n\r\n";

const named = (host: string, port: number): NodeConfig => ({
  id: `${host}:${port}`,
  address: { kind: "tcp", host, port, basePath: "" },
  weight: 1,
});

describe("a node with a name", () => {
  it("is dialled at the address that the name had last, and followed when it moves", async (t) => {
    const clock = new FakeClock();
    const node = await startFunctionNode(t, { name: "a" });
    let addresses = ["127.0.0.1"];
    const asked: string[] = [];
    const resolve = (host: string) => {
      asked.push(host);
      return Promise.resolve(addresses);
    };
    const { port } = await startBalancer(
      t,
      { nodes: [named("a.example", node.port)], nodeKeepAliveTimeoutMs: 0 },
      { clock, resolve },
    );
    const client = await connectClient(t, port);
    assert.equal((await client.ask(GET)).status, 200);
    assert.deepEqual(asked, ["a.example"], "no request waits for a name");
    addresses = ["127.0.0.9"];
    await clock.advance(10_100);
    assert.equal(asked.length, 2);
    assert.equal((await client.ask(GET)).status, 502, "nothing listens at the new address");
    addresses = ["127.0.0.1"];
    await clock.advance(1000);
    await clock.advance(10_100);
    assert.equal((await client.ask(GET)).status, 200);
  });

  it("tries every address of the name before it is called dead, and goes on with the one that answered", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const resolve = () => Promise.resolve(["127.0.0.9", "127.0.0.8", "127.0.0.1"]);
    const { port, balancer } = await startBalancer(
      t,
      { nodes: [named("a.example", node.port)], nodeKeepAliveTimeoutMs: 0 },
      { resolve },
    );
    const client = await connectClient(t, port);
    for (let number = 0; number < 3; number++) assert.equal((await client.ask(GET)).status, 200);
    assert.equal(balancer.snapshot().nodes[0].alive, true);
  });

  it("keeps its last address while the resolver fails, and says once that it does", async (t) => {
    const clock = new FakeClock();
    const node = await startFunctionNode(t, { name: "a" });
    let isDown = false;
    const resolve = () =>
      isDown
        ? Promise.reject(Object.assign(new Error("no answer"), { code: "EAI_AGAIN" }))
        : Promise.resolve(["127.0.0.1"]);
    const { port, events, event } = await startBalancer(
      t,
      { nodes: [named("a.example", node.port)] },
      { clock, resolve },
    );
    isDown = true;
    for (let round = 0; round < 3; round++) await clock.advance(10_100);
    const client = await connectClient(t, port);
    assert.equal((await client.ask(GET)).status, 200);
    assert.equal((await event("node_name_unresolved")).code, "EAI_AGAIN");
    assert.equal(events.filter(({ event: name }) => name === "node_name_unresolved").length, 1);
    isDown = false;
    await clock.advance(10_100);
    assert.equal((await event("node_name_resolved")).node, `a.example:${node.port}`);
  });

  it("counts as dead when the name has no address, and comes alive when it gets one", async (t) => {
    const clock = new FakeClock();
    const node = await startFunctionNode(t, { name: "a" });
    let addresses: string[] | undefined;
    const resolve = () =>
      addresses === undefined
        ? Promise.reject(Object.assign(new Error("unknown"), { code: "ENOTFOUND" }))
        : Promise.resolve(addresses);
    const { port, event } = await startBalancer(t, { nodes: [named("a.example", node.port)] }, { clock, resolve });
    const client = await connectClient(t, port);
    assert.equal((await client.ask(GET)).json().code, "ERR_NO_FALLBACK_NODE_FOUND");
    assert.equal((await event("node_dead")).code, "ENOTFOUND");
    addresses = ["127.0.0.1"];
    // A ping that finds no address doubts the name, the next one finds the node.
    assert.equal((await clock.advanceUntil(event("node_alive"))).node, `a.example:${node.port}`);
    assert.equal((await client.ask(GET)).status, 200);
  });
});
