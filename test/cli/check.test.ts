import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { printConfig } from "../../src/cli/print-config.js";
import { parseConfigFile } from "../../src/config/config-file.js";
import { type ConfigSources, resolveConfig } from "../../src/config/resolve.js";
import { runCommand } from "../support/commands.js";
import { makeDirectory, runToEnd } from "../support/program.js";

const GOOD = `
attempts: 2
spread: 3
clusters:
  api: {nodes: [10.0.0.1, 10.0.0.2=2], request-header: ["set X-Env: prod", "remove X-Debug"]}
  web: {nodes: web:80, policy: random, check-body: "# not: a comment"}
routes:
  - {host: api.example.com, method: [GET, HEAD], header: {x-a: null, __proto__: "null"}, cluster: api}
  - {cluster: web}
`;

/** The path of a file with this text. */
function fileWith(t: TestContext, text: string | Buffer, name = "fnlb.yaml"): string {
  const path = `${makeDirectory(t)}/${name}`;
  writeFileSync(path, text);
  return path;
}

/** Exit code 2, nothing on standard output, and one line that says why. */
async function refused(args: readonly string[], reason: RegExp, env: NodeJS.ProcessEnv = {}) {
  const { code, stdout, stderr } = await runCommand(args, env);
  assert.deepEqual([code, stdout], [2, ""], stderr);
  assert.match(stderr, /^usage error: [^\n]+ \(fnlb --help lists all options\)\n$/);
  assert.match(stderr, reason);
}

describe("fnlb check", () => {
  it("says that a file is good, and what it holds", async (t) => {
    const path = fileWith(t, GOOD);
    const expected = { code: 0, stdout: `${path}: ok, 2 clusters, 2 routes\n`, stderr: "" };
    assert.deepEqual(await runToEnd(t, ["check", path]), expected);
    assert.deepEqual(await runCommand(["check", "--config", path]), expected);
    assert.deepEqual(await runCommand(["check"], { FNLB_CONFIG: path }), expected);
  });

  it("checks flags and environment where there is no file", async () => {
    const { code, stdout } = await runCommand(["check", "--nodes", "a"]);
    assert.deepEqual([code, stdout], [0, "flags and environment: ok, 1 cluster, 1 route\n"]);
    await refused(["check"], /environment variable FNLB_NODES must be/, { FNLB_NODES: "a,,b" });
  });

  it("opens nothing", async (t) => {
    const directory = makeDirectory(t);
    const text = `listen: unix:${directory}/s\naccess-log: ${directory}/a\nlog-file: ${directory}/l\nnodes: name.invalid\n`;
    const path = `${directory}/fnlb.yaml`;
    writeFileSync(path, text);
    assert.equal((await runCommand(["check", path])).code, 0);
    const { readdirSync } = await import("node:fs");
    assert.deepEqual(readdirSync(directory), ["fnlb.yaml"]);
  });

  it("ends with 2 and the place of what is wrong", async (t) => {
    for (const [text, place] of [
      ["nodes: a\nattempts: 0\n", ':2:11: option "attempts" must be'],
      ["clusters:\n  a:\n    policy: rnd\n", ':3:13: option "policy" of cluster "a" must be one of'],
      ["routes:\n- {cluster: default, path: a}\n", ':2:28: "path" of route 1 must be a path that begins with a slash'],
      ["a: [\n", ":2:1: "],
    ]) {
      const path = fileWith(t, text);
      await refused(["check", path], new RegExp(`usage error: ${path}${place.replace("[", "\\[")}`));
    }
  });

  it("finds what is found only when clusters are made, and names its place", async (t) => {
    for (const [text, fault] of [
      [
        "clusters:\n  api:\n    request-header: 'set Content-Length: 5'\n",
        ':3:21: cluster "api": option "request-header" must be a rule for a field that fnlb leaves to others, got "Content-Length"',
      ],
      [
        "response-header: ['remove Server', 'add X: {host}']\n",
        ':1:18: cluster "default": option "response-header" must be a rule whose placeholders',
      ],
      [
        "load-header: connection\n",
        ':1:14: cluster "default": option "load-header" must be a field of its own, got "connection"',
      ],
      [
        "sticky-codec: raw\nsticky-header: Host\n",
        ':2:16: cluster "default": option "sticky-header" must be a field of its own, got "Host"',
      ],
    ]) {
      const path = fileWith(t, text);
      const { code, stderr } = await runCommand(["check", path]);
      assert.equal(code, 2);
      assert.ok(stderr.startsWith(`usage error: ${path}${fault}`), stderr);
    }
    await refused(["check"], /FNLB_LOAD_HEADER: cluster "default": option "load-header" must/, {
      FNLB_LOAD_HEADER: "te",
    });
  });

  it("refuses a file that cannot be read, or is not UTF-8, and two files", async (t) => {
    await refused(
      ["check", "/nowhere/fnlb.yaml"],
      /option "config" must be a file that can be read \(ENOENT\), got "\/nowhere\/fnlb.yaml"/,
    );
    await refused(["check", makeDirectory(t)], /option "config" must be a file that can be read \(EISDIR\)/);
    const latin = fileWith(t, Buffer.from("check-body: \xfc\n", "latin1"));
    await refused(["check", latin], /option "config" must be a file in UTF-8/);
    await refused(["check", fileWith(t, Buffer.from("\ufeffnodes: a", "utf16le"))], /UTF-8/);
    await refused(["check", latin, "--config", latin], /two config files/);
    await refused(["check", latin, latin], /Unknown argument/);
  });

  it("does not start with a config that it refuses", async (t) => {
    const path = fileWith(t, "request-header: 'remove Host'\n");
    await refused(
      ["--listen", "127.0.0.1:0", "--config", path],
      /fnlb\.yaml:1:17: cluster "default": option "request-header"/,
    );
  });
});

