import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createBalancer } from "../../src/balancer.js";
import type { AdminAddress } from "../../src/config/admin.js";
import type { Config } from "../../src/config/config.js";
import { type AdminQuestion, type AdminResponse, askAdmin, codeOf } from "../support/admin-client.js";
import {
  DEFAULTS,
  type FlatConfig,
  localNode,
  oneCluster,
  startBalancer,
  type TestConfig,
} from "../support/balancer.js";
import { certificateFiles, createAuthority } from "../support/certificates.js";
import { type FunctionNode, startFunctionNode, startFunctionNodes } from "../support/function-node.js";
import { startGatedNode } from "../support/gated-node.js";
import { makeDirectory, runProgram } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";

const ADMIN = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async function start(t: TestContext, config: Partial<TestConfig> = {}) {
  const { port } = await startFunctionNode(t, { name: "a" });
  const started = await startBalancer(t, { nodes: [port], admin: ADMIN, ...config });
  const ask = (path: string, question?: AdminQuestion): Promise<AdminResponse> =>
    askAdmin(started.balancer.adminAddress, path, question);
  return { ...started, ask };
}

const statusOf = ({ json }: AdminResponse) => (json as { readonly status: string }).status;

/** A connection that says this and waits. */
function hold(t: TestContext, port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  return new Promise((resolve) => socket.once("connect", () => socket.write(bytes, () => resolve(socket))));
}

describe("the admin listener", () => {
  it("is off unless somebody wants it", async (t) => {
    const { balancer, events } = await start(t, { admin: { kind: "off" } });
    assert.equal(balancer.adminAddress, undefined);
    assert.ok(!events.some(({ event }) => event.startsWith("admin_")));
  });

  it("is not where the traffic is, and the traffic not where it is (FB13)", async (t) => {
    const { port, ask } = await start(t);
    const client = await connectClient(t, port);
    for (const path of ["/v1/status", "/metrics", "/healthz", "/readyz", "/v1/openapi.json"]) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const { status, body } = await client.response();
      const { node, target } = JSON.parse(body.toString()) as { readonly node: string; readonly target: string };
      assert.deepEqual([status, node, target], [200, "a", path]);
    }
    const other = await ask("/anything/else");
    assert.deepEqual([other.status, other.headers["content-type"]], [404, "application/problem+json"]);
  });

  it("listens on a unix socket of its user's, and replaces one that was left behind", async (t) => {
    const path = join(makeDirectory(t), "admin.sock");
    const admin: AdminAddress = { kind: "unix", path };
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", "127.0.0.1:1", "--admin", `unix:${path}`]);
    assert.equal((await program.event("admin_listening")).address, `unix:${path}`);
    program.signal("SIGKILL");
    await program.ended();
    assert.ok(statSync(path).isSocket());
    const { balancer, ask } = await start(t, { admin });
    assert.equal(balancer.adminAddress, `unix:${path}`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal((await ask("/v1/status", { headers: { host: "anything" } })).status, 200);
    // One that somebody listens on is not touched.
    const second = createBalancer(balancerConfig({ admin }), { log: { debug() {}, info() {}, warn() {}, error() {} } });
    await assert.rejects(second.listen(), { code: "ERR_LISTEN" });
    assert.equal((await ask("/healthz")).status, 200);
    await balancer.close();
    assert.throws(() => statSync(path), { code: "ENOENT" });
  });

  it("listens on IPv6", async (t) => {
    const { balancer, ask } = await start(t, { admin: { kind: "tcp", host: "::1", port: 0 } });
    assert.match(balancer.adminAddress ?? "", /^\[::1\]:\d+$/);
    assert.equal((await ask("/v1/status")).status, 200);
  });

  it("fails the start where it cannot listen, and leaves nothing open", async (t) => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    t.after(() => taken.close());
    const { port } = taken.address() as { readonly port: number };
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const first = createBalancer(balancerConfig({ admin: { ...ADMIN, port } }), { log });
    await assert.rejects(first.listen(), { code: "ERR_LISTEN", message: /admin/ });
    // The other way round the admin API is closed again.
    const listeners = [{ address: { ...ADMIN, port }, proxyProtocol: false }];
    const second = createBalancer(balancerConfig({ admin: ADMIN, listeners }), { log });
    await assert.rejects(second.listen(), { code: "ERR_LISTEN" });
    assert.equal(second.adminAddress, undefined);
    const file = join(makeDirectory(t), "folder", "access.log");
    const third = createBalancer(balancerConfig({ admin: ADMIN, accessLog: file }), { log });
    await assert.rejects(third.listen(), { code: "ERR_OPTION" });
    assert.equal(third.adminAddress, undefined);
  });
});

