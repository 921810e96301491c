import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { RouteConfig } from "../../src/config/routes.js";
import { localNode } from "../support/balancer.js";
import { configOf, startClusters, type TestClusters } from "../support/clusters.js";
import { startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { orderOf } from "../support/paths.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient } from "../support/raw-peer.js";
import { addedLines, assertProblem } from "../support/wire.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;

/** A place for logs that is gone after the test. */
function logsOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "fnlb-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const linesOf = (file: string) =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("a request that no route takes", () => {
  const onlyApi = async (t: TestContext, process = {}) => {
    const node = await startFunctionNode(t, { name: "a" });
    const started = await startClusters(t, {
      clusters: { api: { nodes: [node.port] } },
      routes: [
        { name: "get-api", path: "/api", methods: ["GET"], cluster: "api" },
        { name: "by-host", hosts: ["*.fn.example"], cluster: "api" },
      ],
      process,
    });
    return { ...started, node, client: await connectClient(t, started.port) };
  };

  it("is answered 404 with a code, and its connection goes on", async (t) => {
    const { client, balancer, node } = await onlyApi(t);
    for (const request of [get("/"), get("/apix"), "POST /api HTTP/1.1\r\nHost: fn\r\nContent-Length: 0\r\n\r\n"]) {
      const response = await client.ask(request);
      assertProblem(response, 404, "ERR_NO_ROUTE");
      assert.equal(response.header("connection"), undefined);
    }
    assert.equal((await client.ask(get("/api"))).json().node, "a");
    const { counters } = balancer.snapshot();
    assert.deepEqual(
      [counters.requests, counters.requestsWithoutRoute, counters.problems, counters.attempts, node.calls.length],
      [4, 3, 3, 1, 1],
    );
  });

  it("is answered in its turn among pipelined ones", async (t) => {
    const { client } = await onlyApi(t);
    client.send(get("/api/1") + get("/none") + get("/api/2") + get("/none") + get("/api/3"));
    for (const target of ["/api/1", undefined, "/api/2", undefined, "/api/3"]) {
      const response = await client.response();
      if (target === undefined) assertProblem(response, 404, "ERR_NO_ROUTE");
      else assert.equal(response.json().target, target);
    }
  });

  it("has no body in the answer to HEAD, and the next answer is the next one's", async (t) => {
    const { client } = await onlyApi(t);
    const response = await client.ask("HEAD /none HTTP/1.1\r\nHost: fn\r\n\r\n", "HEAD");
    assert.equal(response.status, 404);
    assert.equal((await client.ask(get("/api"))).json().node, "a");
  });

  for (const [name, request] of [
    ["counted", "POST /none HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\n\r\n"],
    ["chunked", "POST /none HTTP/1.1\r\nHost: fn\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["expected", "PUT /none HTTP/1.1\r\nHost: fn\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"],
  ]) {
    it(`closes with its body, which is ${name}: nothing of it is taken for a request`, async (t) => {
      const { client, balancer } = await onlyApi(t);
      client.send(`${request}${get("/api/smuggled")}`);
      const response = await client.response();
      assertProblem(response, 404, "ERR_NO_ROUTE");
      assert.equal(response.header("connection"), "close");
      await client.log.untilEnd();
      assert.deepEqual([client.text, balancer.snapshot().counters.requests], ["", 1]);
    });
  }

  it("closes an HTTP/1.0 connection, and needs no Host to be told", async (t) => {
    const { client } = await onlyApi(t);
    assertProblem(await client.ask("GET /none HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 404, "ERR_NO_ROUTE");
    await client.log.untilEnd();
  });

  it("is told from others by the host of an absolute target", async (t) => {
    const { client } = await onlyApi(t);
    const absolute = (host: string) => `GET http://${host}/x HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    assertProblem(await client.ask(absolute("fn.example")), 404, "ERR_NO_ROUTE");
    assert.equal((await client.ask(absolute("a.FN.example:80"))).json().node, "a");
  });

  it("has a line in the access log, without route and cluster; those that one takes have both", async (t) => {
    const file = join(logsOf(t), "access.log");
    const { client, balancer } = await onlyApi(t, { accessLog: file });
    await client.ask(get("/api/x?q"));
    await client.ask(get("/none"));
    await client.ask("GET /x HTTP/1.1\r\nHost: a.fn.example\r\n\r\n");
    await client.ask("GET /bad HTTP/1.1\r\n\r\n");
    await balancer.close();
    assert.deepEqual(
      linesOf(file).map(({ target, route, cluster, status, code, node, endedBy, phase }) => [
        ...[target, route, cluster, status, code],
        ...[node !== null, endedBy, phase],
      ]),
      [
        ["/api/x?q", "get-api", "api", 200, undefined, true, "-", "done"],
        ["/none", null, null, 404, "ERR_NO_ROUTE", false, "client", "connect"],
        ["/x", "by-host", "api", 200, undefined, true, "-", "done"],
        [null, null, null, 400, "ERR_BAD_REQUEST", false, "client", "head"],
      ],
    );
  });
});

describe("the access log", () => {
  it("names route and cluster of requests that are refused by their cluster", async (t) => {
    const file = join(logsOf(t), "access.log");
    const node = await startFunctionNode(t, { name: "a" });
    const { port, balancer } = await startClusters(t, {
      clusters: {
        small: { nodes: [node.port], bodyBytesMax: 1 },
        keyed: { nodes: [node.port], key: [{ kind: "header", name: "x-key" }], keyRequired: true },
        dead: { nodes: [1] },
        drained: { nodes: [localNode(node.port, 0)] },
      },
      process: { accessLog: file },
    });
    const post = "POST /small HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n\r\nxx";
    for (const request of [post, get("/keyed"), get("/dead"), get("/drained")]) {
      const client = await connectClient(t, port);
      await client.ask(request);
    }
    await balancer.close();
    assert.deepEqual(
      linesOf(file).map(({ route, cluster, status, code }) => [route, cluster, status, code]),
      [
        ["route-1", "small", 413, "ERR_BODY_TOO_LARGE"],
        ["route-2", "keyed", 400, "ERR_NO_KEY"],
        ["route-3", "dead", 502, "ERR_NO_FALLBACK_NODE_FOUND"],
        ["route-4", "drained", 503, "ERR_NO_ACTIVE_NODE"],
      ],
    );
  });

  it("that a reload has put in place of another has the lines of all requests that end from then on", async (t) => {
    const folder = logsOf(t);
    const [before, after] = [join(folder, "before.log"), join(folder, "after.log")];
    const [origin, node] = [await startRawOrigin(t), await startFunctionNode(t, { name: "a" })];
    const clusters = { gone: { nodes: [origin.port] }, here: { nodes: [node.port] } };
    const { port, balancer } = await startClusters(t, { clusters, process: { accessLog: before } });
    const waiting = await connectClient(t, port);
    const idle = await connectClient(t, port);
    waiting.send(get("/gone/waits"));
    idle.send(get("/gone/first"));
    for (const peer of [await origin.accept(), await origin.accept()]) {
      const text = await peer.log.untilText("\r\n\r\n");
      if (text.includes("/gone/first")) peer.send(ok("first"));
    }
    assert.equal((await idle.response()).body.toString(), "first");
    await balancer.reload(configOf({ clusters: { here: clusters.here }, process: { accessLog: after } }));
    origin.connections.find(({ text }) => text.includes("/gone/waits"))?.send(ok("late"));
    assert.equal((await waiting.response()).body.toString(), "late");
    assertProblem(await idle.ask(get("/gone/none")), 404, "ERR_NO_ROUTE");
    assert.equal((await idle.ask(get("/here"))).json().node, "a");
    await balancer.close();
    assert.deepEqual(
      [linesOf(before), linesOf(after)].map((lines) => lines.map(({ target, cluster }) => [target, cluster])),
      [
        [["/gone/first", "gone"]],
        [
          ["/gone/waits", "gone"],
          ["/gone/none", null],
          ["/here", "here"],
        ],
      ],
    );
  });
});

describe("a prefix that is stripped", () => {
  const stripped = async (t: TestContext, given: Partial<RouteConfig> = {}, base = "") => {
    const origin = await startRawOrigin(t);
    const node = { ...localNode(origin.port) };
    const started = await startClusters(
      t,
      {
        clusters: {
          api: { nodes: [{ ...node, address: { ...node.address, basePath: base } as typeof node.address }] },
        },
        routes: [{ path: "/api", stripsPrefix: true, cluster: "api", ...given }],
      },
      { random: () => 0 },
    );
    return { ...started, origin, client: await connectClient(t, started.port) };
  };

  for (const [name, request, line] of [
    ["is followed by a query", get("/api?q=/api/"), "GET /?q=/api/ HTTP/1.1"],
    ["keeps what is encoded", get("/api/a%2Fb/%00;x?%3F"), "GET /a%2Fb/%00;x?%3F HTTP/1.1"],
    ["is stripped once", get("/api/api/x"), "GET /api/x HTTP/1.1"],
    ["may leave two slashes", get("/api//x"), "GET //x HTTP/1.1"],
    ["is stripped of the absolute form", "GET http://fn/api/x?q HTTP/1.1\r\nHost: fn\r\n\r\n", "GET /x?q HTTP/1.1"],
  ] as const) {
    for (const base of ["", "/base"]) {
      it(`${name}${base === "" ? "" : ", below a base path"}`, async (t) => {
        const { client, origin, port } = await stripped(t, {}, base);
        client.send(request);
        const node = await origin.accept();
        const expected = `${line.replace(" /", ` ${base}/`)}\r\nHost: fn\r\n${addedLines(port)}`;
        await node.log.untilLength(expected.length);
        assert.equal(node.text, expected);
        node.send(ok("answer"));
        assert.equal((await client.response()).body.toString(), "answer");
      });
    }
  }

  it("is stripped of an HTTP/1.0 request without Host, which gets the node's", async (t) => {
    const { client, origin, port } = await stripped(t, {}, "/base");
    client.send("GET /api/x HTTP/1.0\r\n\r\n");
    const node = await origin.accept();
    const expected = `GET /base/x HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${addedLines(port, "")}`;
    await node.log.untilLength(expected.length);
    assert.equal(node.text, expected);
    node.send(ok("old"));
    assert.equal((await client.response()).body.toString(), "old");
  });

  it("leaves body, trailers and Expect: 100-continue as they are", async (t) => {
    const { client, origin, port } = await stripped(t);
    const fields = "Host: fn\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n";
    client.send(`PUT /api/x HTTP/1.1\r\n${fields}\r\n`);
    const node = await origin.accept();
    const expected = `PUT /x HTTP/1.1\r\n${fields}${addedLines(port)}`;
    await node.log.untilLength(expected.length);
    assert.equal(node.text, expected);
    node.send("HTTP/1.1 100 Continue\r\n\r\n");
    await client.log.untilText("100 Continue");
    const body = "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    client.send(body);
    await node.log.untilLength(expected.length + body.length);
    assert.equal(node.text, expected + body);
    node.send(ok("done"));
    const { interims, status } = await client.response();
    assert.deepEqual([interims.map((interim) => interim.status), status], [[100], 200]);
  });

  it("is stripped in front of a websocket, too", async (t) => {
    const { client, origin } = await stripped(t);
    client.send(`${get("/api/ws?x", "Connection: Upgrade\r\nUpgrade: websocket\r\n")}early`);
    const node = await origin.accept();
    assert.match(await node.log.untilText("\r\n\r\n"), /^GET \/ws\?x HTTP\/1\.1\r\n/);
    node.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    assert.equal((await client.response()).status, 101);
    await node.log.untilText("early");
    await client.log.untilText("hi");
    client.end();
    node.end();
  });

  it("belongs to the key: the same path keeps its node, stripped or not", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { port, config } = await startClusters(t, {
      clusters: { api: { nodes: nodes.map((node) => node.port) } },
      routes: [{ path: "/api", stripsPrefix: true, cluster: "api" }],
    });
    const client = await connectClient(t, port);
    const [{ nodes: list }] = config.clusters;
    for (let number = 0; number < 20; number++) {
      const { node, target } = (await client.ask(get(`/api/f${number}?${number}`))).json();
      assert.equal(nodes.find(({ name }) => name === node)?.address, orderOf(list, `/api/f${number}`)[0]);
      assert.equal(target, `/f${number}?${number}`);
    }
  });

  it("is stripped anew for a retry, below the base path of the next node, body and all", async (t) => {
    const mute = await startRawOrigin(t, (peer) => void peer.socket.once("data", () => peer.destroy()));
    const good = await startRawOrigin(t, answering(ok("good")));
    const below = (port: number, basePath: string) => ({
      id: `127.0.0.1:${port}${basePath}`,
      address: { kind: "tcp", host: "127.0.0.1", port, basePath } as const,
      weight: 1,
    });
    const nodes = [below(mute.port, "/one"), below(good.port, "/other/base")];
    const { port, config } = await startClusters(t, {
      clusters: { api: { nodes } },
      routes: [{ path: "/api", stripsPrefix: true, cluster: "api" }],
    });
    let path = "";
    for (let number = 0; path === "" || orderOf(config.clusters[0].nodes, path)[0] !== nodes[0].id; number++) {
      path = `/api/f${number}`;
    }
    const client = await connectClient(t, port);
    const rest = path.slice(4);
    const put = `PUT ${path}?q HTTP/1.1\r\nHost: fn\r\nContent-Length: 5\r\n\r\nhello`;
    assert.equal((await client.ask(put, "PUT")).body.toString(), "good");
    for (const [origin, base] of [
      [mute, "/one"],
      [good, "/other/base"],
    ] as const) {
      const [{ text }] = origin.connections;
      assert.ok(text.startsWith(`PUT ${base}${rest}?q HTTP/1.1\r\n`) && text.endsWith("\r\n\r\nhello"), text);
    }
  });
});

describe("routes over real connections", () => {
  const shared = async (t: TestContext): Promise<TestClusters> => {
    const nodes = await startFunctionNodes(t, 4);
    const [a, b, c, d] = nodes.map((node) => ({ nodes: [node.port] }));
    return startClusters(t, {
      clusters: { api: a, canary: b, writes: c, rest: d },
      routes: [
        { cluster: "rest" },
        { path: "/store", methods: ["POST", "PUT"], cluster: "writes" },
        { path: "/store", headers: [{ name: "X-Canary", value: "yes" }], cluster: "canary" },
        { hosts: ["api.fn.example"], path: "/store", cluster: "api" },
        { path: "/login", isExact: true, cluster: "canary" },
      ],
    });
  };

  it("tell requests of one connection apart by host, path, method and fields", async (t) => {
    const { port } = await shared(t);
    const client = await connectClient(t, port);
    for (const [line, host, fields, node] of [
      ["GET /x", "fn", "", "d"],
      ["GET /store", "fn", "", "d"],
      ["GET /store", "fn", "x-canary: yes\r\n", "b"],
      ["GET /store", "fn", "X-Canary: no\r\nx-canary: yes\r\n", "b"],
      ["GET /store", "fn", "X-Canary: YES\r\n", "d"],
      ["PUT /store/1", "fn", "Content-Length: 0\r\n", "c"],
      ["PUT /store/1", "fn", "X-Canary: yes\r\nContent-Length: 0\r\n", "c"],
      ["GET /store?x", "API.fn.example:8081", "", "a"],
      ["GET /storex", "api.fn.example", "", "d"],
      ["GET /login?x", "fn", "", "b"],
      ["GET /login/", "fn", "", "d"],
    ]) {
      const response = await client.ask(`${line} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`);
      assert.equal(response.json().node, node, `${line} ${host} ${fields}`);
    }
  });

  it("look at the fields as they came, not as rules make them, and at what Connection names as well", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const rules = [{ action: "remove", name: "X-Canary", value: "" }] as const;
    const { port } = await startClusters(t, {
      clusters: { canary: { nodes: [a.port], requestHeaders: rules }, rest: { nodes: [b.port] } },
      routes: [{ headers: [{ name: "x-canary", value: undefined }], cluster: "canary" }, { cluster: "rest" }],
    });
    const client = await connectClient(t, port);
    assert.equal((await client.ask(get("/x", "X-Canary: 1\r\n"))).json().node, "a");
    assert.ok(!a.calls[0].rawHeaders.includes("X-Canary"));
    assert.equal((await client.ask(get("/x", "X-Canary: 1\r\nConnection: x-canary\r\n"))).json().node, "a");
    assert.equal((await client.ask(get("/x"))).json().node, "b");
  });
});
