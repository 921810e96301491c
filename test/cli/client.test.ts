import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { AdminClient } from "../../src/cli/remote/admin-client.js";
import { type AdminStub, problem, startAdminStub, stubCluster, stubNode, stubState } from "../support/admin-stub.js";
import { createAuthority } from "../support/certificates.js";
import { runCommand } from "../support/commands.js";
import { makeDirectory, runToEnd } from "../support/program.js";
import { startRawOrigin } from "../support/raw-origin.js";

/** Bytes that came one character each, in UTF-8. */
const decode = (bytes: string) => Buffer.from(bytes, "latin1").toString();

/** What a command prints, in UTF-8. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { code, stdout, stderr } = await runCommand(args, env);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

/** What a command prints that asks the stub. */
function ask(stub: AdminStub, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return run([...args, "--admin", stub.address], env);
}

/** A command that fails in one line, with the exit code 1. */
async function failed(stub: AdminStub, args: readonly string[], reason: string) {
  assert.deepEqual(await ask(stub, args), { code: 1, stdout: "", stderr: `${reason}\n` });
}

const CHANGED = { body: { result: "applied" } };

/** Two clusters with a node in common. */
function twoClusters() {
  return stubState({ clusters: [stubCluster("api"), stubCluster("site", { nodes: 2, serving: 2 })] }, [
    stubNode("a:8080", { cluster: "api" }),
    stubNode("a:8080", { cluster: "site" }),
    stubNode("b:8080", { cluster: "site" }),
  ]);
}