describe("fnlb check --print", () => {
  it("shows the result and where each value comes from", async (t) => {
    const path = fileWith(t, GOOD);
    const env = { FNLB_PING_INTERVAL: "2s", FNLB_ATTEMPTS: "9" };
    const { code, stdout, stderr } = await runCommand(
      ["check", path, "--print", "--attempts", "5", "--log-level=warn"],
      env,
    );
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = stdout.split("\n").map((line) => line.replace(/ {2,}#/, " #"));
    for (const line of [
      "attempts: 5 # --attempts",
      "log-level: warn # --log-level",
      "ping-interval: 2s # FNLB_PING_INTERVAL",
      `spread: 3 # ${path}:3:9`,
      "listen: 0.0.0.0:8081 # default",
      "  api:",
      `    nodes: [ 10.0.0.1, 10.0.0.2=2 ] # ${path}:5:16`,
      `    policy: random # ${path}:6:32`,
      `  - { cluster: web } # ${path}:9:5`,
    ])
      assert.ok(lines.includes(line), `${line} in\n${stdout}`);
    assert.equal(lines.filter((line) => line.includes("attempts:")).length, 1);
  });

  it("is a config file that comes to the same config", async (t) => {
    const { stdout } = await runCommand(["check", fileWith(t, GOOD), "--print", "--queue", "7"]);
    const again = await runCommand(["check", fileWith(t, stdout), "--print"]);
    const bare = (text: string) => text.replaceAll(/ +# \S+$/gm, "");
    assert.equal(bare(again.stdout), bare(stdout));
    const sources = { file: parseConfigFile(GOOD, "f"), options: { queue: 7 } };
    assert.deepEqual(resolveConfig({ file: parseConfigFile(stdout, "printed") }), resolveConfig(sources));
  });

  for (const [what, sources] of [
    ["nothing at all", {}],
    ["one named cluster", { file: parseConfigFile("clusters: {api: {nodes: a}}", "f") }],
    ["a cluster without options", { file: parseConfigFile("nodes: a\nclusters: {api: {}}", "f") }],
    ["a cluster whose nodes are discovered", { options: { discover: "dns:fn" } }],
    [
      "clusters of which one is discovered",
      { file: parseConfigFile("clusters: {a: {discover: dns:fn}, b: {nodes: b}}\nroutes: [{cluster: a}]", "f") },
    ],
    ["listeners for proxies only", { options: { "proxy-listen": ":1" } }],
    ["listeners of both kinds", { env: { FNLB_PROXY_LISTEN: ":1", FNLB_LISTEN: ":2,unix:/a b" } }],
    ["rules of several lines", { env: { FNLB_REQUEST_HEADER: "set A: b # c\nremove D\nadd E: 'f\"" } }],
    ["empty lists", { file: parseConfigFile("trust-proxy: []\nupgrade: []", "f") }],
    [
      "routes with names of prototypes",
      { file: parseConfigFile("routes: [{header: {__proto__: a, constructor: }, cluster: default}]", "f") },
    ],
  ] as readonly (readonly [string, ConfigSources])[])
    it(`comes to the same for ${what}`, () => {
      assert.deepEqual(
        resolveConfig({ file: parseConfigFile(printConfig(sources), "printed") }),
        resolveConfig(sources),
      );
    });

  it("comes to the same whatever texts hold", () => {
    const word = fc.constantFrom(
      "a",
      " ",
      "#",
      ": ",
      "- ",
      "\n",
      "\r",
      "\t",
      "'",
      '"',
      "\\",
      "[",
      "{",
      "&x",
      "*x",
      "!t",
      "|",
      ">",
      "%",
      "@",
      "`",
      "~",
      "null",
      "yes",
      "1e3",
      "ü",
      "\u2028",
      "\u0085",
      "\x7f",
      "😀",
      "---",
    );
    const text = fc.oneof(
      fc.array(word, { maxLength: 8 }).map((words) => words.join("")),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(text, text, fc.string({ minLength: 1 }), (body, path, name) => {
        const options = { "check-body": body, "access-log": path.replaceAll("\0", "") };
        const printed = printConfig({ options, file: parseConfigFile("spread: 2", name) });
        assert.deepEqual(
          resolveConfig({ file: parseConfigFile(printed, "printed") }),
          resolveConfig({ options: { ...options, spread: 2 } }),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("keeps secrets to itself", async () => {
    const secret = "sixteen bytes or more";
    const env = { FNLB_STICKY_SECRET: secret };
    const { code, stdout } = await runCommand(["check", "--sticky-cookie", "fnlb", "--print"], env);
    assert.equal(code, 0);
    assert.match(stdout, /^sticky-secret: \(secret\) +# FNLB_STICKY_SECRET$/m);
    assert.ok(!stdout.includes(secret));
  });
});
