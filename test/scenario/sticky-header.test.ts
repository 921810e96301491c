import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import { parseHeaderRule } from "../../src/config/header-rule.js";
import type { StickyCodecName } from "../../src/config/sticky.js";
import type { PolicyName } from "../../src/core/policies/table.js";
import { DEFAULTS, localNode, oneCluster, startBalancer, type TestConfig } from "../support/balancer.js";
import { configOf, startClusters } from "../support/clusters.js";
import { startFunctionNodes } from "../support/function-node.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";
import { assertProblem } from "../support/wire.js";

const SECRET = "a secret of 32 bytes or thereab.";
const STICKY = { policy: "weighted-round-robin", stickyHeader: "X-At", stickySecrets: [SECRET] } as const;

async function start(t: TestContext, config: Partial<TestConfig> = {}) {
  const nodes = await startFunctionNodes(t, 3);
  const started = await startBalancer(t, { nodes: nodes.map((node) => node.port), ...STICKY, ...config });
  return { ...started, nodes, client: await connectClient(t, started.port) };
}

/** The node that answers `/f`, and what the response says in the field, if anything. */
async function ask(client: RawClient, sent?: string, path = "/f") {
  const fields = sent === undefined ? "" : `x-aT: ${sent}\r\n`;
  const response = await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`);
  assert.equal(response.status, 200);
  const told = response.fields.filter(([name]) => name === "x-at").map(([, value]) => value);
  assert.ok(told.length < 2);
  return { node: String(response.json().node), told: told[0] };
}

describe("a sticky header over real connections", () => {
  it("is told to a client that sends none, and keeps whoever sends it on that node", async (t) => {
    const { client } = await start(t);
    const first = await ask(client);
    assert.match(first.told ?? "", /^[\w-]{16}\.[\w-]{43}$/);
    for (let number = 0; number < 6; number++) {
      assert.deepEqual(await ask(client, first.told, `/f${number}`), { node: first.node, told: undefined });
    }
    const others = [await ask(client), await ask(client)];
    assert.equal(new Set([first, ...others].map(({ node }) => node)).size, 3, "the others are balanced");
  });

  for (const codec of ["signed", "encrypted", "raw", "hash"] satisfies StickyCodecName[]) {
    it(`works with ${codec} values`, async (t) => {
      const { client, nodes } = await start(t, {
        stickyCodecs: [codec],
        stickySecrets: codec === "signed" || codec === "encrypted" ? [SECRET] : [],
      });
      const seen = new Set<string>();
      for (let number = 0; number < 3; number++) {
        const first = await ask(client);
        seen.add(first.node);
        const home = nodes.find(({ name }) => name === first.node);
        if (codec === "raw") assert.equal(first.told, `http://${home?.address}/`);
        else assert.ok(!first.told?.includes("127.0.0.1"));
        for (let again = 0; again < 2; again++) {
          assert.deepEqual(await ask(client, first.told), { node: first.node, told: undefined });
        }
      }
      assert.equal(seen.size, 3);
    });
  }

  it("leaves a dead node within the request, and the client hears of the next one", async (t) => {
    const { client, nodes } = await start(t);
    const first = await ask(client);
    await nodes.find(({ name }) => name === first.node)?.stop();
    const second = await ask(client, first.told);
    assert.notEqual(second.node, first.node);
    assert.notEqual(second.told, undefined);
    assert.deepEqual(await ask(client, second.told), { node: second.node, told: undefined });
    await nodes.find(({ name }) => name === first.node)?.start();
  });

  it("leaves a node that was reached and failed, within the request", async (t) => {
    const bad = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const [good] = await startFunctionNodes(t, 1);
    const raw = { stickyCodecs: ["raw"], stickySecrets: [] } as const;
    const { port, balancer } = await startBalancer(t, { nodes: [bad.port, good.port], ...STICKY, ...raw });
    const client = await connectClient(t, port);
    assert.deepEqual(await ask(client, `http://127.0.0.1:${bad.port}`), {
      node: "a",
      told: `http://127.0.0.1:${good.port}/`,
    });
    assert.deepEqual([balancer.snapshot().counters.retries, bad.connections.length], [1, 1]);
  });

  it("stays on a node whose weight has become 0, which gets no other client", async (t) => {
    const nodes = await startFunctionNodes(t, 2);
    const given = (weight: number) => ({
      clusters: { app: { ...STICKY, nodes: [localNode(nodes[0].port, weight), nodes[1].port] } },
      routes: [{ cluster: "app" }],
    });
    const { port, balancer } = await startClusters(t, given(1));
    const client = await connectClient(t, port);
    let home = await ask(client);
    while (home.node !== "a") home = await ask(client);
    await balancer.reload(configOf(given(0)));
    for (let number = 0; number < 4; number++) {
      assert.deepEqual(await ask(client, home.told), { node: "a", told: undefined });
      assert.equal((await ask(client)).node, "b");
    }
  });

  it("takes a forged, garbled or repeated value for none, and tells a good one", async (t) => {
    const { client } = await start(t);
    const { told = "" } = await ask(client);
    const forged = `${told.slice(0, -1)}${told.endsWith("A") ? "B" : "A"}`;
    const twice = `${told}\r\nX-AT: ${told}`;
    for (const bad of [forged, "", "127.0.0.1:1", "x".repeat(3000), "__proto__", `${told}, ${told}`, twice]) {
      assert.match((await ask(client, bad)).told ?? "", /^[\w-]{16}\.[\w-]{43}$/, bad);
    }
  });

  for (const policy of ["ring-hash", "maglev", "rendezvous"] satisfies PolicyName[]) {
    it(`overrules the key of ${policy}, which decides for everybody else`, async (t) => {
      const { client, nodes } = await start(t, { policy, stickyCodecs: ["raw"], stickySecrets: [] });
      const home = await ask(client);
      assert.equal((await ask(client)).node, home.node);
      for (const { address, name } of nodes) assert.equal((await ask(client, `http://${address}`)).node, name);
      assert.equal((await ask(client)).node, home.node);
    });
  }

  it("goes on over a rotation of secrets, and is renewed", async (t) => {
    const { client, config } = await start(t);
    const rotated = await startBalancer(t, { ...config, stickySecrets: ["a new secret of 32 bytes, shining", SECRET] });
    const later = await connectClient(t, rotated.port);
    const first = await ask(client);
    const renewed = await ask(later, first.told);
    assert.equal(renewed.node, first.node);
    assert.notEqual(renewed.told, undefined);
    assert.deepEqual(await ask(later, renewed.told), { node: first.node, told: undefined });
  });

  it("is not told by what fnlb answers itself", async (t) => {
    const { port } = await startBalancer(t, { nodes: [1], ...STICKY });
    const response = await (await connectClient(t, port)).ask("GET / HTTP/1.1\r\nHost: fn\r\n\r\n");
    assertProblem(response, 502, "ERR_NO_FALLBACK_NODE_FOUND");
    assert.equal(response.header("x-at"), undefined);
  });

  it("reaches the node as the client sent it, unless a rule takes it away", async (t) => {
    const rules = [parseHeaderRule("remove X-At") ?? assert.fail()];
    for (const requestHeaders of [[], rules]) {
      const { client, nodes } = await start(t, { requestHeaders });
      const { node, told } = await ask(client);
      await ask(client, told);
      const home = nodes.find(({ name }) => name === node);
      const sent = home?.calls.at(-1)?.rawHeaders ?? [];
      assert.equal(sent.includes("x-aT"), requestHeaders.length === 0);
    }
  });
});