describe("a command that asks a running balancer", () => {
  it("shows its status as aligned text where nobody looks", async (t) => {
    const { address } = await startAdminStub(t);
    // The whole program, as a process: the others run its commands one after the other in one.
    const { code, stdout, stderr } = await runToEnd(t, ["status", "--admin", address]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    assert.equal(
      decode(stdout),
      [
        "fnlb 1.2.3, process 4711: serving, ready, up 2h 3m, store up, fast sockets, log level info",
        "12 connections, 1 exchange, 0 tunnels, 0 queued, 48211 requests",
        "",
        "LISTENER      STATE  SPEAKS",
        "0.0.0.0:8081  open   HTTP",
        "",
        "CLUSTER  POLICY     SERVING  IN FLIGHT  QUEUED  REQUESTS  PROBLEMS     P50      P99",
        "default  ring-hash  1 of 2           0       0     48211         3  840 µs  31.3 ms",
        "",
      ].join("\n"),
    );
  });

  it("says what is wrong with a source of nodes", async (t) => {
    const discovery = { source: "dns:fn:80", trouble: "A fn: ESERVFAIL" };
    const clusters = [
      stubCluster("one", { discovery }),
      stubCluster("two", { discovery: { ...discovery, trouble: null } }),
    ];
    const { stdout } = await ask(await startAdminStub(t, stubState({ clusters })), ["status"]);
    assert.match(stdout, /\ntwo [^\n]+\ndns:fn:80, which names nodes of one: A fn: ESERVFAIL\n$/);
  });

  it("lists nodes, with their clusters where there are several", async (t) => {
    const stub = await startAdminStub(t);
    assert.equal(
      (await ask(stub, ["nodes"])).stdout,
      [
        "NODE           STATE           WEIGHT  IN FLIGHT  CONNECTIONS  ATTEMPTS  FAULTS     P50    P99",
        "10.0.0.1:8080  serving              1          1            4     30120       0  800 µs  30 ms",
        "10.0.0.2:8080  dead, draining     0.5          0            0     18091       7  1.5 ms  1.2 s",
        "",
      ].join("\n"),
    );
    stub.state = twoClusters();
    const { stdout } = await ask(stub, ["nodes"]);
    assert.match(stdout, /^CLUSTER {2}NODE {4}STATE /);
    assert.match(stdout, /\napi {6}a:8080 {2}serving /);
    assert.equal((await ask(stub, ["nodes", "--cluster", "site"])).stdout.split("\n").length, 4);
    assert.equal(stub.calls.at(-1)?.path, "/v1/clusters/site/nodes");
  });

  it("prints exactly what the API says, for machines", async (t) => {
    const stub = await startAdminStub(t);
    const spaced = '{ "nodes": [],  "clusters" : [], "listeners":[], "level": "info" }';
    stub.answer = () => ({ body: spaced });
    for (const command of [["status"], ["nodes"], ["listeners"], ["log-level"], ["route", "/x"]])
      assert.deepEqual(await ask(stub, [...command, "--json"]), { code: 0, stdout: `${spaced}\n`, stderr: "" });
    stub.answer = ({ method }) => (method === "PATCH" ? { body: spaced } : undefined);
    assert.equal((await ask(stub, ["nodes", "enable", "a", "b", "--json"])).stdout, `${spaced}\n${spaced}\n`);
  });

  it("gives nothing that a terminal would obey", async (t) => {
    const stub = await startAdminStub(t, stubState({}, [stubNode("evil\x1b]0;title\x07\r\nnode:80")]));
    const { stdout } = await ask(stub, ["nodes"]);
    assert.match(stdout, /\nevil\ufffd\]0;title\ufffd node:80 /);
    assert.ok([...stdout].every((char) => char === "\n" || char >= " "));
  });

  it("changes nodes, one request each, in one line each", async (t) => {
    const stub = await startAdminStub(t);
    stub.answer = ({ method, path }) => {
      if (method === "GET") return undefined;
      const status = method === "PUT" && !path.endsWith("a%3A7") ? 201 : 200;
      return { status, body: { result: path.endsWith("b%3A8080") ? "unchanged" : "applied" } };
    };
    const rows: readonly (readonly [args: readonly string[], request: readonly unknown[], line: string])[] = [
      [["enable", "a"], ["PATCH", "/a%3A8080", { mode: "active" }], "a:8080: active"],
      [["enable", "b:8080"], ["PATCH", "/b%3A8080", { mode: "active" }], "b:8080: active already"],
      [
        ["disable", "https://a/base"],
        ["PATCH", "/https%3A%2F%2Fa%3A443%2Fbase", { mode: "disabled" }],
        "https://a:443/base: disabled",
      ],
      [["weight", "a=0.5"], ["PATCH", "/a%3A8080", { weight: 0.5 }], "a:8080: weight 0.5"],
      [
        ["weight", "[::1]=config"],
        ["PATCH", "/%5B%3A%3A1%5D%3A8080", { weight: null }],
        "[::1]:8080: weight as in the config",
      ],
      [["reset", "a"], ["POST", "/a%3A8080/reset", undefined], "a:8080: reset"],
      [
        ["mark-alive", "unix:/run/fn.sock"],
        ["POST", "/unix%3A%2Frun%2Ffn.sock/mark-alive", undefined],
        "unix:/run/fn.sock: alive",
      ],
      [["remove", "a"], ["DELETE", "/a%3A8080", undefined], "a:8080: removed"],
      [["remove", "b"], ["DELETE", "/b%3A8080", undefined], "b:8080: removed already"],
      [["drain", "--no-wait", "a"], ["PATCH", "/a%3A8080", { mode: "draining" }], "a:8080: draining"],
      [["add", "a"], ["PUT", "/a%3A8080", {}], "a:8080: added to cluster default"],
      [["add", "a:7=2"], ["PUT", "/a%3A7", { weight: 2 }], "a:7: changed in cluster default"],
      [
        ["add", "a:9=2", "--mode", "disabled"],
        ["PUT", "/a%3A9", { weight: 2, mode: "disabled" }],
        "a:9: added to cluster default",
      ],
    ];
    for (const [args, [method, path, body], line] of rows) {
      assert.deepEqual(await ask(stub, ["nodes", ...args]), { code: 0, stdout: `${line}\n`, stderr: "" });
      const call = stub.calls.at(-1);
      assert.deepEqual([call?.method, call?.path, call?.body], [method, `/v1/clusters/default/nodes${path}`, body]);
    }
  });

  it("does to the others what it cannot do to one, and says so at the end", async (t) => {
    const stub = await startAdminStub(t);
    stub.answer = ({ method, path }) => {
      if (method === "GET") return undefined;
      return path.includes("b%3A") ? problem(404, "ERR_NOT_FOUND", 'cluster "default" has no node "b:8080"') : CHANGED;
    };
    assert.deepEqual(await ask(stub, ["nodes", "disable", "a", "b", "c"]), {
      code: 1,
      stdout: "a:8080: disabled\nc:8080: disabled\n",
      stderr:
        'could not disable node b:8080 of cluster default: 404 ERR_NOT_FOUND: cluster "default" has no node "b:8080"\n',
    });
  });

  it("finds the cluster of a node, or asks for its name", async (t) => {
    const stub = await startAdminStub(t, twoClusters());
    stub.answer = ({ method }) => (method === "GET" ? undefined : CHANGED);
    assert.equal((await ask(stub, ["nodes", "enable", "b"])).stdout, "b:8080: active\n");
    assert.equal(stub.calls.at(-1)?.path, "/v1/clusters/site/nodes/b%3A8080");
    assert.equal((await ask(stub, ["nodes", "enable", "a", "--cluster", "api"])).code, 0);
    assert.equal(stub.calls.at(-1)?.path, "/v1/clusters/api/nodes/a%3A8080");
    await failed(stub, ["nodes", "enable", "z"], "no cluster has a node z:8080: looked in api, site");
    for (const [command, reason] of [
      ["enable", /node a:8080 is in several clusters: name one of api, site with --cluster/],
      ["add", /there are several clusters: name one of api, site with --cluster/],
    ] as const) {
      const { code, stderr } = await ask(stub, ["nodes", command, "a"]);
      assert.equal(code, 2);
      assert.match(stderr, reason);
    }
    assert.ok(stub.calls.every(({ method }, index) => method === "GET" || index < 10));
  });

  it("pauses and resumes listeners, and tells the level of the log", async (t) => {
    const stub = await startAdminStub(t);
    stub.answer = ({ method, path, body }) => {
      if (path === "/v1/log-level")
        return { body: method === "PUT" ? { result: "unchanged", ...(body as object) } : { level: "warn" } };
      return method === "PATCH" ? CHANGED : undefined;
    };
    assert.equal((await ask(stub, ["listeners"])).stdout, "LISTENER      STATE  SPEAKS\n0.0.0.0:8081  open   HTTP\n");
    assert.equal((await ask(stub, ["listeners", "pause", ":8081"])).stdout, "0.0.0.0:8081: paused\n");
    assert.equal(stub.calls.at(-1)?.path, "/v1/listeners/0.0.0.0%3A8081");
    assert.deepEqual(stub.calls.at(-1)?.body, { state: "paused" });
    assert.equal((await ask(stub, ["listeners", "resume", "[::1]:80"])).stdout, "[::1]:80: open\n");
    assert.equal((await ask(stub, ["log-level"])).stdout, "warn\n");
    assert.equal((await ask(stub, ["log-level", "debug"])).stdout, "debug already\n");
    assert.deepEqual(stub.calls.at(-1)?.body, { level: "debug" });
  });

  it("hands a request on to be explained, and shows what comes back", async (t) => {
    const stub = await startAdminStub(t);
    const order = [
      { id: "a:8080", states: ["dead"], isEligible: false, reasons: ["dead"] },
      { id: "b:8080", states: ["serving"], isEligible: true, reasons: [], attempt: 1 },
    ];
    stub.answer = () => ({
      body: {
        source: "live",
        route: "api",
        cluster: "fns",
        policy: "ring-hash",
        key: "/v1",
        keyHash: 77,
        isFixed: true,
        node: "b:8080",
        order,
        notes: ["a note"],
      },
    });
    const { stdout } = await ask(stub, [
      "route",
      "http://h/v1?a=b&c",
      "--method",
      "PUT",
      "--header",
      "X-A: 1",
      "--header",
      "X-B:",
      "--client",
      "::1",
    ]);
    assert.equal(
      stdout,
      [
        "request   PUT http://h/v1?a=b&c",
        "route     api",
        "cluster   fns, ring-hash",
        "key       /v1, hashed to 77",
        "node      b:8080",
        "note      a note",
        "",
        "ATTEMPT  NODE    STATE    PASSED OVER FOR",
        "      -  a:8080  dead     dead",
        "      1  b:8080  serving  -",
        "",
      ].join("\n"),
    );
    const query = new URL(stub.calls[0].path, "http://h").searchParams;
    assert.deepEqual(
      [...query],
      [
        ["url", "http://h/v1?a=b&c"],
        ["method", "PUT"],
        ["header", "X-A: 1"],
        ["header", "X-B:"],
        ["client", "::1"],
      ],
    );
  });
});

