import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { RunningCluster } from "../../src/assembly/running-cluster.js";
import { Counters } from "../../src/core/counters.js";
import { TimerWheel } from "../../src/core/timer-wheel.js";
import type { ProxyContext } from "../../src/proxy/context.js";
import { BY_KEY, POLICY_NAMES } from "../core/every-policy.js";
import { DEFAULTS, localNode, startBalancer, type TestConfig } from "../support/balancer.js";
import { FakeClock } from "../support/fake-clock.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { seeded } from "../support/seeded-random.js";

/** As fnproject's nodes write it. */
const FIELD = "XXX-FXLB-WAIT";

/** Three nodes, of which each says of a path what `waits` has for it: `{ "a /slow": "3s" }`. */
async function startThree(t: TestContext, config: Partial<TestConfig> = {}) {
  const clock = new FakeClock();
  const waits: Record<string, string | undefined> = {};
  const nodes = await startFunctionNodes(t, 3, {
    answer: (request, response) => {
      const self = nodes.find(({ port }) => port === request.socket.localPort) as FunctionNode;
      const wait = waits[`${self.name} ${request.url}`];
      if (wait !== undefined) response.setHeader(FIELD, wait);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ node: self.name }));
    },
  });
  const started = await startBalancer(
    t,
    { nodes: nodes.map((node) => node.port), loadHeader: "xxx-fxlb-wait", ...config },
    { clock, random: seeded(20_240_401) },
  );
  const client = await connectClient(t, started.port);
  return {
    ...started,
    nodes,
    waits,
    clock,
    /** Who answered so many requests for a path, one after the other. No response says how long it waited. */
    async ask(path: string, count: number, fields = ""): Promise<string> {
      let answered = "";
      for (let number = 0; number < count; number++) {
        const response = await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`);
        assert.deepEqual([response.status, response.header(FIELD)], [200, undefined]);
        answered += String(response.json().node);
      }
      return answered;
    },
  };
}

/** Which part of the answers came from that node. */
const shareOf = (answered: string, node: string) => answered.split(node).length / answered.length - 1 / answered.length;

describe("FB4: a load header of 3s", () => {
  for (const policy of POLICY_NAMES.filter((name) => BY_KEY.includes(name))) {
    it(`sends nine of ten requests of its path to other nodes, ${policy}, and comes home`, async (t) => {
      const { ask, waits, clock } = await startThree(t, { policy });
      const home = await ask("/slow", 1);
      const others = ["/f1", "/f2", "/f3", "/f4", "/f5", "/f6"];
      const homes: string[] = [];
      for (const path of others) homes.push(await ask(path, 1));
      waits[`${home} /slow`] = "3s";
      // Its first answer said nothing, and each one counts for a tenth.
      await ask("/slow", 150);
      const share = shareOf(await ask("/slow", 400), home);
      assert.ok(share > 0.06 && share < 0.14, `${share}`);
      for (const [index, path] of others.entries()) assert.equal(await ask(path, 10), homes[index].repeat(10), path);
      // Nobody asks for a while: what was said is half as true every ten seconds.
      clock.pass(60_000);
      waits[`${home} /slow`] = "20ms";
      assert.equal(shareOf(await ask("/slow", 50), home), 1);
    });
  }

  for (const policy of POLICY_NAMES.filter((name) => !BY_KEY.includes(name))) {
    it(`sends nine of ten requests of its path to other nodes, ${policy}`, async (t) => {
      const { ask, waits } = await startThree(t, { policy });
      const before = shareOf(await ask("/slow", 300), "a");
      assert.ok(before > 0.25 && before < 0.42, `${before}`);
      waits["a /slow"] = "3s";
      await ask("/slow", 150);
      const share = shareOf(await ask("/slow", 600), "a");
      assert.ok(share > 0.005 && share < 0.25 * before, `${share}`);
      const calm = shareOf(await ask("/calm", 300), "a");
      assert.ok(calm > 0.25 && calm < 0.42, `${calm}`);
    });
  }

  it("goes by the key where that is not the path", async (t) => {
    const { ask, waits } = await startThree(t, { key: [{ kind: "header", name: "x-fn" }] });
    const home = await ask("/any", 1, "X-Fn: slow\r\n");
    const calm = await ask("/any", 1, "X-Fn: calm\r\n");
    waits[`${home} /any`] = "3s";
    waits[`${home} /other`] = "3s";
    await ask("/any", 150, "X-Fn: slow\r\n");
    const share = shareOf(await ask("/other", 200, "X-Fn: slow\r\n"), home);
    assert.ok(share > 0.03 && share < 0.17, `${share}`);
    assert.equal(await ask("/calm", 30, "X-Fn: calm\r\n"), calm.repeat(30));
  });

  it("moves nobody when every node says it", async (t) => {
    const { ask, waits, nodes } = await startThree(t, { policy: "random" });
    for (const { name } of nodes) waits[`${name} /slow`] = "3s";
    const answered = await ask("/slow", 300);
    for (const { name } of nodes) {
      const share = shareOf(answered, name);
      assert.ok(share > 0.25 && share < 0.42, `${name} ${share}`);
    }
  });

  it("moves no client that affinity keeps", async (t) => {
    const { ask, waits, nodes } = await startThree(t, { stickyCookie: "at", stickyCodecs: ["raw"] });
    waits["b /slow"] = "3s";
    assert.equal(await ask("/slow", 50, `Cookie: at=http://${nodes[1].address}\r\n`), "b".repeat(50));
  });

  it("is nothing where the option is off: it passes like any field", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("ok", `${FIELD}: 3s\r\n`)));
    const { port } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    assert.equal((await client.ask("GET / HTTP/1.1\r\nHost: fn\r\n\r\n")).header(FIELD), "3s");
  });
});