function balancerConfig(config: Partial<FlatConfig>): Config {
  return oneCluster({ ...DEFAULTS, nodes: [localNode(1)], ...config });
}

describe("readiness", () => {
  it("is starting until the listeners are open", async (t) => {
    const node = await startGatedNode(t);
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    // The first verdict of a check is waited for.
    const config = balancerConfig({ nodes: [localNode(node.port)], admin: ADMIN, checkPath: "/health" });
    const balancer = createBalancer(config, { log });
    t.after(() => balancer.close());
    const listening = balancer.listen();
    const call = await node.next();
    const early = await askAdmin(balancer.adminAddress, "/readyz");
    assert.deepEqual([early.status, statusOf(early)], [503, "starting"]);
    const status = (await askAdmin(balancer.adminAddress, "/v1/status")).json as Record<string, unknown>;
    assert.deepEqual([status.state, status.startedAt, status.ready, status.listeners], ["starting", null, false, []]);
    const edit = await askAdmin(balancer.adminAddress, "/v1/clusters/default/nodes", {
      method: "POST",
      body: { node: "a:1" },
    });
    assert.deepEqual([edit.status, codeOf(edit)], [503, "ERR_DRAINING"]);
    call.answer();
    await listening;
    assert.equal(statusOf(await askAdmin(balancer.adminAddress, "/readyz")), "ready");
  });

  it("ends with the drain, and the admin API stays until that is over", async (t) => {
    const node = await startGatedNode(t);
    const { balancer, port } = await startBalancer(t, { nodes: [node.port], admin: ADMIN });
    const address = balancer.adminAddress;
    const client = await connectClient(t, port);
    client.send(GET);
    const call = await node.next();
    const drained = balancer.drain();
    const late = await askAdmin(address, "/readyz");
    assert.deepEqual([late.status, statusOf(late)], [503, "draining"]);
    assert.equal((await askAdmin(address, "/healthz")).status, 200);
    assert.equal(((await askAdmin(address, "/v1/status")).json as { readonly state: string }).state, "draining");
    call.answer();
    assert.equal((await client.response()).status, 200);
    assert.deepEqual(await drained, { cut: 0 });
    assert.equal(balancer.adminAddress, undefined);
    await assert.rejects(askAdmin(address, "/healthz"), { code: "ECONNREFUSED" });
  });

  it("is lost with the last node, with the last listener that is open, and comes back", async (t) => {
    const { ask, addresses, config } = await start(t);
    const ready = async () => {
      const response = await ask("/readyz");
      return [response.status, statusOf(response)];
    };
    const node = `/v1/clusters/default/nodes/${encodeURIComponent(config.nodes[0].id)}`;
    const listener = `/v1/listeners/${encodeURIComponent(addresses[0])}`;
    const steps: readonly (readonly [string, unknown, readonly unknown[]])[] = [
      [node, { mode: "draining" }, [503, "no-node-alive"]],
      [node, { mode: "active" }, [200, "ready"]],
      [listener, { state: "paused" }, [503, "paused"]],
      [listener, { state: "open" }, [200, "ready"]],
    ];
    for (const [path, body, expected] of steps) {
      assert.equal((await ask(path, { method: "PATCH", body })).status, 200);
      assert.deepEqual(await ready(), expected, JSON.stringify(body));
    }
  });
});

