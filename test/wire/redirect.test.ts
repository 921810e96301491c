import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { ProcessSettings } from "../../src/config/config.js";
import type { RouteConfig } from "../../src/config/routes.js";
import { startClusters } from "../support/clusters.js";
import { answering, ok, startRawOrigin } from "../support/raw-origin.js";
import { connectClient, type RawClient } from "../support/raw-peer.js";
import type { MessageRead } from "../support/read-message.js";

const get = (path: string, fields = "") => `GET ${path} HTTP/1.1\r\nHost: fn\r\n${fields}\r\n`;

/** A balancer whose only route has a slash put behind its path, unless the test says otherwise. */
async function start(t: TestContext, route: Partial<RouteConfig> = {}, process: Partial<ProcessSettings> = {}) {
  const origin = await startRawOrigin(t, answering(ok("served")));
  const started = await startClusters(t, {
    clusters: { app: { nodes: [origin.port] } },
    routes: [{ path: "/api", redirectsSlash: true, cluster: "app", ...route }],
    process,
  });
  return { ...started, origin, client: await connectClient(t, started.port) };
}

function assertRedirect(response: MessageRead, location: string): void {
  assert.equal(response.startLine, "HTTP/1.1 308 Permanent Redirect");
  assert.equal(response.header("location"), location);
}

async function assertClosed(client: RawClient): Promise<void> {
  await client.log.untilEnd();
  assert.equal(client.text, "", "nothing behind the redirect");
}

