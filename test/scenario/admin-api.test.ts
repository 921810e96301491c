import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import type { LogLevelDial } from "../../src/core/log.js";
import { FnlbError } from "../../src/errors.js";
import { memoryStore } from "../../src/store/memory-store.js";
import type { Store } from "../../src/store/store.js";
import { systemClock } from "../../src/system/clock.js";
import { type AdminQuestion, type AdminResponse, askAdmin, codeOf } from "../support/admin-client.js";
import { startBalancer, type TestBalancer } from "../support/balancer.js";
import { startFunctionNodes } from "../support/function-node.js";
import { OpenApiDocument, type Operation } from "../support/open-api.js";

const TOKEN = "a-token-for-this-test";
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };
const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;

interface Administered extends TestBalancer {
  readonly ask: (path: string, question?: AdminQuestion) => Promise<AdminResponse>;
  readonly document: OpenApiDocument;
  /** Ids of the nodes that are there, and of one that is not. */
  readonly nodes: readonly string[];
  readonly spare: string;
}

/** A balancer in front of two nodes, with an admin API that wants a token. */
async function start(
  t: TestContext,
  dependencies: { logLevel?: LogLevelDial; store?: Store } = {},
): Promise<Administered> {
  const [a, b, c] = (await startFunctionNodes(t, 3)).map(({ port }) => port);
  const started = await startBalancer(t, { nodes: [a, b], admin: ADMIN, adminToken: TOKEN }, dependencies);
  const ask: Administered["ask"] = (path, question = {}) =>
    askAdmin(started.balancer.adminAddress, path, { ...question, headers: { ...AUTHORIZED, ...question.headers } });
  const document = new OpenApiDocument((await ask("/v1/openapi.json")).json);
  return { ...started, ask, document, nodes: [a, b].map((port) => `127.0.0.1:${port}`), spare: `127.0.0.1:${c}` };
}

/** The path of an operation with these parts. */
function pathOf({ path }: Operation, params: Readonly<Record<string, string>>): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name]));
}

/** A request to each operation that succeeds, in an order in which they can be made, and the statuses it may get. */
function examplesFor({ nodes, spare, addresses }: Administered): Readonly<
  Record<
    string,
    {
      readonly params?: Record<string, string>;
      readonly query?: string;
      readonly body?: unknown;
      readonly status: number;
      /** Instead of the query, to ask for what there is not. */
      readonly unknownQuery?: string;
      /** Of a body without an end: how far it is read. */
      readonly until?: string;
    }
  >
> {
  const there = { cluster: "default", node: nodes[0] };
  return {
    getHealth: { status: 200 },
    getReadiness: { status: 200 },
    getMetrics: { status: 200 },
    getStatus: { status: 200 },
    listClusters: { status: 200 },
    getCluster: { params: there, status: 200 },
    getRing: { params: there, query: "?sectors=12", status: 200 },
    listNodes: { status: 200 },
    listNodesOfCluster: { params: there, status: 200 },
    getNode: { params: there, status: 200 },
    addNode: { params: there, body: { node: spare, weight: 2, mode: "draining" }, status: 201 },
    setNode: { params: { ...there, node: spare }, body: { weight: 3 }, status: 200 },
    changeNode: { params: there, body: { weight: null, mode: "active" }, status: 200 },
    listEdits: { params: there, status: 200 },
    forgetNode: { params: there, status: 200 },
    resetNode: { params: there, status: 200 },
    markNodeAlive: { params: there, status: 200 },
    removeNode: { params: { ...there, node: spare }, status: 200 },
    listListeners: { status: 200 },
    changeListener: { params: { listener: addresses[0] }, body: { state: "paused" }, status: 200 },
    listRoutes: { status: 200 },
    explain: {
      query: "?url=http%3A%2F%2Fa%2Fb%3Fc&method=POST&header=Cookie%3A+a%3Db&header=X:y&client=10.0.0.9",
      status: 200,
    },
    getConfig: { status: 200 },
    getLogLevel: { status: 200 },
    setLogLevel: { body: { level: "debug" }, status: 200 },
    getHistory: { query: "?cluster=default", unknownQuery: "?cluster=other", status: 200 },
    getEvents: { until: "event: status", status: 200 },
    getOpenApi: { status: 200 },
  };
}

const HELD = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