describe("a reload", () => {
  it("opens another admin address before it closes the old one, and both with the rest or not at all", async (t) => {
    const { balancer, ask, config, event } = await start(t);
    const before = balancer.adminAddress;
    const next = (changes: Partial<FlatConfig>) => oneCluster({ ...config, ...changes });
    const running = await ask("/v1/config");
    assert.equal(running.status, 200);
    // The address of the traffic is taken by somebody else: the admin address, which could be opened, is given up.
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    t.after(() => taken.close());
    const { port } = taken.address() as { readonly port: number };
    const path = join(makeDirectory(t), "admin.sock");
    const admin: AdminAddress = { kind: "unix", path };
    const listeners = [{ address: { ...ADMIN, port }, proxyProtocol: false }];
    await assert.rejects(balancer.reload(next({ admin, listeners })), { code: "ERR_LISTEN" });
    assert.throws(() => statSync(path), { code: "ENOENT" });
    assert.equal(balancer.adminAddress, before);
    await assert.rejects(balancer.reload(next({ admin: { ...ADMIN, port } })), { code: "ERR_LISTEN" });
    assert.equal((await ask("/healthz")).status, 200);

    await balancer.reload(next({ admin }));
    assert.equal(balancer.adminAddress, `unix:${path}`);
    assert.equal((await event("admin_closed")).address, before);
    assert.equal((await ask("/healthz")).status, 200);
    await assert.rejects(askAdmin(before, "/healthz"), { code: "ECONNREFUSED" });
    await balancer.reload(next({ admin: { kind: "off" } }));
    assert.equal(balancer.adminAddress, undefined);
    assert.throws(() => statSync(path), { code: "ENOENT" });
    await balancer.reload(next({ admin }));
    assert.equal((await ask("/healthz")).status, 200);
  });

  it("takes other certificates for the same address, but not TLS where there was none", async (t) => {
    const files = certificateFiles(t);
    const [one, other] = [createAuthority(), createAuthority()];
    const pairOf = (name: string, authority: typeof one) => {
      const { certFile, keyFile } = files.writePair(name, authority.issue({ ips: ["127.0.0.1"] }));
      return { adminTlsCertFile: certFile, adminTlsKeyFile: keyFile };
    };
    const path = join(makeDirectory(t), "admin.sock");
    const admin: AdminAddress = { kind: "unix", path };
    const { balancer, ask, config } = await start(t, { admin, ...pairOf("one", one) });
    const trust = ({ cert }: typeof one) => ({ tls: { ca: cert, host: "127.0.0.1", servername: "" } });
    assert.equal((await ask("/healthz", trust(one))).status, 200);
    await balancer.reload(oneCluster({ ...config, ...pairOf("other", other) }));
    assert.equal((await ask("/healthz", trust(other))).status, 200);
    await assert.rejects(ask("/healthz", trust(one)));
    const plain = { adminTlsCertFile: "", adminTlsKeyFile: "" };
    await assert.rejects(balancer.reload(oneCluster({ ...config, ...plain })), {
      code: "ERR_OPTION",
      message: /"admin"/,
    });
    assert.equal((await ask("/healthz", trust(other))).status, 200);
  });
});