describe("FB4: a load header that moves nobody", () => {
  for (const value of [
    "499ms",
    "0.499s",
    "0",
    "0s",
    "499999us",
    "",
    "3",
    "3 s",
    "s",
    "-3s",
    "fast",
    "3s, 3s",
    "1e9h",
    "9".repeat(400),
  ]) {
    it(`is ${JSON.stringify(value.slice(0, 12))}`, async (t) => {
      const { ask, waits } = await startThree(t);
      const home = await ask("/f", 1);
      waits[`${home} /f`] = value;
      assert.equal(await ask("/f", 40), home.repeat(40));
    });
  }

  it("counts as no wait where it cannot be read: it makes up for one that was told", async (t) => {
    const { ask, waits } = await startThree(t);
    const home = await ask("/f", 1);
    waits[`${home} /f`] = "5s";
    await ask("/f", 20);
    waits[`${home} /f`] = "soon";
    // A tenth of each answer of the home node: from 5 s it takes 22 of them to come below 500 ms.
    await ask("/f", 400);
    assert.equal(await ask("/f", 40), home.repeat(40));
  });
});

describe("FB4: a client never sees the load header", () => {
  const said = `${FIELD}: 3s\r\nxxx-fxlb-wait: 4s\r\n`;

  for (const [name, request, answer, expected] of [
    ["counted", "GET", `200 OK\r\n${said}Content-Length: 2\r\n\r\nok`, "200 OK\r\nContent-Length: 2\r\n\r\nok"],
    [
      "in chunks",
      "GET",
      `200 OK\r\nTransfer-Encoding: chunked\r\n${said}\r\n2\r\nok\r\n0\r\n\r\n`,
      "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    ["without a body", "GET", `204 No Content\r\n${said}X: y\r\n\r\n`, "204 No Content\r\nX: y\r\n\r\n"],
    ["304", "GET", `304 Not Modified\r\n${said}\r\n`, "304 Not Modified\r\n\r\n"],
    ["to HEAD", "HEAD", `200 OK\r\n${said}Content-Length: 9\r\n\r\n`, "200 OK\r\nContent-Length: 9\r\n\r\n"],
    ["that fails", "GET", `503 Busy\r\n${said}Content-Length: 0\r\n\r\n`, "503 Busy\r\nContent-Length: 0\r\n\r\n"],
  ]) {
    it(`in a response ${name}, and no other byte is changed`, async (t) => {
      const origin = await startRawOrigin(t, answering(`HTTP/1.1 ${answer}`));
      const { port } = await startBalancer(t, { nodes: [origin.port], loadHeader: "xxx-fxlb-wait" });
      const client = await connectClient(t, port);
      for (let number = 0; number < 2; number++) {
        client.send(`${request} / HTTP/1.1\r\nHost: fn\r\n\r\n`);
        await client.log.untilLength(`HTTP/1.1 ${expected}`.length);
        assert.equal(client.text, `HTTP/1.1 ${expected}`);
        client.log.drop(client.log.bytes.length);
      }
    });
  }

  it("in an interim response or a 101", async (t) => {
    const origin = await startRawOrigin(t);
    const { port } = await startBalancer(t, { nodes: [origin.port], loadHeader: "xxx-fxlb-wait" });
    const client = await connectClient(t, port);
    client.send("GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n${said}\r\n`);
    node.send(`HTTP/1.1 101 Switching Protocols\r\n${said}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    const response = await client.response();
    assert.deepEqual([response.status, response.header(FIELD)], [101, undefined]);
    assert.deepEqual(
      response.interims.map(({ fields }) => fields),
      [[["link", "x"]]],
    );
  });

  it("in a response that begins at a node and is repeated elsewhere for its status", async (t) => {
    const bad = await startRawOrigin(t, answering(`HTTP/1.1 500 Oops\r\n${said}Content-Length: 0\r\n\r\n`));
    const { port } = await startBalancer(t, {
      nodes: [bad.port, (await startRawOrigin(t, answering(ok("good", said)))).port],
      loadHeader: "xxx-fxlb-wait",
      retryOn: { closed: true, silent: true, statuses: [500] },
      policy: "weighted-round-robin",
    });
    const client = await connectClient(t, port);
    for (let number = 0; number < 4; number++) {
      const response = await client.ask(`GET /${number} HTTP/1.1\r\nHost: fn\r\n\r\n`);
      assert.deepEqual([response.body.toString(), response.header(FIELD)], ["good", undefined]);
    }
  });
});

describe("what load headers have said", () => {
  it("is bounded, and what is forgotten is counted", () => {
    const clock = new FakeClock();
    const counters = new Counters();
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    const context: ProxyContext = {
      config: DEFAULTS,
      clock,
      wheel: new TimerWheel({ tickMs: 25, slots: 8 }),
      counters,
      log: silent,
      dial: () => () => {},
      accessLog: undefined,
      isTrusted: () => false,
      viaName: "fnlb",
      requestId: () => "",
      date: () => "",
    };
    const { context: running } = new RunningCluster(
      {
        context,
        random: seeded(1),
        resolve: async () => [],
        securityOf: () => undefined,
        stopping: new AbortController().signal,
        keep: () => {},
      },
      { ...DEFAULTS, name: "fn", nodes: [localNode(1)], loadHeader: "xxx-fxlb-wait" },
    );
    const [node] = running.cluster.nodes;
    for (let keyHash = 0; keyHash < 100_003; keyHash++) {
      const exchange = { keyHash, tried: undefined as never, refusal: "none" as const, stamp: 0, key: () => "" };
      running.cluster.noteLoadWait(node, exchange, 3000);
    }
    assert.equal(counters.loadWaitsForgotten, 3);
  });
});
