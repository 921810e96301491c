import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { BY_KEY, POLICY_NAMES } from "../core/every-policy.js";
import { localNode, startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { connectClient } from "../support/raw-peer.js";

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`;

/** Three function nodes behind a balancer, and who answered how often. */
async function startThree(t: TestContext, config: Omit<TestConfig, "nodes">, weights = [1, 1, 1]) {
  const clock = new FakeClock();
  const nodes = await startFunctionNodes(t, 3);
  const started = await startBalancer(
    t,
    { nodes: nodes.map(({ port }, index) => localNode(port, weights[index])), ...config },
    { clock },
  );
  return {
    ...started,
    nodes,
    clock,
    /** So many requests with as many paths, one after the other: the nodes that answered, in order. */
    async ask(count: number, from = 0): Promise<string[]> {
      const client = await connectClient(t, started.port);
      const answered: string[] = [];
      for (let number = from; number < from + count; number++) {
        const response = await client.ask(get(`/f${number}`));
        assert.equal(response.status, 200);
        answered.push(String(response.json().node));
      }
      client.end();
      return answered;
    },
    async revive(node: FunctionNode): Promise<void> {
      await node.start();
      await clock.advanceUntil(started.event("node_alive"));
    },
  };
}

function count(answered: readonly string[], name: string): number {
  return answered.filter((each) => each === name).length;
}

for (const policy of POLICY_NAMES) {
  describe(`a cluster with the policy ${policy}`, () => {
    it("serves from all nodes, falls back when one dies without an error to anybody, and returns to it", async (t) => {
      const { ask, nodes, revive, event, balancer } = await startThree(t, { policy });
      const before = await ask(60);
      for (const { name } of nodes) assert.ok(count(before, name) > 3, before.join(""));

      await nodes[1].stop();
      const meanwhile = await ask(60);
      await event("node_dead");
      assert.equal(count(meanwhile, "b"), 0);
      assert.ok(count(meanwhile, "a") > 3 && count(meanwhile, "c") > 3, meanwhile.join(""));
      if (BY_KEY.includes(policy)) {
        for (const [at, name] of before.entries()) if (name !== "b") assert.equal(meanwhile[at], name);
      }

      await revive(nodes[1]);
      const after = await ask(60);
      assert.ok(count(after, "b") > 3 && count(after, "b") < 45, after.join(""));
      if (BY_KEY.includes(policy)) assert.deepEqual(after, before);
      assert.deepEqual(
        balancer.snapshot().nodes.map(({ inFlight }) => inFlight),
        [0, 0, 0],
      );
    });

    it("sends a node of weight 0 nothing", async (t) => {
      const { ask } = await startThree(t, { policy }, [1, 0, 1]);
      assert.equal(count(await ask(40), "b"), 0);
    });

    it("lets a node that is back start slowly", async (t) => {
      const { ask, nodes, revive, event, clock } = await startThree(t, { policy, slowStartMs: 60_000 });
      await nodes[1].stop();
      await ask(60);
      await event("node_dead");
      await revive(nodes[1]);
      const young = count(await ask(200), "b");
      assert.ok(young < 25, `${young}`);
      await clock.advance(60_000);
      const grown = count(await ask(200), "b");
      assert.ok(grown > 35, `${grown}`);
    });
  });
}

describe("policies and their options", () => {
  it("gives turns in the order of the mode that was asked for", async (t) => {
    const smooth = await startThree(t, { policy: "weighted-round-robin" }, [3, 2, 1]);
    assert.equal((await smooth.ask(12)).join(""), "abacbaabacba");
    const interleaved = await startThree(t, { policy: "weighted-round-robin", wrrMode: "interleaved" }, [3, 2, 1]);
    assert.equal((await interleaved.ask(12)).join(""), "aababcaababc");
  });

  it("keeps away from a slow node by its latency", async (t) => {
    const clock = new FakeClock();
    const slow = await startFunctionNodes(t, 1, {
      answer: (_request, response) => {
        void clock.advance(400).then(() => response.end("slow"));
      },
    });
    const quick = await startFunctionNodes(t, 2);
    const nodes = [...slow, ...quick].map(({ port }) => port);
    const { port } = await startBalancer(t, { nodes, policy: "p2c-ewma", silenceMs: 0 }, { clock });
    const client = await connectClient(t, port);
    for (let number = 0; number < 100; number++) await client.ask(get(`/f${number}`));
    assert.ok(slow[0].calls.length <= 3, `${slow[0].calls.length}`);
    for (const { calls } of quick) assert.ok(calls.length > 20, `${calls.length}`);
  });

  it("holds answers that never come against a node", async (t) => {
    const broken = await startFunctionNodes(t, 1, { answer: (request) => request.socket.destroy() });
    const good = await startFunctionNodes(t, 2);
    const nodes = [...broken, ...good].map(({ port }) => port);
    const { port } = await startBalancer(t, { nodes, policy: "p2c-ewma" });
    const client = await connectClient(t, port);
    for (let number = 0; number < 100; number++) {
      assert.equal((await client.ask(get(`/f${number}`))).status, 200);
    }
    assert.ok(broken[0].calls.length <= 10, `${broken[0].calls.length}`);
  });

  it("shares a hot key among the nodes of its spread, and keeps a cool one on its home", async (t) => {
    const held: (() => void)[] = [];
    const nodes = await startFunctionNodes(t, 3, {
      answer: (_request, response) => void held.push(() => response.end("done")),
    });
    const { port, until } = await startBalancer(t, {
      nodes: nodes.map((node) => node.port),
      spread: 2,
      balanceFactor: 0,
    });
    const ask = async (requests: number) => {
      const clients = await Promise.all(Array.from({ length: requests }, () => connectClient(t, port)));
      for (const client of clients) client.send(get("/f/hot"));
      return clients;
    };
    const first = await ask(8);
    await until("eight at once", () => held.length === 8);
    assert.deepEqual(nodes.map(({ calls }) => calls.length).sort(), [0, 0, 8]);
    const second = await ask(32);
    await until("forty at once", () => held.length === 40);
    assert.deepEqual(
      nodes.map(({ calls }) => calls.length).sort((a, b) => a - b),
      [0, 20, 20],
    );
    for (const release of held) release();
    for (const client of [...first, ...second]) assert.equal((await client.response()).status, 200);
  });
});