describe("what a node says itself in the field of a sticky header", () => {
  const own = "x-at: mine\r\nX-AT: mine, too\r\n";

  for (const [name, head, method] of [
    ["200", `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${own}\r\nok`, "GET"],
    ["204", `HTTP/1.1 204 No Content\r\n${own}\r\n`, "GET"],
    ["304", `HTTP/1.1 304 Not Modified\r\n${own}\r\n`, "GET"],
    ["an answer to HEAD", `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n${own}\r\n`, "HEAD"],
    ["chunks", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${own}\r\n2\r\nok\r\n0\r\n\r\n`, "GET"],
    ["500", `HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n${own}\r\n`, "GET"],
  ]) {
    it(`never reaches a client: neither one that is told, nor one that knows (${name})`, async (t) => {
      const origin = await startRawOrigin(t, answering(head));
      const { port } = await startBalancer(t, {
        nodes: [origin.port],
        ...STICKY,
        stickyCodecs: ["raw"],
        stickySecrets: [],
      });
      const client = await connectClient(t, port);
      const value = `http://127.0.0.1:${origin.port}/`;
      for (const [sent, told] of [
        ["", [value]],
        [`X-At: ${value}\r\n`, []],
      ] as const) {
        const response = await client.ask(`${method} / HTTP/1.1\r\nHost: fn\r\n${sent}\r\n`, method);
        assert.deepEqual(
          response.fields.filter(([field]) => field === "x-at"),
          told.map((text) => ["x-at", text]),
        );
      }
    });
  }

  it("never reaches a client in an interim response or a 101", async (t) => {
    const origin = await startRawOrigin(t);
    const { port } = await startBalancer(t, { nodes: [origin.port], ...STICKY });
    const client = await connectClient(t, port);
    client.send("GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n${own}\r\n`);
    node.send(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${own}\r\n`);
    const response = await client.response();
    assert.deepEqual(
      response.interims.map(({ fields }) => fields),
      [[["link", "x"]]],
    );
    const told = response.fields.filter(([field]) => field === "x-at");
    assert.equal(told.length, 1);
    assert.match(told[0][1], /^[\w-]{16}\.[\w-]{43}$/);
  });

  it("passes where the header is not sticky", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("ok", own)));
    const { port } = await startBalancer(t, { nodes: [origin.port] });
    const client = await connectClient(t, port);
    assert.equal((await client.ask("GET / HTTP/1.1\r\nHost: fn\r\n\r\n")).header("x-at"), "mine");
  });
});

describe("the name of a sticky header", () => {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const create = (config: Partial<typeof DEFAULTS>) => () =>
    createBalancer(oneCluster({ ...DEFAULTS, nodes: [localNode(1)], stickyCodecs: ["raw"], ...config }), { log });

  for (const stickyHeader of [
    "Content-Length",
    "transfer_encoding",
    "Connection",
    "Via",
    "Host",
    "Cookie",
    "Set-Cookie",
  ]) {
    it(`is not ${stickyHeader}`, () => {
      const message = `cluster "default": option "sticky-header" must be a field of its own, got "${stickyHeader}"`;
      assert.throws(create({ stickyHeader }), { code: "ERR_OPTION", message });
    });
  }

  it("is not that of the load header", () => {
    const message = 'cluster "default": option "load-header" must be a field of its own, got "x-at"';
    assert.throws(create({ stickyHeader: "X-At", loadHeader: "x-at" }), { code: "ERR_OPTION", message });
  });
});