describe("a redirect to the path with a slash", () => {
  it("is answered at once, with the query, on a connection that goes on; no node is asked", async (t) => {
    const { client, origin, balancer } = await start(t);
    const response = await client.ask(get("/api?q=/x?y"));
    assertRedirect(response, "/api/?q=/x?y");
    assert.equal(response.body.toString(), "Permanent Redirect: /api/?q=/x?y\n");
    assert.equal(response.header("connection"), undefined);
    assert.equal(origin.connections.length, 0);
    assert.equal((await client.ask(get("/api/?q=/x?y"))).body.toString(), "served");
    const { counters } = balancer.snapshot();
    assert.deepEqual(
      [counters.requests, counters.responses3xx, counters.responses2xx, counters.problems, counters.attempts],
      [2, 1, 1, 0, 1],
    );
  });

  it("has no body for HEAD, and the next answer is the next one's", async (t) => {
    const { client } = await start(t);
    assertRedirect(await client.ask("HEAD /api HTTP/1.1\r\nHost: fn\r\n\r\n", "HEAD"), "/api/");
    assert.equal((await client.ask(get("/api/"))).body.toString(), "served");
  });

  for (const [name, request] of [
    ["a POST", "POST /api HTTP/1.1\r\nHost: fn\r\nContent-Length: 0\r\n\r\n"],
    ["a PUT with a body", "PUT /api HTTP/1.1\r\nHost: fn\r\nContent-Length: 2\r\n\r\nok"],
    ["an OPTIONS", "OPTIONS /api HTTP/1.1\r\nHost: fn\r\n\r\n"],
    ["a method that differs in case", "get /api HTTP/1.1\r\nHost: fn\r\n\r\n"],
    ["a GET of the path with its slash", get("/api/")],
    ["a GET of what is below", get("/api/x")],
    ["a GET of the path with two slashes", get("/api//")],
  ]) {
    it(`does not happen to ${name}`, async (t) => {
      const { client } = await start(t);
      assert.equal((await client.ask(request)).body.toString(), "served");
    });
  }

  it("does not happen to a websocket, which its node gets as it came", async (t) => {
    const origin = await startRawOrigin(t);
    const { port } = await startClusters(t, {
      clusters: { app: { nodes: [origin.port] } },
      routes: [{ path: "/api", redirectsSlash: true, stripsPrefix: true, cluster: "app" }],
    });
    const client = await connectClient(t, port);
    client.send(get("/api", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    const node = await origin.accept();
    assert.match(await node.log.untilText("\r\n\r\n"), /^GET \/ HTTP\/1\.1\r\n/);
    node.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert.equal((await client.response()).status, 101);
    client.end();
    node.end();
  });

  it("does not happen where another route takes the request", async (t) => {
    const origin = await startRawOrigin(t, answering(ok("served")));
    const { port } = await startClusters(t, {
      clusters: { app: { nodes: [origin.port] } },
      routes: [
        { path: "/api", redirectsSlash: true, cluster: "app" },
        { path: "/api", isExact: true, hosts: ["exact.example"], cluster: "app" },
        { path: "/api", headers: [{ name: "x-plain", value: undefined }], cluster: "app" },
      ],
    });
    const client = await connectClient(t, port);
    assertRedirect(await client.ask(get("/api")), "/api/");
    assert.equal((await client.ask(get("/api", "X-Plain: 1\r\n"))).body.toString(), "served");
    const exact = "GET /api HTTP/1.1\r\nHost: exact.example\r\n\r\n";
    assert.equal((await client.ask(exact)).body.toString(), "served");
    assertRedirect(await client.ask(get("/api")), "/api/");
  });
});

describe("a redirect leads to no other host", () => {
  for (const [name, path, request, location] of [
    ["an absolute target", "/api", "GET http://evil.example/api?q HTTP/1.1\r\nHost: evil.example\r\n\r\n", "/api/?q"],
    ["an absolute https target", "/api", "GET https://evil/api HTTP/1.1\r\nHost: evil\r\n\r\n", "/api/"],
    ["a Host of the client's", "/api", "GET /api HTTP/1.1\r\nHost: evil.example\r\n\r\n", "/api/"],
    ["a host in the query", "/api", get("/api?//evil"), "/api/?//evil"],
    ["a backslash", "/\\evil", get("/\\evil"), "/./\\evil/"],
    ["an encoded slash", "/%2Fevil", get("/%2Fevil"), "/%2Fevil/"],
    ["an encoded backslash", "/%5Cevil", get("/%5Cevil"), "/%5Cevil/"],
    ["encoded line breaks", "/api", get("/api?%0D%0ALocation:%20//evil"), "/api/?%0D%0ALocation:%20//evil"],
  ]) {
    it(`with ${name}`, async (t) => {
      const { client } = await start(t, { path });
      const response = await client.ask(request);
      assertRedirect(response, location);
      assert.equal(new URL(location, "http://fn/").host, "fn");
      assert.equal(response.fields.filter(([field]) => field === "location").length, 1);
    });
  }

  it("with two slashes in front, which no such route takes", async (t) => {
    const { client } = await start(t);
    for (const path of ["//evil", "//api", "///api", "/.//api"]) {
      assert.equal((await client.ask(get(path))).status, 404, path);
    }
  });
});

describe("a redirect leaves nothing in the stream", () => {
  it("of pipelined requests, which are answered in order", async (t) => {
    const { client, balancer } = await start(t);
    const paths = Array.from({ length: 60 }, (_, number) => (number % 3 === 0 ? "/api/x" : `/api?${number}`));
    client.send(paths.map((path) => get(path)).join(""));
    for (const path of paths) {
      const response = await client.response();
      if (path === "/api/x") assert.equal(response.body.toString(), "served");
      else assertRedirect(response, path.replace("?", "/?"));
    }
    assert.deepEqual([balancer.snapshot().counters.responses3xx, balancer.snapshot().counters.responses2xx], [40, 20]);
  });

  for (const [name, fields, body] of [
    ["with a counted body", "Content-Length: 40\r\n", ""],
    ["with a counted body that has come", "Content-Length: 5\r\n", "hello"],
    ["with a chunked body", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"],
    ["with a body that waits for 100", "Content-Length: 5\r\nExpect: 100-continue\r\n", ""],
  ]) {
    it(`of a GET ${name}: it closes`, async (t) => {
      const { client, balancer, origin } = await start(t);
      client.send(`${get("/api", fields)}${body}${get("/api/smuggled")}`);
      const response = await client.response();
      assertRedirect(response, "/api/");
      assert.deepEqual([response.header("connection"), response.interims.length], ["close", 0]);
      await assertClosed(client);
      assert.deepEqual([balancer.snapshot().counters.requests, origin.connections.length], [1, 0]);
    });
  }

  it("of a GET whose body is empty: it goes on", async (t) => {
    const { client } = await start(t);
    client.send(get("/api", "Content-Length: 0\r\n") + get("/api/next"));
    assertRedirect(await client.response(), "/api/");
    assert.equal((await client.response()).body.toString(), "served");
  });

  for (const [name, request] of [
    ["HTTP/1.0", "GET /api HTTP/1.0\r\n\r\n"],
    ["HTTP/1.0 that would go on", "GET /api HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"],
    ["a client that asks to close", get("/api", "Connection: close\r\n")],
  ]) {
    it(`and ends the connection of ${name}`, async (t) => {
      const { client } = await start(t);
      client.send(request + get("/api/next"));
      const response = await client.response();
      assertRedirect(response, "/api/");
      assert.equal(response.header("connection"), "close");
      await assertClosed(client);
    });
  }

  it("and is the last one where a connection has had its requests", async (t) => {
    const { client } = await start(t, {}, { requestsPerConnectionMax: 2 });
    assertRedirect(await client.ask(get("/api")), "/api/");
    const last = await client.ask(get("/api"));
    assert.equal(last.header("connection"), "close");
    await assertClosed(client);
  });

  it("and ends the connection while the balancer drains", async (t) => {
    const { client, balancer, event } = await start(t, {}, { drainDelayMs: 60_000 });
    assertRedirect(await client.ask(get("/api")), "/api/");
    void balancer.drain();
    await event("draining");
    const response = await client.ask(get("/api"));
    assertRedirect(response, "/api/");
    assert.equal(response.header("connection"), "close");
    await assertClosed(client);
  });
});

describe("the access log of a redirect", () => {
  it("has its route, its status and no node", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "fnlb-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const accessLog = join(folder, "access.log");
    const { client, balancer } = await start(t, { name: "app" }, { accessLog });
    await client.ask(get("/api?q"));
    await balancer.close();
    const line = JSON.parse(readFileSync(accessLog, "utf8")) as Record<string, unknown>;
    const { target, status, route, cluster, node, attempts, endedBy, phase, code } = line;
    assert.deepEqual(
      { target, status, route, cluster, node, attempts, endedBy, phase, code },
      {
        target: "/api?q",
        status: 308,
        route: "app",
        cluster: "app",
        node: null,
        attempts: 0,
        endedBy: "-",
        phase: "redirect",
        code: undefined,
      },
    );
  });
});