describe("a command that cannot do what it was asked", () => {
  it("says in one line what it wanted, and what the server said", async (t) => {
    const stub = await startAdminStub(t);
    const rows = [
      [
        problem(400, "ERR_BAD_REQUEST", "must be at most 1000", { pointer: "/weight" }),
        "400 ERR_BAD_REQUEST: must be at most 1000 (at /weight)",
      ],
      [
        problem(401, "ERR_UNAUTHORIZED", "no token"),
        "401 ERR_UNAUTHORIZED: no token; give the token by --admin-token or FNLB_ADMIN_TOKEN",
      ],
      [problem(404, "ERR_NOT_FOUND", "no such\ncluster"), "404 ERR_NOT_FOUND: no such cluster"],
      [problem(409, "ERR_CONFLICT", "it is there"), "409 ERR_CONFLICT: it is there"],
      [problem(503, "ERR_STORE", "the store is down"), "503 ERR_STORE: the store is down"],
      [{ status: 502, body: "<html>" }, "502"],
      [{ status: 200, body: "<html>" }, `the answer of ${stub.address} is no JSON, is the admin API of fnlb there?`],
    ] as const;
    for (const [answer, reason] of rows) {
      stub.answer = ({ method }) => (method === "PUT" ? answer : undefined);
      await failed(stub, ["nodes", "add", "a"], `could not add node a:8080 to cluster default: ${reason}`);
    }
    stub.answer = () => ({ body: { hello: "world" } });
    await failed(
      stub,
      ["nodes"],
      'could not list the nodes: the answer has no list "nodes", is the admin API of fnlb there?',
    );
  });

  it("says who did not answer", async (t) => {
    const stub = await startAdminStub(t);
    const { address } = stub;
    await stub.stop();
    const refused = `could not get the status: no answer from ${address} (ECONNREFUSED); does fnlb run with --admin there?\n`;
    assert.deepEqual(await run(["status", "--admin", address]), { code: 1, stdout: "", stderr: refused });
    const socket = `unix:${makeDirectory(t)}/none.sock`;
    const { code, stderr } = await run(["nodes", "--admin", socket]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^could not list the nodes: no answer from unix:\S+ \(ENOENT\); does fnlb run with --admin there\?\n$/,
    );
    const broken = createServer((request) => request.socket.destroy());
    await new Promise<void>((resolve) => broken.listen(0, "127.0.0.1", resolve));
    t.after(() => broken.close());
    const server = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
    assert.match(
      (await run(["status", "--server", server])).stderr,
      /^could not get the status: no answer from http:\S+ \(.+\)\n$/,
    );
  });

  it("gives up who is silent, and says that it is time that has run out", async (t) => {
    const silent = await startRawOrigin(t);
    const address = `127.0.0.1:${silent.port}`;
    const admin = new AdminClient({ name: address, origin: `http://${address}` }, { timeoutMs: 50 });
    await assert.rejects(admin.ask({ purpose: "get the status", path: "/v1/status" }), {
      message: `could not get the status: ${address} did not answer in time`,
      status: 0,
    });
    await admin.close();
  });

  it("refuses what cannot be meant before it asks anybody", async (t) => {
    const stub = await startAdminStub(t);
    const rows: readonly (readonly [args: readonly string[], reason: RegExp])[] = [
      [["nodes", "darin", "a"], /Unknown arguments: darin, a; did you mean drain\?/],
      [["nodes", "drain"], /: the node is missing, as in: fnlb nodes drain 10\.\S+ /],
      [["listeners", "pause"], /: the address is missing, as in: fnlb listeners pause /],
      [["nodes", "drain", "a=2"], /a=2: a weight says nothing here/],
      [["nodes", "weight", "a"], /node a:8080 has no weight: say NODE=WEIGHT/],
      [["nodes", "weight", "b=2", "a=much"], /the weight of node a:8080 must be a number such as 0.5 or 2, got "much"/],
      [["nodes", "drain", "--no-wait", "--timeout", "1s", "a"], /--timeout says nothing with --no-wait/],
      [["nodes", "drain", "--timeout", "soon", "a"], /option "timeout" must be a time .*"soon"/],
      [["nodes", "remove", "--timeout", "1s", "a"], /--timeout says nothing without --drain/],
      [["status", "--interval", "1s"], /--interval says nothing without --watch/],
      [["status", "--watch", "--interval", "1ms"], /option "interval" must be a time of at least 100ms/],
      [["status", "extra"], /Unknown argument: extra/],
      [["status", "--cluster", "a"], /Unknown argument: --cluster/],
      [["route"], /: the url is missing, as in: fnlb route /],
      [["route", "/", "--header", "nothing"], /--header must be "Name: value", got "nothing"/],
      [["route", "/", "--nodes", "a"], /--admin says nothing with --config or --nodes/],
      [["completion", "tcsh"], /Unknown argument: --admin /],
    ];
    for (const [args, reason] of rows) {
      const { code, stdout, stderr } = await ask(stub, args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^usage error: [^\n]+ \(fnlb [\w -]+ --help lists its options\)\n$/);
      assert.match(stderr, reason);
    }
    assert.deepEqual(stub.calls, []);
    assert.match((await run(["--nodes", "a", "status"])).stderr, /status stands in front of its options/);
  });
});