describe("the limits of the admin API", () => {
  it("are for connections: one too many gets 503 and is closed", async (t) => {
    const { balancer, ask } = await start(t, { adminConnectionsMax: 3 });
    const port = Number(balancer.adminAddress?.split(":")[1]);
    const held = [];
    // Some have said nothing, some half of something.
    for (const bytes of ["", "GET /healthz HT", "POST /v1/log-level HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"])
      held.push(await hold(t, port, bytes));
    const refused = await ask("/v1/listeners");
    assert.deepEqual([refused.status, codeOf(refused), refused.headers.connection], [503, "ERR_AT_CAPACITY", "close"]);
    assert.equal(balancer.snapshot().counters.adminConnectionsRefusedByLimit, 1);
    held[0].destroy();
    // Its end is seen a moment later.
    let status = 503;
    for (let tries = 0; tries < 100 && status === 503; tries++) ({ status } = await ask("/v1/listeners"));
    assert.equal(status, 200);
  });

  it("are for bodies and heads", async (t) => {
    const { ask, balancer } = await start(t);
    const path = "/v1/clusters/default/nodes";
    const body = (bytes: number) => {
      const rest = '{"node":"127.0.0.1:1"}';
      return `${rest}${" ".repeat(bytes - rest.length)}`;
    };
    const at = await ask(path, { method: "POST", body: body(65_536) });
    assert.equal(at.status, 201);
    const over = await ask(path, { method: "POST", body: body(65_537) });
    assert.deepEqual([over.status, codeOf(over)], [413, "ERR_BODY_TOO_LARGE"]);
    // Much larger, and without a length: the answer arrives all the same, for the rest is read and forgotten.
    const begin = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`;
    const chunk = `${(900_000).toString(16)}\r\n${"x".repeat(900_000)}\r\n0\r\n\r\n`;
    const client = await connectClient(t, Number(balancer.adminAddress?.split(":")[1]));
    client.send(`${begin}Transfer-Encoding: chunked\r\n\r\n${chunk}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal((await client.response()).status, 413);
    assert.equal((await client.response()).status, 200);
    // Nobody may say two lengths.
    client.send(`${begin}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`);
    assert.equal((await client.response()).status, 400);
    const head = await ask("/healthz", { headers: { "x-large": "x".repeat(17_000) } });
    assert.deepEqual([head.status, codeOf(head)], [431, "ERR_HEAD_TOO_LARGE"]);
    assert.equal((await ask("/healthz", { headers: { "x-large": "x".repeat(15_000) } })).status, 200);
  });

  it("are for its end: whoever is slow does not hold it up", async (t) => {
    const { balancer } = await start(t);
    const port = Number(balancer.adminAddress?.split(":")[1]);
    const held = [];
    for (const bytes of ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
      held.push(await hold(t, port, bytes));
    const ends = held.map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())));
    await balancer.close();
    for (const socket of held) socket.resume();
    await Promise.all(ends);
  });
});

