import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { EVENT_STREAMS_DEFAULTS } from "../../src/admin/dashboard/event-streams.js";
import { askAdmin } from "../support/admin-client.js";
import { startBalancer, type TestConfig } from "../support/balancer.js";
import { startFunctionNode } from "../support/function-node.js";
import { startLoad } from "../support/load.js";
import { OpenApiDocument } from "../support/open-api.js";
import { connectClient, type ResponseRead } from "../support/raw-peer.js";
import { resetSocket } from "../support/reset-socket.js";

const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const HOST = "Host: 127.0.0.1\r\n";

async function start(t: TestContext, config: Partial<TestConfig> = {}) {
  const { port: nodePort } = await startFunctionNode(t, { name: "a" });
  const started = await startBalancer(t, { nodes: [nodePort], admin: ADMIN, ...config });
  const address = String(started.balancer.adminAddress);
  return { ...started, address, adminPort: Number(address.split(":")[1]) };
}

const problemOf = (response: ResponseRead) => {
  assert.equal(response.header("content-type"), "application/problem+json");
  return [response.status, response.json().code];
};

/** What is sent on a connection of its own, and what comes back first. */
const MALFORMED: readonly (readonly [string, string | Buffer, number, string])[] = [
  ["bytes of TLS", Buffer.from("16030100c8010000c40303", "hex"), 400, "ERR_BAD_REQUEST"],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "ERR_BAD_REQUEST"],
  ["HTTP/0.9", "GET /healthz\r\n\r\n", 400, "ERR_BAD_REQUEST"],
  ["a version that there is not", `GET /healthz HTTP/3.7\r\n${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
  ["no method", " /healthz HTTP/1.1\r\n\r\n", 400, "ERR_BAD_REQUEST"],
  ["a method that there is not", `BREW /healthz HTTP/1.1\r\n${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
  ["NUL in the target", `GET /healthz\0 HTTP/1.1\r\n${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
  ["NUL in a field", `GET /healthz HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400, "ERR_BAD_REQUEST"],
  ["a space before the colon", `GET /healthz HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, 400, "ERR_BAD_REQUEST"],
  ["a folded field", `GET /healthz HTTP/1.1\r\n X: a\r\n${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
  ["no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400, "ERR_BAD_REQUEST"],
  ["two Hosts", `GET /healthz HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
  [
    "two lengths",
    `POST /v1/log-level HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
    400,
    "ERR_BAD_REQUEST",
  ],
  [
    "a length that is none",
    `POST /v1/log-level HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\na`,
    400,
    "ERR_BAD_REQUEST",
  ],
  [
    "a length and chunks",
    `PUT /v1/log-level HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    "ERR_BAD_REQUEST",
  ],
  [
    "a coding that is none",
    `PUT /v1/log-level HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    400,
    "ERR_BAD_REQUEST",
  ],
  [
    "chunks that are none",
    `PUT /v1/log-level HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
    400,
    "ERR_BAD_REQUEST",
  ],
  ["a head that is too large", `GET /${"x".repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, 431, "ERR_HEAD_TOO_LARGE"],
  ["CONNECT", `CONNECT 127.0.0.1:1 HTTP/1.1\r\n${HOST}\r\n`, 405, "ERR_METHOD"],
  ["an expectation that is none", `GET /healthz HTTP/1.1\r\n${HOST}Expect: cake\r\n\r\n`, 417, "ERR_EXPECTATION"],
  ["an absolute target", `GET http://127.0.0.1/healthz HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a path with a slash too many", `GET //v1/status HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a path with dots", `GET /v1/../v1/status HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a path with a coded slash", `GET /v1%2Fstatus HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a path with a slash behind it", `GET /v1/status/ HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["no path", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a node of NUL", `GET /v1/clusters/default/nodes/%00 HTTP/1.1\r\n${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
  [
    "a node that is half a character",
    `GET /v1/clusters/default/nodes/%C3 HTTP/1.1\r\n${HOST}\r\n`,
    400,
    "ERR_BAD_REQUEST",
  ],
  ["a cluster named by the language", `GET /v1/clusters/__proto__ HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a cluster with a coded slash", `GET /v1/clusters/a%2F..%2Fdefault HTTP/1.1\r\n${HOST}\r\n`, 404, "ERR_NOT_FOUND"],
  ["a query named by the language", `GET /v1/history?__proto__=1 HTTP/1.1\r\n${HOST}\r\n`, 400, "ERR_BAD_REQUEST"],
];

describe("the admin port", () => {
  for (const [what, bytes, status, code] of MALFORMED) {
    it(`answers ${what} with ${status}, and goes on`, async (t) => {
      const { adminPort, address, events } = await start(t);
      const client = await connectClient(t, adminPort);
      assert.deepEqual(problemOf(await client.ask(bytes)), [status, code]);
      assert.equal((await askAdmin(address, "/healthz")).status, 200);
      assert.deepEqual(
        events.filter(({ event }) => event === "admin_failed"),
        [],
      );
    });
  }
});

describe("pipelines to the admin port", () => {
  it("of streams that are dropped give all of their places back", async (t) => {
    const { adminPort, address } = await start(t);
    const { streamsMax } = EVENT_STREAMS_DEFAULTS;
    const client = await connectClient(t, adminPort);
    // The first answer never ends, so that the others wait behind it.
    client.send(`GET /v1/events HTTP/1.1\r\n${HOST}\r\n`.repeat(streamsMax));
    await client.log.until("the first frame", () => client.text.includes("event: status") || undefined);
    const refused = await askAdmin(address, "/v1/events");
    assert.equal(refused.status, 503);
    client.destroy();
    // Its end is seen a moment later.
    for (let opened = 0, tries = 0; opened < streamsMax; tries++) {
      assert.ok(tries < 200, `${opened} places are free`);
      const reader = await connectClient(t, adminPort);
      reader.send(`GET /v1/events HTTP/1.1\r\n${HOST}\r\n`);
      await reader.log.until("an answer", () => reader.text.includes("\r\n\r\n") || undefined);
      if (reader.text.startsWith("HTTP/1.1 200")) opened++;
      else reader.destroy();
    }
  });

  it("are answered in order, each once", async (t) => {
    const { adminPort } = await start(t);
    const client = await connectClient(t, adminPort);
    const paths = ["/healthz", "/v1/status", "/nothing", "/v1/nodes", "/v1/clusters/none", "/readyz"];
    client.send(paths.map((path) => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`).join(""));
    const statuses = [];
    for (const _ of paths) statuses.push((await client.response()).status);
    assert.deepEqual(statuses, [200, 200, 404, 200, 404, 200]);
  });

  it("with rubbish behind a stream end it, and write nothing into it", async (t) => {
    const { adminPort } = await start(t);
    const client = await connectClient(t, adminPort);
    client.send(`GET /v1/events HTTP/1.1\r\n${HOST}\r\n`);
    await client.log.until("the first frame", () => client.text.includes("event: status") || undefined);
    client.send("\x16\x03 rubbish\r\n\r\n");
    await client.log.until("the end", () => client.log.hasEnded || client.log.isClosed || undefined);
    assert.ok(!client.text.includes("HTTP/1.1 400"), client.text.slice(-300));
  });
});

interface Asked {
  readonly path: string;
  readonly method: string;
}

/** Each path of the document and each file of the dashboard, with names that there are. */
async function placesOf(address: string, node: string): Promise<readonly Asked[]> {
  const document = new OpenApiDocument((await askAdmin(address, "/v1/openapi.json")).json);
  const listener = encodeURIComponent("127.0.0.1:1");
  const fill = (path: string) =>
    path.replace("{cluster}", "default").replace("{node}", encodeURIComponent(node)).replace("{listener}", listener);
  return document.operations.map(({ path, method }) => ({ path: fill(path), method }));
}

describe("every route of the admin port", () => {
  it("answers HEAD as GET without its body, and OPTIONS and other methods with what may be asked", async (t) => {
    const { address, config, events } = await start(t);
    const places = await placesOf(address, config.nodes[0].id);
    const paths = [...new Set(places.map(({ path }) => path))];
    assert.ok(paths.length > 15);
    for (const path of paths) {
      const methods = places.filter((place) => place.path === path).map(({ method }) => method);
      const options = await askAdmin(address, path, { method: "OPTIONS" });
      assert.equal(options.status, 204, path);
      const allowed = String(options.headers.allow).split(", ");
      assert.deepEqual(
        [...allowed].sort(),
        [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].sort(),
        path,
      );
      for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"]) {
        if (allowed.includes(method)) continue;
        const { status, headers } = await askAdmin(address, path, { method });
        assert.deepEqual([status, headers.allow], [405, allowed.join(", ")], `${method} ${path}`);
      }
      if (!methods.includes("GET")) continue;
      const head = await askAdmin(address, path, { method: "HEAD" });
      const query = path === "/v1/explain" ? "?url=/a" : "";
      if (query !== "" || path === "/v1/events") continue;
      const got = await askAdmin(address, path);
      assert.deepEqual([head.status, head.text], [got.status, ""], path);
      assert.equal(head.headers["content-type"], got.headers["content-type"], path);
    }
    assert.deepEqual(
      events.filter(({ event }) => event === "admin_failed"),
      [],
    );
  });

  it("answers whatever is accepted with what it has", async (t) => {
    const { address } = await start(t);
    for (const accept of [
      "",
      "*/*",
      "text/html",
      "text/plain;q=0",
      "application/openmetrics-text;q=banana",
      ",,;;",
      "x".repeat(9000),
    ]) {
      const { status } = await askAdmin(address, "/metrics", { headers: { accept } });
      assert.equal(status, 200, accept.slice(0, 50));
      assert.equal((await askAdmin(address, "/v1/status", { headers: { accept } })).status, 200);
    }
    const compressed = { headers: { "accept-encoding": "gzip" } };
    const head = await askAdmin(address, "/metrics", { method: "HEAD", ...compressed });
    assert.deepEqual([head.headers["content-encoding"], head.text], ["gzip", ""]);
  });
});

describe("the traffic", () => {
  it("hears nothing of a thousand quick connections to the admin port, which lives", async (t) => {
    const { port, address, adminPort, balancer } = await start(t, { adminConnectionsMax: 8 });
    const load = await startLoad(t, [port]);
    const says = [
      "",
      "GET ",
      "\0\0\0\0",
      `GET /healthz HTTP/1.1\r\n${HOST}\r\n`,
      `PUT /v1/log-level HTTP/1.1\r\n${HOST}Content-Length: 9\r\n\r\n{`,
      `GET /v1/events HTTP/1.1\r\n${HOST}\r\n`,
    ];
    for (let round = 0; round < 20; round++) {
      const sockets = await Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          const socket = connect(adminPort, "127.0.0.1");
          socket.on("error", () => {});
          await new Promise<void>((resolve) => {
            socket.once("connect", resolve);
            socket.once("close", () => resolve());
          });
          socket.write(says[index % says.length]);
          return socket;
        }),
      );
      for (const [index, socket] of sockets.entries()) {
        if (index % 2 === 0) resetSocket(socket);
        else socket.destroy();
      }
    }
    let status = 503;
    for (let tries = 0; tries < 500 && status !== 200; tries++) {
      ({ status } = await askAdmin(address, "/healthz").catch(() => ({ status: 0 })));
    }
    assert.equal(status, 200);
    await load.served(port);
    await load.stop();
    assert.deepEqual(load.lost, []);
    assert.ok(balancer.snapshot().counters.adminRequests > 0);
  });
});