describe("where the command line asks", () => {
  it("is what flags say, then variables, then the config file, then 127.0.0.1:9081", async (t) => {
    const stub = await startAdminStub(t);
    const config = `${makeDirectory(t)}/fnlb.yaml`;
    writeFileSync(config, `admin: "0.0.0.0:${stub.port}"\nadmin-token: sixteen-bytes-and-more\nnodes: 10.0.0.1\n`);
    for (const [args, env] of [
      [["--server", `http://${stub.address}`], { FNLB_ADMIN: "127.0.0.1:1" }],
      [["--server", `http://${stub.address}`, "--admin", "127.0.0.1:1"], {}],
      [["--admin", stub.address], { FNLB_ADMIN: "127.0.0.1:1", FNLB_SERVER: "http://127.0.0.1:1" }],
      [["--admin", `:${stub.port}`], {}],
      [[], { FNLB_ADMIN: stub.address }],
      [[], { FNLB_SERVER: `http://${stub.address}` }],
      [["--config", config], {}],
      [[], { FNLB_CONFIG: config }],
    ] as const) {
      const { code, stderr } = await run(["nodes", ...args], env);
      assert.deepEqual([code, stderr], [0, ""], JSON.stringify([args, env]));
    }
    assert.equal(stub.calls.at(-1)?.headers.authorization, "Bearer sixteen-bytes-and-more");
    assert.equal(stub.calls[0].headers.authorization, undefined);
    assert.match((await run(["nodes", "--config", config, "--admin", "127.0.0.1:1"])).stderr, /127\.0\.0\.1:1 /);
  });

  it("hands over a token, and never shows it", async (t) => {
    const stub = await startAdminStub(t);
    const token = "a-token-of-some-length";
    await ask(stub, ["nodes"], { FNLB_ADMIN_TOKEN: token });
    await ask(stub, ["nodes", "--admin-token", token]);
    assert.deepEqual(
      stub.calls.map(({ headers }) => headers.authorization),
      [`Bearer ${token}`, `Bearer ${token}`],
    );
    const { code, stderr } = await ask(stub, ["nodes", "--admin-token", "shorter"]);
    assert.equal(code, 2);
    assert.doesNotMatch(stderr, /shorter/);
  });

  it("may be a unix socket", async (t) => {
    const path = `${makeDirectory(t)}/admin.sock`;
    const server = createServer((_request, response) => response.end('{"level":"info"}'));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    t.after(() => server.close());
    assert.deepEqual(await run(["log-level", "--admin", `unix:${path}`]), {
      code: 0,
      stdout: "info\n",
      stderr: "",
    });
  });

  it("speaks TLS, believes nobody without a reason, and shows its own certificate", async (t) => {
    const authority = createAuthority("admin");
    const directory = makeDirectory(t);
    const issued = authority.issue({ name: "lb", ips: ["127.0.0.1"], usage: "server" });
    const own = authority.issue({ name: "ann", usage: "client" });
    writeFileSync(`${directory}/ca.pem`, authority.cert);
    writeFileSync(`${directory}/own.pem`, own.cert + own.key);
    const server = createSecureServer(
      { ...issued, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
      (_request, response) => response.end('{"level":"info"}'),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const asking = (args: readonly string[]) => run(["log-level", "--server", url, ...args]);
    assert.deepEqual(await asking(["--ca", `${directory}/ca.pem`, "--cert", `${directory}/own.pem`]), {
      code: 0,
      stdout: "info\n",
      stderr: "",
    });
    const unknown = await asking([]);
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /^could not get the log level: no answer from https:\S+ \((?:SELF_SIGNED|UNABLE_TO)\w+\)\n$/,
    );
    assert.equal((await asking(["--ca", `${directory}/ca.pem`])).code, 1);
    assert.match(
      (await asking(["--ca", `${directory}/none.pem`])).stderr,
      /option "ca" must be a file that can be read \(ENOENT\)/,
    );
    assert.match(
      (await asking(["--key", `${directory}/own.pem`])).stderr,
      /option "key" must be given together with --cert/,
    );
    assert.match(
      (await run(["nodes", "--server", "http://h", "--ca", `${directory}/ca.pem`])).stderr,
      /option "server" must be an https/,
    );
    for (const bad of ["h:1", "ftp://h", "http://h/v1", "http://h?x"]) {
      assert.match((await run(["nodes", "--server", bad])).stderr, /option "server" must be a URL such as/);
    }
    assert.doesNotMatch((await run(["nodes", "--server", "http://ann:secret@h"])).stderr, /secret/);
  });
});

describe("fnlb route without a server", () => {
  it("answers by a list of nodes or a config file", async (t) => {
    const config = `${makeDirectory(t)}/fnlb.yaml`;
    writeFileSync(
      config,
      "clusters:\n  one: { nodes: a }\n  two: { nodes: b }\nroutes:\n  - { path: /two, cluster: two }\n  - { cluster: one }\n",
    );
    const { code, stdout } = await run(["route", "/two/x", "--config", config]);
    assert.equal(code, 0);
    assert.match(stdout, /\ncluster {3}two, ring-hash\n/);
    assert.match(stdout, /\nnode {6}b:8080\nby {8}the config alone, as if all nodes were well\n/);
    const explained = await run(["route", "/x", "--nodes", "a,b,c", "--json"]);
    const { source, order } = JSON.parse(explained.stdout) as { source: string; order: readonly { id: string }[] };
    assert.equal(source, "config");
    assert.deepEqual(order.map(({ id }) => id).sort(), ["a:8080", "b:8080", "c:8080"]);
    const nonsense = await run(["route", "nonsense", "--nodes", "a"]);
    assert.deepEqual([nonsense.code, nonsense.stdout], [1, ""]);
    assert.match(nonsense.stderr, /^could not explain nonsense: ERR_BAD_REQUEST: "url" must be [^\n]+\n$/);
    assert.match((await run(["route", "/", "--nodes", "a,,b"])).stderr, /^usage error: option "nodes" must be/);
  });
});
