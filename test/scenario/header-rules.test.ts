import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import { parseHeaderRule } from "../../src/config/header-rule.js";
import type { HeaderRule } from "../../src/core/header-rule.js";
import { DEFAULTS, localNode, oneCluster, startBalancer } from "../support/balancer.js";
import { configOf, startClusters } from "../support/clusters.js";
import { runCommand } from "../support/commands.js";
import { startFunctionNode } from "../support/function-node.js";
import { pathThrough } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";
import { addedLines, assertForwarded, startWire } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;

const rules = (...texts: readonly string[]): HeaderRule[] =>
  texts.map((text) => parseHeaderRule(text) ?? assert.fail(`no rule: ${text}`));

const REQUEST_RULES = rules("set X-Real-IP: {client}", "add X-Asked: {host}", "remove Cookie", "set X-Env: prod");
const REQUEST_LINES = "X-Real-IP: 127.0.0.1\r\nX-Asked: fn\r\nX-Env: prod\r\n";

describe("rules for requests", () => {
  it("change the fields that a node gets, and no other byte", async (t) => {
    const wire = await startWire(t, { requestHeaders: REQUEST_RULES });
    const sent = "Cookie: a=b\r\nAccept: *\r\nx-real-ip: 6.6.6.6\r\nCOOKIE: c=d\r\nX-Asked: before\r\nX-ENV: dev\r\n";
    await assertForwarded(
      wire,
      get("/f?q", sent),
      `GET /f?q HTTP/1.1\r\nHost: fn\r\nAccept: *\r\nX-Asked: before\r\n${REQUEST_LINES}${wire.added()}`,
    );
  });

  it("leave no twin with an underscore behind, which a node could take for the field that was set", async (t) => {
    const wire = await startWire(t, { requestHeaders: rules("set X-Real-IP: {client}", "remove X-Role_Name") });
    const sent =
      "X_Real_IP: 6.6.6.6\r\nx-real_ip: 6.6.6.6\r\nX_ROLE_NAME: root\r\nX-Role-Name: root\r\nX_Real: kept\r\n";
    await assertForwarded(
      wire,
      get("/", sent),
      `GET / HTTP/1.1\r\nHost: fn\r\nX_Real: kept\r\nX-Real-IP: 127.0.0.1\r\n${wire.added()}`,
    );
  });

  it("leave bodies and their framing alone, also where Expect: 100-continue holds them back", async (t) => {
    const wire = await startWire(t, { requestHeaders: REQUEST_RULES });
    const framed = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    const body = "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    await assertForwarded(
      wire,
      `PUT /f HTTP/1.1\r\nHost: fn\r\nCookie: a=b\r\n${framed}\r\n${body}`,
      `PUT /f HTTP/1.1\r\nHost: fn\r\n${framed}${REQUEST_LINES}${wire.added()}${body}`,
      "PUT",
    );
    const other = await startWire(t, { requestHeaders: REQUEST_RULES });
    const expecting = "POST /f HTTP/1.1\r\nHost: fn\r\nExpect: 100-continue\r\nContent-Length: 2\r\n";
    other.client.send(`${expecting}Cookie: a=b\r\n\r\n`);
    const node = await other.origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send("HTTP/1.1 100 Continue\r\n\r\n");
    await other.client.log.untilText("100");
    other.client.send("ok");
    await node.log.untilText("ok");
    assert.equal(node.text, `${expecting}${REQUEST_LINES}${other.added()}ok`);
    node.send(ok("answer"));
    assert.equal((await other.client.response("POST")).status, 200);
  });

  it("set Host, also of an absolute target and for HTTP/1.0; X-Forwarded-Host is what was asked", async (t) => {
    const config = { requestHeaders: rules("set Host: fn.internal:99", "set X-Asked: {host}") };
    for (const [sent, asked] of [
      ["GET /f HTTP/1.1\r\nHost: fn\r\n\r\n", "fn"],
      ["GET http://fn:80/f HTTP/1.1\r\nHost: fn:80\r\n\r\n", "fn:80"],
      ["GET /f HTTP/1.0\r\nHost: old\r\n\r\n", "old"],
      ["GET /f HTTP/1.0\r\n\r\n", ""],
    ]) {
      const wire = await startWire(t, config);
      await assertForwarded(
        wire,
        sent,
        `GET /f HTTP/1.1\r\nHost: fn.internal:99\r\nX-Asked: ${asked}\r\n${addedLines(wire.port, asked)}`,
      );
    }
  });

  it("reach a websocket's node, too", async (t) => {
    const { client, origin, added } = await startWire(t, { requestHeaders: REQUEST_RULES });
    client.send(get("/ws", "Cookie: a=b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    const hop = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    assert.equal(node.text, `GET /ws HTTP/1.1\r\nHost: fn\r\n${REQUEST_LINES}${hop}${added()}`);
  });

  it("send the same head to the next node of a retry, but for a Host that is the node's", async (t) => {
    const mute = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const good = await startRawOrigin(t, answering(ok("good")));
    const { port, config } = await startBalancer(t, {
      nodes: [mute.port, good.port],
      requestHeaders: [...REQUEST_RULES, ...rules("set Host: {node}")],
    });
    const client = await connectClient(t, port);
    const path = pathThrough(config.nodes, [`127.0.0.1:${mute.port}`]);
    assert.equal((await client.ask(get(path, "Cookie: a=b\r\n"))).body.toString(), "good");
    const [first, second] = [mute, good].map(({ connections: [{ text }] }) => text);
    assert.ok(first.includes(REQUEST_LINES) && !first.includes("Cookie"));
    assert.ok(first.includes(`\r\nHost: 127.0.0.1:${mute.port}\r\n`));
    assert.equal(second, first.replace(`Host: 127.0.0.1:${mute.port}`, `Host: 127.0.0.1:${good.port}`));
  });

  it("do not change by what a request is balanced, nor who keeps it", async (t) => {
    const nodes = await Promise.all(["a", "b", "c"].map((name) => startFunctionNode(t, { name })));
    const { port } = await startBalancer(t, {
      nodes: nodes.map((node) => node.port),
      key: [{ kind: "header", name: "x-user" }],
      policy: "ring-hash",
      stickyCookie: "at",
      stickyCodecs: ["raw"],
      requestHeaders: rules("set X-User: everybody", "remove Cookie"),
    });
    const client = await connectClient(t, port);
    const seen = new Set<unknown>();
    for (let user = 0; user < 20; user++) seen.add((await client.ask(get("/", `X-User: ${user}\r\n`))).json().node);
    assert.equal(seen.size, 3);
    for (const node of nodes) {
      const response = await client.ask(get("/", `Cookie: at=http://${node.address}\r\n`));
      assert.equal(response.json().node, node.name);
      assert.ok(!node.calls.at(-1)?.rawHeaders.includes("Cookie"));
    }
  });
});

const RESPONSE_RULES = rules("remove Server", "set X-Frame: deny", "add X-Node: {node}", "add X-For: {client}");

/** A node that answers everything with that, and a client in front of the balancer. */
async function answeredWith(t: TestContext, answer: string, responseHeaders = RESPONSE_RULES) {
  const wire = await startWire(t, { responseHeaders }, { onConnection: answering(answer) });
  const lines = `X-Frame: deny\r\nX-Node: 127.0.0.1:${wire.origin.port}\r\nX-For: 127.0.0.1\r\n`;
  return { ...wire, lines };
}

describe("rules for responses", () => {
  const FIELDS = "server: n/1\r\nX-Kept: 1\r\nX-FRAME: none\r\n";

  for (const [name, request, status, framing, body] of [
    ["with a counted body", get("/"), "200 OK", "Content-Length: 2\r\n", "ok"],
    ["with a body larger than is copied", get("/"), "200 OK", "Content-Length: 50000\r\n", "x".repeat(50_000)],
    [
      "in chunks with trailers",
      get("/"),
      "200 OK",
      "Transfer-Encoding: chunked\r\n",
      "2\r\nok\r\n0\r\nServer: t\r\n\r\n",
    ],
    ["without a body", get("/"), "204 No Content", "", ""],
    ["that are 304", get("/"), "304 Not Modified", "Content-Length: 100\r\n", ""],
    ["to HEAD", "HEAD / HTTP/1.1\r\nHost: fn\r\n\r\n", "200 OK", "Content-Length: 100\r\n", ""],
    ["of any status", get("/"), "503 Busy", "Content-Length: 2\r\n", "no"],
  ]) {
    it(`change those ${name}, again and again on one connection`, async (t) => {
      const { client, lines, origin } = await answeredWith(t, `HTTP/1.1 ${status}\r\n${FIELDS}${framing}\r\n${body}`);
      const expected = `HTTP/1.1 ${status}\r\nX-Kept: 1\r\n${framing}${lines}\r\n${body}`;
      for (let number = 0; number < 3; number++) {
        client.send(request);
        await client.log.untilLength(expected.length);
        assert.equal(client.text, expected);
        client.log.drop(expected.length);
      }
      assert.equal(origin.connections.length, 1);
    });
  }

  it("change one whose head comes in two pieces", async (t) => {
    const { client, origin } = await startWire(t, { responseHeaders: RESPONSE_RULES });
    client.send(get("/"));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send("HTTP/1.1 200 OK\r\nServer: n\r\nX-Fra");
    await new Promise((resolve) => setImmediate(resolve));
    node.send("me: none\r\nContent-Length: 2\r\n\r\no");
    await client.log.untilText("\r\n\r\no");
    node.send("k");
    const response = await client.response();
    assert.deepEqual(
      [response.header("server"), response.header("x-frame"), `${response.body}`],
      [undefined, "deny", "ok"],
    );
  });

  it("change one that lasts until the node closes, and one to HTTP/1.0", async (t) => {
    for (const [request, ending] of [
      [get("/"), "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
      ["GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\nok"],
    ]) {
      const { client, origin } = await startWire(t, { responseHeaders: RESPONSE_RULES });
      client.send(request);
      const node = await origin.accept();
      await node.log.untilText("\r\n\r\n");
      node.socket.end(`HTTP/1.1 200 OK\r\n${FIELDS}\r\nok`);
      const lines = `X-Frame: deny\r\nX-Node: 127.0.0.1:${origin.port}\r\nX-For: 127.0.0.1\r\n`;
      await client.log.untilText(ending);
      assert.equal(client.text, `HTTP/1.1 200 OK\r\nX-Kept: 1\r\n${lines}${ending}`);
    }
  });

  it("change a 101, not the interim response before it", async (t) => {
    const { client, origin } = await startWire(t, { responseHeaders: RESPONSE_RULES });
    client.send(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    const node = await origin.accept();
    await node.log.untilText("\r\n\r\n");
    node.send(`HTTP/1.1 103 Early Hints\r\n${FIELDS}\r\n`);
    node.send(`HTTP/1.1 101 Switching Protocols\r\n${FIELDS}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    const response = await client.response();
    assert.deepEqual(
      [response.header("server"), response.header("x-frame"), response.header("x-node"), response.header("upgrade")],
      [undefined, "deny", `127.0.0.1:${origin.port}`, "websocket"],
    );
    const [hints] = response.interims;
    assert.deepEqual(
      [hints.header("server"), hints.header("x-frame"), hints.header("x-node")],
      ["n/1", "none", undefined],
    );
  });

  it("do not change what fnlb answers itself", async (t) => {
    const { port, client } = await startClusters(t, {
      clusters: { dead: { nodes: [1], responseHeaders: RESPONSE_RULES } },
      routes: [{ path: "/app", redirectsSlash: true, cluster: "dead" }],
    }).then(async (started) => ({ ...started, client: await connectClient(t, started.port) }));
    for (const [request, status] of [
      [get("/app/"), 502],
      [get("/app"), 308],
      [get("/none"), 404],
      ["OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n", 200],
    ] as const) {
      const response = await client.ask(request);
      assert.deepEqual(
        [response.status, response.header("x-frame"), response.header("x-for")],
        [status, undefined, undefined],
      );
    }
    const bad = await connectClient(t, port);
    assert.equal((await bad.ask("GET / HTTP/1.1\r\n\r\n")).header("x-frame"), undefined);
  });

  it("name the node that answered, not the one that was asked first", async (t) => {
    const [bad, good] = [await startRawOrigin(t), await startRawOrigin(t, answering(ok("good")))];
    const { port, config } = await startBalancer(t, {
      nodes: [bad.port, good.port],
      responseHeaders: rules("set X-Node: {node}"),
      retryOn: { closed: true, silent: true, statuses: [500] },
    });
    const path = pathThrough(config.nodes, [`127.0.0.1:${bad.port}`]);
    const client = await connectClient(t, port);
    const failures: readonly ((peer: RawPeer) => void)[] = [
      (peer) => peer.destroy(),
      (peer) => peer.send("HTTP/1.1 500 Oops\r\nX-Node: me\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (const fail of failures) {
      client.send(get(path));
      const peer = await bad.accept();
      await peer.log.untilText("\r\n\r\n");
      fail(peer);
      const { fields } = await client.response();
      assert.deepEqual(
        fields.filter(([name]) => name === "x-node"),
        [["x-node", `127.0.0.1:${good.port}`]],
      );
    }
    await bad.stop();
    assert.equal((await client.ask(get(path))).header("x-node"), `127.0.0.1:${good.port}`);
  });

  it("take away the cookies of nodes, not the sticky one", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("ok", "Set-Cookie: a=1\r\nset-cookie: b=2\r\n")));
    const sticky = { stickyCookie: "at", stickySecrets: ["0123456789abcdef"] };
    for (const [texts, names] of [
      [["remove Set-Cookie"], ["at"]],
      [["set Set-Cookie: c=3"], ["c", "at"]],
      [["add Set-Cookie: c=3"], ["a", "b", "c", "at"]],
    ]) {
      const { port } = await startBalancer(t, { nodes: [origin.port], ...sticky, responseHeaders: rules(...texts) });
      const { fields } = await (await connectClient(t, port)).ask(get("/"));
      const cookies = fields.filter(([name]) => name === "set-cookie").map(([, value]) => value.split("=")[0]);
      assert.deepEqual(cookies, names);
    }
  });
});

describe("rules of several clusters", () => {
  it("do not mix on one connection", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("ok")));
    const { port } = await startClusters(t, {
      clusters: {
        one: { nodes: [origin.port], responseHeaders: rules("set X-By: one"), requestHeaders: rules("set X-To: one") },
        plain: { nodes: [origin.port] },
        two: { nodes: [origin.port], responseHeaders: rules("set X-By: two"), requestHeaders: rules("set X-To: two") },
      },
    });
    const client = await connectClient(t, port);
    const names = ["one", "plain", "two", "plain", "one", "two", "one", "plain"];
    client.send(names.map((name) => get(`/${name}`)).join(""));
    for (const name of names)
      assert.equal((await client.response()).header("x-by"), name === "plain" ? undefined : name);
    for (const { text } of origin.connections) {
      for (const head of text.split("\r\n\r\n").slice(0, -1)) {
        const [, name] = /^GET \/(\w+)/.exec(head) ?? [];
        assert.equal(/X-To: (\w+)/.exec(head)?.[1], name === "plain" ? undefined : name);
      }
    }
  });

  it("change with a reload from the next request on, and a bad one changes nothing", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("ok")));
    const given = (...texts: readonly string[]) => ({
      clusters: { app: { nodes: [origin.port], responseHeaders: rules(...texts) } },
    });
    const { port, balancer } = await startClusters(t, given("set X-By: one"));
    const client = await connectClient(t, port);
    const by = async () => (await client.ask(get("/app"))).header("x-by");
    assert.equal(await by(), "one");
    await balancer.reload(configOf(given("set X-By: two")));
    assert.equal(await by(), "two");
    await assert.rejects(balancer.reload(configOf(given("set Content-Length: 0"))), { code: "ERR_OPTION" });
    assert.equal(await by(), "two");
    await balancer.reload(configOf(given()));
    assert.equal(await by(), undefined);
    assert.equal(origin.connections.length, 1);
  });
});

describe("rules that are refused", () => {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const create = (config: Partial<typeof DEFAULTS>) => () =>
    createBalancer(oneCluster({ ...DEFAULTS, nodes: [localNode(1)], ...config }), { log });

  for (const [name, config, message] of [
    [
      "X-Forwarded-For",
      { requestHeaders: rules("set X-Forwarded-For: 1.2.3.4") },
      'cluster "default": option "request-header" must be a rule for a field that fnlb leaves to others, got "X-Forwarded-For"',
    ],
    [
      "a forwarding field's twin",
      { requestHeaders: rules("add x_forwarded_proto: https") },
      /got "x_forwarded_proto"$/,
    ],
    ["X-Request-Id", { requestId: true, requestHeaders: rules("remove X-Request-Id") }, /got "X-Request-Id"$/],
    [
      "what frames",
      { responseHeaders: rules("set Transfer-Encoding: chunked") },
      /option "response-header" must be a rule/,
    ],
    ["Host twice", { requestHeaders: rules("add Host: a") }, /set Host/],
    ["the load header", { loadHeader: "x-wait", responseHeaders: rules("set X-Wait: 1s") }, /got "X-Wait"$/],
    [
      "the field of affinity",
      { stickyHeader: "X-At", stickyCodecs: ["raw" as const], responseHeaders: rules("set x-at: 1") },
      /got "x-at"$/,
    ],
    ["another's placeholder", { requestHeaders: rules("set X: {node}") }, /\{client\} and \{host\}/],
  ] as const) {
    it(`end the start and name themselves: ${name}`, () => {
      assert.throws(create(config), { code: "ERR_OPTION", message });
    });
  }

  it("end `fnlb` and `fnlb check` with the code of a bad option", async () => {
    for (const command of [[], ["check"]]) {
      const { code, stderr } = await runCommand([...command, "--request-header", "set Via: me"]);
      assert.equal(code, 2);
      assert.match(stderr, /cluster "default": option "request-header" must be a rule .*, got "Via"/);
    }
  });

  it("are those of fields that fnlb writes: where it does not, they are taken", async (t) => {
    const wire = await startWire(t, {
      forwardedFor: "off",
      forwardedHeaders: "none",
      requestHeaders: rules("set X-Forwarded-For: {client}", "set X-Forwarded-Proto: https", "remove X-Request-Id"),
    });
    await assertForwarded(
      wire,
      get("/", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Request-Id: 1\r\n"),
      "GET / HTTP/1.1\r\nHost: fn\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nVia: 1.1 fnlb-00000000\r\n\r\n",
    );
  });
});