describe("the OpenAPI document", () => {
  it("describes what every operation answers, whatever is asked of it", async (t) => {
    const dial: LogLevelDial = { level: "info" };
    const admin = await start(t, { logLevel: dial });
    const { document, ask, balancer } = admin;
    const examples = examplesFor(admin);
    assert.equal(document.json.openapi, "3.1.0");
    assert.deepEqual(document.operations.map(({ id }) => id).sort(), Object.keys(examples).sort());
    const seen = new Map<string, Set<number>>();
    const check = (operation: Operation, expected: number, response: AdminResponse) => {
      assert.equal(response.status, expected, `${operation.id}: ${response.text}`);
      assert.deepEqual(document.faults(operation, response), []);
      seen.set(operation.id, (seen.get(operation.id) ?? new Set()).add(expected));
      assert.equal(response.headers["cache-control"], "no-store");
      assert.equal(response.headers["x-content-type-options"], "nosniff");
    };
    const byId = new Map(document.operations.map((operation) => [operation.id, operation]));
    for (const [id, { params = {}, query = "", unknownQuery = query, until, body, status }] of Object.entries(
      examples,
    )) {
      const operation = byId.get(id);
      assert.ok(operation !== undefined, id);
      const path = pathOf(operation, params);
      const { method, isPublic, hasBody } = operation;
      check(operation, status, await ask(`${path}${query}`, { method, body, until }));
      check(operation, 400, await ask(`${path}?bogus=1`, { method, body }));
      if (!isPublic) {
        check(operation, 401, await askAdmin(balancer.adminAddress, path, { method, body }));
        check(operation, 403, await ask(path, { method, body, headers: { "sec-fetch-site": "cross-site" } }));
      }
      if (hasBody) {
        check(operation, 400, await ask(path, { method, body: "{" }));
        check(operation, 400, await ask(path, { method, body: { bogus: 1 } }));
        check(operation, 413, await ask(path, { method, body: JSON.stringify({ x: "x".repeat(65_536) }) }));
        check(operation, 415, await ask(path, { method, body, headers: { "content-type": "text/plain" } }));
      } else check(operation, 400, await ask(path, { method, body: {} }));
      if (operation.statuses.includes(404)) {
        const unknown = Object.fromEntries(operation.params.map((name) => [name, "10.9.9.9:1"]));
        const response = await ask(`${pathOf(operation, unknown)}${unknownQuery}`, { method, body });
        check(operation, 404, response);
        assert.equal(codeOf(response), "ERR_NOT_FOUND");
      }
    }
    const add = byId.get("addNode");
    const put = byId.get("setNode");
    assert.ok(add !== undefined && put !== undefined);
    const place = { cluster: "default", node: admin.nodes[0] };
    const conflict = await ask(pathOf(add, place), { method: "POST", body: { node: admin.nodes[0] } });
    check(add, 409, conflict);
    const created = await ask(pathOf(put, { ...place, node: admin.spare }), { method: "PUT", body: {} });
    check(put, 201, created);
    assert.equal((await ask(String(created.headers.location))).status, 200);

    await balancer.reload({ ...configOf(admin), adminConnectionsMax: 1 });
    const held = connect(Number(balancer.adminAddress?.split(":")[1]), "127.0.0.1");
    t.after(() => held.destroy());
    held.write(HELD);
    await new Promise((resolve) => held.once("data", resolve));
    for (const operation of document.operations) {
      const { params = {}, body } = examples[operation.id];
      const response = await ask(pathOf(operation, params), { method: operation.method, body });
      // Probes are answered: it lives, and it is not ready, for its only listener is paused.
      const isProbe = ["getHealth", "getReadiness"].includes(operation.id);
      check(operation, operation.id === "getHealth" ? 200 : 503, response);
      assert.equal(codeOf(response), isProbe ? undefined : "ERR_AT_CAPACITY");
    }
    assert.ok(balancer.snapshot().counters.adminConnectionsRefusedByLimit >= document.operations.length);
    for (const { id, statuses } of document.operations) {
      const rest = statuses.filter((status) => !seen.get(id)?.has(status));
      // Without a log level, which the next test has.
      assert.deepEqual(rest, id.endsWith("LogLevel") ? [501] : [], id);
    }
  });

  it("says that there is no log level where the program has none", async (t) => {
    const { ask, document } = await start(t);
    for (const id of ["getLogLevel", "setLogLevel"]) {
      const operation = document.operations.find((candidate) => candidate.id === id);
      assert.ok(operation !== undefined);
      const body = id === "setLogLevel" ? { level: "info" } : undefined;
      const response = await ask("/v1/log-level", { method: operation.method, body });
      assert.deepEqual([response.status, document.faults(operation, response)], [501, []]);
    }
    assert.equal(((await ask("/v1/status")).json as { readonly logLevel: unknown }).logLevel, null);
  });

  it("leaves no method out: others are refused with the documented ones, and OPTIONS tells them", async (t) => {
    const { ask, document, nodes, addresses } = await start(t);
    const params = { cluster: "default", node: nodes[0], listener: addresses[0] };
    for (const path of new Set(document.operations.map((operation) => operation.path))) {
      const here = document.operations.filter((operation) => operation.path === path);
      const methods = here.map(({ method }) => method);
      const allowed = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].sort();
      const asked = pathOf(here[0], params);
      for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"]) {
        if (allowed.includes(method)) continue;
        const { status, headers } = await ask(asked, { method });
        assert.deepEqual([status, String(headers.allow).split(", ").sort()], [405, allowed], `${method} ${path}`);
      }
      const { status, headers, text } = await ask(asked, { method: "OPTIONS" });
      assert.deepEqual([status, text, String(headers.allow).split(", ").sort()], [204, "", allowed]);
    }
  });

  it("refuses what is not in it", async (t) => {
    const { ask, nodes } = await start(t);
    const id = encodeURIComponent(nodes[0]);
    for (const path of [
      "/index.html",
      "/v1",
      "/v1/",
      "/v1/status/",
      "//v1/status",
      "/V1/status",
      "/%761/status",
      "/v1/clusters//nodes",
      "/v1/clusters/default/nodes/",
      `/v1/clusters/default/nodes/${id}/drain`,
      "/1/lb/nodes",
      "/backend/list",
    ]) {
      const response = await ask(path);
      assert.deepEqual([response.status, codeOf(response)], [404, "ERR_NOT_FOUND"], path);
      assert.equal(response.headers["content-type"], "application/problem+json");
    }
  });
});

