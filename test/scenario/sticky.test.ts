import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { startFunctionNodes } from "../support/function-node.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";

const SECRET = "a secret of 32 bytes or thereab.";

async function start(t: TestContext, config: Partial<TestConfig> = {}) {
  const nodes = await startFunctionNodes(t, 3);
  const started = await startBalancer(t, {
    nodes: nodes.map((node) => node.port),
    policy: "weighted-round-robin",
    stickyCookie: "fnlb",
    stickySecrets: [SECRET],
    ...config,
  });
  return { ...started, nodes, client: await connectClient(t, started.port) };
}

/** Asks for `/f`, with a cookie if there is one; gives the node that answered and the cookie that came. */
async function ask(client: RawClient, cookie?: string) {
  const field = cookie === undefined ? "" : `Cookie: theme=dark; ${cookie}\r\n`;
  const response = await client.ask(`GET /f HTTP/1.1\r\nHost: fn\r\n${field}\r\n`);
  assert.equal(response.status, 200);
  const setCookie = response.header("set-cookie");
  return { node: String(response.json().node), setCookie, cookie: setCookie?.split(";")[0] };
}

describe("sticky sessions", () => {
  it("give a client without a cookie one, and keep whoever sends it on that node, without another cookie", async (t) => {
    const { client } = await start(t);
    const first = await ask(client);
    assert.match(first.setCookie ?? "", /^fnlb=[\w-]{16}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
    for (let number = 0; number < 6; number++) {
      const next = await ask(client, first.cookie);
      assert.deepEqual([next.node, next.setCookie], [first.node, undefined]);
    }
    const others = [await ask(client), await ask(client)];
    assert.equal(new Set([first, ...others].map(({ node }) => node)).size, 3, "the others are balanced");
  });

  it("leave a dead node within the request, and stay on the next one", async (t) => {
    const { client, nodes } = await start(t);
    const first = await ask(client);
    await nodes.find(({ name }) => name === first.node)?.stop();
    const second = await ask(client, first.cookie);
    assert.notEqual(second.node, first.node);
    assert.notEqual(second.cookie, undefined);
    for (let number = 0; number < 4; number++) {
      const next = await ask(client, second.cookie);
      assert.deepEqual([next.node, next.setCookie], [second.node, undefined]);
    }
  });

  it("leave a node that fails in mid-request, too", async (t) => {
    const { client, nodes } = await start(t);
    const first = await ask(client);
    const home = nodes.find(({ name }) => name === first.node);
    // The connection that is kept dies as it is used, and the port refuses.
    await home?.stop();
    assert.notEqual((await ask(client, first.cookie)).node, first.node);
  });

  it("take a forged, foreign or garbled cookie for none", async (t) => {
    const { client } = await start(t);
    const { cookie } = await ask(client);
    const forged = `${cookie?.slice(0, -1)}${cookie?.endsWith("A") ? "B" : "A"}`;
    for (const bad of [forged, "fnlb=127.0.0.1:1", "fnlb=", `fnlb=${"x".repeat(3000)}`, "fnlb=__proto__"]) {
      assert.notEqual((await ask(client, bad)).setCookie, undefined, bad);
    }
  });

  it("are the same at every replica with the same secret, and survive its rotation", async (t) => {
    const { client, config } = await start(t);
    const replica = await startBalancer(t, { ...config, nodes: [...config.nodes].reverse() });
    const rotated = await startBalancer(t, { ...config, stickySecrets: ["a new secret of 32 bytes, shining", SECRET] });
    const first = await ask(client);
    const there = await ask(await connectClient(t, replica.port), first.cookie);
    assert.deepEqual([there.node, there.setCookie], [first.node, undefined]);
    const later = await connectClient(t, rotated.port);
    const renewed = await ask(later, first.cookie);
    assert.equal(renewed.node, first.node);
    assert.notEqual(renewed.cookie, first.cookie);
    assert.deepEqual(await ask(later, renewed.cookie), { node: first.node, setCookie: undefined, cookie: undefined });
  });

  it("migrate from oxy's raw cookies to encrypted ones", async (t) => {
    const { client, nodes } = await start(t, { stickyCodecs: ["encrypted", "raw"] });
    const [, home] = nodes;
    const old = `fnlb=http://${home.address}`;
    const moved = await ask(client, old);
    assert.equal(moved.node, home.name);
    assert.doesNotMatch(moved.cookie ?? "", /127\.0\.0\.1/);
    assert.deepEqual(await ask(client, moved.cookie), { node: home.name, setCookie: undefined, cookie: undefined });
  });

  it("take attributes from the options, on a 101 and an answer to HTTP/1.0 as well", async (t) => {
    const attributes = { stickyPath: "/app", stickyDomain: "example.com", stickySecure: true, stickyHttpOnly: false };
    const { client } = await start(t, { ...attributes, stickySameSite: "none", stickyMaxAgeMs: 3_600_000 });
    const { setCookie } = await ask(client);
    assert.match(setCookie ?? "", /; Path=\/app; Domain=example\.com; Max-Age=3600; Secure; SameSite=None$/);
    const old = await client.ask("GET /f HTTP/1.0\r\nHost: fn\r\n\r\n");
    assert.match(old.header("set-cookie") ?? "", /^fnlb=/);
  });

  it("hold above a ring, whose keys they overrule", async (t) => {
    const { client, nodes } = await start(t, { policy: "ring-hash", stickyCodecs: ["raw"], stickySecrets: [] });
    for (const { address, name } of nodes) assert.equal((await ask(client, `fnlb=http://${address}`)).node, name);
  });

  it("spill by the policy from a node at its limit", async (t) => {
    const { client, nodes, port, until } = await start(t, { nodeConnectionsMax: 1 });
    const first = await ask(client);
    const home = nodes.find(({ name }) => name === first.node);
    const busy = await connectClient(t, port);
    busy.send(`POST /f HTTP/1.1\r\nHost: fn\r\nCookie: ${first.cookie}\r\nContent-Length: 1\r\n\r\n`);
    await until("the node to be full", ({ nodes: all }) =>
      all.some(({ id, inFlight }) => id === home?.address && inFlight === 1),
    );
    assert.notEqual((await ask(client, first.cookie)).node, first.node);
    busy.send("x");
    assert.equal((await busy.response("POST")).json().node, first.node);
  });
});