describe("the metrics of the admin API", () => {
  it("come in the format that is asked for, compressed where that is wished", async (t) => {
    const { ask } = await start(t);
    const plain = await ask("/metrics");
    assert.equal(plain.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert.match(plain.text, /^fnlb_admin_requests_total 1$/m);
    assert.match(plain.text, /^fnlb_build_info\{version="\d+\.\d+\.\d+"/m);
    const open = await ask("/metrics", { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
    assert.match(String(open.headers["content-type"]), /^application\/openmetrics-text/);
    assert.match(open.text, /# EOF\n$/);
    const { gunzipSync } = await import("node:zlib");
    const gzipped = await ask("/metrics", { headers: { "accept-encoding": "br;q=1, gzip;q=0.5" } });
    assert.deepEqual([gzipped.headers["content-encoding"], gzipped.headers.vary], ["gzip", "accept-encoding"]);
    assert.match(gunzipSync(gzipped.bytes).toString(), /^fnlb_admin_requests_total 3$/m);
    for (const encoding of ["identity", "gzip;q=0", "br"]) {
      const { headers } = await ask("/metrics", { headers: { "accept-encoding": encoding } });
      assert.equal(headers["content-encoding"], undefined, encoding);
    }
    const head = await ask("/metrics", { method: "HEAD" });
    assert.deepEqual([head.status, head.text], [200, ""]);
    assert.ok(Number(head.headers["content-length"]) > 1000);
  });
});

describe("nodes that are changed over the admin API under load", () => {
  it("are added, drained, disabled and removed without one failed request", async (t) => {
    const nodes: readonly FunctionNode[] = await startFunctionNodes(t, 3);
    const { balancer, port } = await startBalancer(t, { nodes: [nodes[0].port], admin: ADMIN });
    const path = (node: FunctionNode) => `/v1/clusters/default/nodes/${encodeURIComponent(`127.0.0.1:${node.port}`)}`;
    const change = async (node: FunctionNode, method: string, body?: unknown) => {
      const { status, text } = await askAdmin(balancer.adminAddress, path(node), { method, body });
      assert.ok(status < 300, text);
    };
    let isOver = false;
    const statuses = new Map<number, number>();
    const clients = await Promise.all(Array.from({ length: 4 }, () => connectClient(t, port)));
    const load = clients.map(async (client, index) => {
      for (let count = 0; !isOver; count++) {
        client.send(`GET /${index}/${count} HTTP/1.1\r\nHost: x\r\n\r\n`);
        const { status } = await client.response();
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    for (let round = 0; round < 5; round++) {
      await change(nodes[1], "PUT", { weight: 2 });
      await change(nodes[2], "PUT", {});
      await change(nodes[0], "PATCH", { mode: "draining" });
      await change(nodes[1], "PATCH", { mode: "disabled" });
      await change(nodes[1], "DELETE");
      await change(nodes[0], "PATCH", { mode: "active" });
      await change(nodes[2], "DELETE");
    }
    isOver = true;
    await Promise.all(load);
    assert.deepEqual([...statuses.keys()], [200]);
    assert.ok(nodes.every(({ calls }) => calls.length > 0));
  });
});

describe("fnlb", () => {
  it("refuses certificates of the admin API that it cannot read, when it checks and when it starts", async (t) => {
    const missing = ["--admin", "127.0.0.1:0", "--admin-tls-cert", join(makeDirectory(t), "none.pem")];
    for (const command of [["check"], ["--listen", "127.0.0.1:0"]]) {
      const program = runProgram(t, [...command, ...missing]);
      assert.equal(await program.ended(), 2);
      assert.match(program.stderr.text, /usage error: .*none\.pem/);
    }
  });

  it("shows where each option comes from, and changes its log level", async (t) => {
    const directory = makeDirectory(t);
    const file = join(directory, "fnlb.yaml");
    writeFileSync(file, "listen: 127.0.0.1:0\nclusters:\n  a:\n    nodes: 127.0.0.1:1\n    spread: 2\n");
    const program = runProgram(t, [
      "--config",
      file,
      "--admin",
      "127.0.0.1:0",
      "--admin-token",
      "a-token-for-this-test",
    ]);
    const address = String((await program.event("admin_listening")).address);
    await program.addresses();
    const headers = { authorization: "Bearer a-token-for-this-test" };
    const { options, clusters } = (await askAdmin(address, "/v1/config", { headers })).json as {
      readonly options: Readonly<Record<string, unknown>>;
      readonly clusters: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
    assert.deepEqual(options["admin-token"], { value: "(secret)", from: "--admin-token" });
    assert.deepEqual(options.listen, { value: ["127.0.0.1:0"], from: `${file}:1:9` });
    assert.deepEqual(options.tunnels, { value: 10_000, from: "default" });
    assert.deepEqual(clusters.a.spread, { value: 2, from: `${file}:5:13` });
    assert.deepEqual(clusters.a.nodes, { value: ["127.0.0.1:1"], from: `${file}:4:12` });
    writeFileSync(file, "listen: 127.0.0.1:0\nclusters:\n  a:\n    nodes: 127.0.0.1:1\n    spread: 3\n");
    const level = (body?: unknown) =>
      askAdmin(address, "/v1/log-level", { headers, ...(body === undefined ? {} : { method: "PUT", body }) });
    assert.deepEqual((await level()).json, { level: "info" });
    assert.deepEqual((await level({ level: "debug" })).json, { result: "applied", level: "debug" });
    assert.equal((await program.event("admin_change")).action, "setLogLevel");
    assert.deepEqual((await level()).json, { level: "debug" });
    program.signal("SIGHUP");
    await program.event("reloaded");
    // As the config says.
    assert.deepEqual((await level()).json, { level: "info" });
    const after = (await askAdmin(address, "/v1/config", { headers })).json as typeof clusters;
    assert.deepEqual((after.clusters as unknown as typeof clusters).a.spread, { value: 3, from: `${file}:5:13` });
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });
});