/** The config that a balancer of `start` runs with. */
function configOf({ config }: TestBalancer) {
  const route = { name: "default", hosts: [], path: "/", isExact: false, methods: [], headers: [] };
  return {
    ...config,
    clusters: [{ ...config, name: "default" }],
    routes: [{ ...route, cluster: "default", stripsPrefix: false, redirectsSlash: false }],
  };
}

describe("a malformed request", () => {
  const NODES = "/v1/clusters/default/nodes";

  it("is told which field is at fault", async (t) => {
    const { ask, nodes } = await start(t, { logLevel: { level: "info" } });
    const node = `${NODES}/${encodeURIComponent(nodes[0])}`;
    const rows: readonly (readonly [method: string, path: string, body: unknown, pointer: string])[] = [
      ["POST", NODES, "", ""],
      ["POST", NODES, "[]", ""],
      ["POST", NODES, "null", ""],
      ["POST", NODES, '{"node":"a:80"} x', ""],
      ["POST", NODES, {}, "/node"],
      ["POST", NODES, { node: 1 }, "/node"],
      ["POST", NODES, { node: "" }, "/node"],
      ["POST", NODES, { node: "a:80:90" }, "/node"],
      ["POST", NODES, { node: "ftp://a" }, "/node"],
      ["POST", NODES, { node: "a".repeat(2049) }, "/node"],
      ["POST", NODES, { node: "a:80", weight: "2" }, "/weight"],
      ["POST", NODES, { node: "a:80", weight: null }, "/weight"],
      ["POST", NODES, { node: "a:80", weight: -1 }, "/weight"],
      ["POST", NODES, { node: "a:80", weight: 1001 }, "/weight"],
      ["POST", NODES, { node: "a:80", mode: "away" }, "/mode"],
      ["POST", NODES, { node: "a:80", "a/b~c": 1 }, "/a~1b~0c"],
      ["PATCH", node, {}, ""],
      ["PATCH", node, { weight: [1] }, "/weight"],
      ["PATCH", node, { presence: "removed" }, "/presence"],
      ["PUT", node, { node: "a" }, "/node"],
      ["PUT", "/v1/log-level", { level: "loud" }, "/level"],
    ];
    for (const [method, path, body, pointer] of rows) {
      const response = await ask(path, { method, body });
      const problem = response.json as Readonly<Record<string, unknown>>;
      assert.deepEqual(
        [response.status, problem.code, problem.pointer],
        [400, "ERR_BAD_REQUEST", pointer],
        `${JSON.stringify(body)}: ${response.text}`,
      );
      assert.match(String(problem.detail), /must/);
    }
    const notUtf8 = await ask(NODES, { method: "POST", body: '{"node":"\u00ff"}' });
    assert.equal(notUtf8.status, 400);
  });

  it("is told in which cluster there is no such node, whatever it wanted of it", async (t) => {
    const { ask } = await start(t);
    const path = `${NODES}/nowhere%3A1`;
    for (const [method, action, body] of [
      ["GET", "", undefined],
      ["DELETE", "", undefined],
      ["PATCH", "", '{"weight":1}'],
      ["POST", "/reset", undefined],
      ["POST", "/forget", undefined],
    ] as const) {
      const { status, json } = await ask(`${path}${action}`, { method, ...(body === undefined ? {} : { body }) });
      const { detail } = json as { readonly detail: string };
      assert.deepEqual(
        [status, detail],
        [404, 'there is no node "nowhere:1" in cluster "default"'],
        `${method} ${action}`,
      );
    }
  });

  it("is told which parameter is at fault", async (t) => {
    const { ask } = await start(t);
    for (const [path, parameter] of [
      ["/v1/nodes?state=dead", "state"],
      ["/v1/explain", "url"],
      ["/v1/explain?url=/a&url=/b", "url"],
      ["/v1/explain?url=%zz", "url"],
      ["/v1/explain?url=%ff", "url"],
      ["/v1/explain?url=/a&header=x", "header"],
      ["/v1/explain?url=/a&header=:x", "header"],
      ["/v1/explain?url=/a&header=x:%01", "header"],
      ["/v1/explain?url=nonsense", "url"],
      ["/v1/explain?url=/a&method=G%20T", "method"],
      ["/v1/explain?url=/a&client=nobody", "client"],
      ["/v1/clusters/default/ring?sectors=0", "sectors"],
      ["/v1/clusters/default/ring?sectors=4097", "sectors"],
      ["/v1/clusters/default/ring?sectors=1.5", "sectors"],
      ["/v1/clusters/default/ring?sectors=", "sectors"],
      ["/v1/clusters/default/ring?sector=1", "sector"],
      ["/v1/clusters/%zz", "cluster"],
      ["/v1/clusters/default/nodes/%c3%28", "node"],
      ["/v1/clusters/default/nodes/a:80:90", "node"],
    ]) {
      const response = await ask(path);
      const problem = response.json as Readonly<Record<string, unknown>>;
      assert.deepEqual([response.status, problem.parameter], [400, parameter], `${path}: ${response.text}`);
    }
  });

  it("does not end the process, however many there are", async (t) => {
    const { ask, balancer } = await start(t);
    const port = Number(balancer.adminAddress?.split(":")[1]);
    const garbage = [
      "\0\0\0\0\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    ];
    for (let index = 0; index < 100; index++) {
      const answer = await new Promise<string>((resolve) => {
        const socket = connect(port, "127.0.0.1");
        let text = "";
        socket.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        socket.on("error", () => {});
        socket.on("close", () => resolve(text));
        // Half of them hang up in the middle.
        if (index % 2 === 0) socket.write(garbage[(index / 2) % garbage.length]);
        else socket.end("POST /v1/clusters/default/nodes HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
      });
      if (index % 2 === 0)
        assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*problem\+json/, garbage[index % 4]);
    }
    assert.equal((await ask("/healthz")).status, 200);
  });
});

describe("an edit over the admin API", () => {
  it("is idempotent, and says whether it changed anything (W11, W12, FB5, FB6)", async (t) => {
    const { ask, spare, event } = await start(t);
    const path = `/v1/clusters/default/nodes/${encodeURIComponent(spare)}`;
    const told = async (method: string, to: string, body?: unknown) => {
      const { status, json } = await ask(to, { method, body });
      const { result, node } = json as { result?: string; node?: { mode: string; weight: number } };
      return [status, result, node?.mode, node?.weight];
    };
    const rows: readonly (readonly [string, string, unknown, readonly unknown[]])[] = [
      ["PUT", path, { weight: 2 }, [201, "applied", "active", 2]],
      ["PUT", path, { weight: 2 }, [200, "unchanged", "active", 2]],
      ["PATCH", path, { mode: "draining" }, [200, "applied", "draining", 2]],
      ["PATCH", path, { mode: "draining" }, [200, "unchanged", "draining", 2]],
      ["PATCH", path, { mode: "disabled", weight: 0 }, [200, "applied", "disabled", 0]],
      ["PATCH", path, { mode: "active", weight: null }, [200, "applied", "active", 1]],
      ["POST", `${path}/reset`, undefined, [200, "unchanged", "active", 1]],
      ["POST", `${path}/mark-alive`, undefined, [200, "unchanged", "active", 1]],
      ["DELETE", path, undefined, [200, "applied", undefined, undefined]],
      ["DELETE", path, undefined, [200, "unchanged", undefined, undefined]],
      ["PATCH", path, { weight: 1 }, [404, undefined, undefined, undefined]],
    ];
    for (const [method, to, body, expected] of rows) {
      assert.deepEqual(await told(method, to, body), expected, `${method} ${to} ${JSON.stringify(body)}`);
      const { action, actor, client, cluster, node, change, result, code } = await event(
        expected[0] === 404 ? "admin_refused" : "admin_change",
      );
      assert.deepEqual([actor, client, cluster, node, change], ["token", "127.0.0.1", "default", spare, body]);
      assert.deepEqual([result, code], [expected[1], expected[0] === 404 ? "ERR_NOT_FOUND" : undefined]);
      assert.match(String(action), /^(?:setNode|changeNode|resetNode|markNodeAlive|removeNode)$/);
    }
  });

  it("takes an address however it is written, and tells the id", async (t) => {
    const { ask, spare, event } = await start(t);
    const added = await ask("/v1/clusters/default/nodes", { method: "POST", body: { node: `http://${spare}/base/` } });
    assert.deepEqual(
      [added.status, added.headers.location],
      [201, `/v1/clusters/default/nodes/${encodeURIComponent(`${spare}/base`)}`],
    );
    assert.equal((await event("admin_change")).node, `${spare}/base`);
    const shown = await ask(String(added.headers.location));
    assert.equal((shown.json as { readonly id: string }).id, `${spare}/base`);
    const path = `/v1/clusters/default/nodes/${encodeURIComponent(`HTTP://${spare}/base/`)}`;
    assert.equal(((await ask(path)).json as { readonly id: string }).id, `${spare}/base`);
    const changed = await ask(path, { method: "PATCH", body: { weight: 2 } });
    const { node } = changed.json as { readonly node: { readonly id: string; readonly weight: number } };
    assert.deepEqual([node.id, node.weight], [`${spare}/base`, 2]);
    assert.equal((await event("admin_change")).node, `${spare}/base`);
  });

  it("is refused with 503 while the store cannot be asked", async (t) => {
    const store: Store = {
      ...plain(memoryStore({ clock: systemClock })),
      edit: () => Promise.reject(new FnlbError("ERR_STORE", "the store cannot be asked")),
    };
    const { ask, spare, document } = await start(t, { store });
    const response = await ask("/v1/clusters/default/nodes", { method: "POST", body: { node: spare } });
    assert.deepEqual([response.status, codeOf(response), response.headers["retry-after"]], [503, "ERR_STORE", "1"]);
    const add = document.operations.find(({ id }) => id === "addNode");
    assert.ok(add !== undefined);
    assert.deepEqual(document.faults(add, response), []);
  });

  it("may silence the log, and the log says who did", async (t) => {
    const levels: string[] = [];
    let level: LogLevelDial["level"] = "info";
    const dial: LogLevelDial = {
      get level() {
        return level;
      },
      set level(next) {
        levels.push(next);
        level = next;
      },
    };
    const { ask, events } = await start(t, { logLevel: dial });
    const changes = () => events.filter(({ event }) => event === "admin_change").length;
    let before = 0;
    const at: number[] = [];
    dial.level = "info";
    for (const next of ["error", "error", "debug"]) {
      const { json } = await ask("/v1/log-level", { method: "PUT", body: { level: next } });
      assert.deepEqual(json, { result: before === 1 ? "unchanged" : "applied", level: next });
      at.push(changes() - before);
      before = changes();
    }
    assert.deepEqual(
      [levels, at],
      [
        ["info", "error", "debug"],
        [1, 1, 1],
      ],
    );
  });
});

/** The members of an object of a class, bound. */
function plain(store: Store): Store {
  return {
    get state() {
      return store.state;
    },
    sessions: store.sessions,
    run: (signal) => store.run(signal),
    opened: () => store.opened(),
    watch: (cluster, onChange, signal) => store.watch(cluster, onChange, signal),
    read: (cluster) => store.read(cluster),
    edit: (cluster, changes) => store.edit(cluster, changes),
  };
}
