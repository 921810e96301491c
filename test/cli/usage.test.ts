import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { GROUPS } from "../../src/config/option-row.js";
import { environmentName, OPTION_LIST } from "../../src/config/options.js";
import { runCommand } from "../support/commands.js";
import { startFunctionNode } from "../support/function-node.js";
import { makeDirectory, ROOT, runProgram, runToEnd } from "../support/program.js";

/** One line on standard error that matches, exit code 2, and nothing served. */
async function refused(args: readonly string[], reason: RegExp, env: NodeJS.ProcessEnv = {}) {
  const { code, stdout, stderr } = await runCommand(args, env);
  const what = `${args.join(" ")}: ${stderr}`;
  assert.equal(code, 2, what);
  assert.match(stderr, /^usage error: [^\n]+ \(fnlb --help lists all options\)\n$/, what);
  assert.match(stderr, reason, what);
  assert.doesNotMatch(stdout, /"listening"/, what);
}

describe("the command line", () => {
  it("FA1: listens on 0.0.0.0:8081 and forwards to 127.0.0.1:8080 when nothing is said", async (t) => {
    const { stdout } = await runToEnd(t, ["--help"]);
    assert.match(stdout, /--listen .*[\s\S]*?\[default: 0\.0\.0\.0:8081\]/);
    assert.match(stdout, /--nodes .*[\s\S]*?\[default: 127\.0\.0\.1:8080\]/);
    const program = runProgram(t, ["--listen", "127.0.0.1:0"]);
    assert.equal((await program.event("forwarding")).msg, "forwarding calls to [127.0.0.1:8080]");
  });

  it("FA1: says where it forwards to and listens", async (t) => {
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", "127.0.0.1, 127.0.0.2:9,127.0.0.3"]);
    assert.equal(
      (await program.event("forwarding")).msg,
      "forwarding calls to [127.0.0.1:8080 127.0.0.2:9 127.0.0.3:8080]",
    );
    const { address, msg } = await program.event("listening");
    assert.match(String(address), /^127\.0\.0\.1:[1-9]\d*$/);
    assert.equal(msg, `listening to ${address}`);
  });

  for (const args of [
    ["-nodes", "NODE", "-listen", "127.0.0.1:0"],
    ["-nodes=NODE", "-listen=127.0.0.1:0"],
    ["--nodes=NODE", "--listen=127.0.0.1:0"],
  ])
    it(`FA2: takes the form ${args.join(" ")}`, async (t) => {
      const node = await startFunctionNode(t, { name: "a" });
      const program = runProgram(
        t,
        args.map((arg) => arg.replace("NODE", node.address)),
      );
      const response = await fetch(`http://127.0.0.1:${await program.port()}/x`);
      assert.equal(response.headers.get("x-node"), "a");
    });

  it("FA2: lists every option under its heading, with its default and its variable", async () => {
    for (const flag of ["--help", "-help", "-h"]) {
      const { code, stdout, stderr } = await runCommand([flag]);
      assert.equal(code, 0);
      assert.equal(stderr, "");
      for (const group of GROUPS) assert.ok(stdout.includes(`\n${group}:\n`), group);
      // A line of help that goes on may begin with the name of another option.
      const sections = stdout.split(/\n(?= {2}(?:-h,| {3}) --)/);
      for (const [name, spec] of OPTION_LIST) {
        const section = sections.find((candidate) => candidate.trimStart().startsWith(`--${name} `)) ?? "";
        assert.ok(section.includes(`[${environmentName(name)}]`), name);
        assert.ok(section.includes(`[default: ${spec.default === "" ? "none" : spec.default}]`), name);
      }
    }
  });

  it("prints its version", async (t) => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    assert.deepEqual(await runToEnd(t, ["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
  });

  it("FA2: ends with 2 when it is called wrongly, and serves nothing", async (t) => {
    const { code, stdout, stderr } = await runToEnd(t, ["--bogus"]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^usage error: [^\n]*bogus[^\n]*\n$/);
  });

  it("FA2: refuses what it does not know", async () => {
    await refused(["--bogus"], /bogus/);
    await refused(["-bogus", "1"], /bogus/);
    await refused(["--port", "8081"], /port/);
    await refused(["--list", ":0"], /list/);
    await refused(["--pingInterval", "1s"], /pingInterval/);
    await refused(["sreve"], /sreve/);
    await refused(["--", "x"], /x/);
    await refused(["demo", "x"], /x/);
  });

  it("refuses missing, repeated and bad values, and names the option", async () => {
    await refused(["--nodes"], /nodes/);
    await refused(["--nodes="], /option "nodes" must be/);
    await refused(["--nodes", "--listen", ":0"], /nodes/);
    await refused(["--no-nodes"], /nodes/);
    await refused(["--nodes", "a", "--nodes", "b"], /option "nodes" must be given once/);
    await refused(["--attempts", "1", "-attempts", "2"], /option "attempts" must be given once/);
    await refused(["--nodes", "a,,b"], /option "nodes" .*empty item/);
    await refused(["--nodes", "ftp://a"], /option "nodes" .*"ftp:\/\/a"/);
    await refused(["--ping-interval", "-5s"], /option "ping-interval" must be a time/);
    await refused(["--ping-interval", "NaN"], /option "ping-interval" must be a time/);
    await refused(["--hash", "md5"], /option "hash" must be one of fast, ketama, got "md5"/);
    await refused(["--request-id=maybe"], /option "request-id" must be true or false/);
    await refused(["--listen", "8081"], /option "listen" must be an address/);
    await refused(["--log-file", "/nowhere/at/all"], /option "log-file" must be a file/);
    await refused(["--access-log", "/nowhere/at/all"], /option "access-log" must be a file/);
    await refused(["demo", "--nodes", "a"], /option "nodes" must be left out/);
  });

  it("names the variable when that is what is wrong", async () => {
    await refused([], /environment variable FNLB_NODES must be/, { FNLB_NODES: "a,,b" });
    await refused(["healthcheck"], /environment variable FNLB_LISTEN must be/, { FNLB_LISTEN: "8081" });
  });

  it("is configured by the environment, where flags win and the variables of Kubernetes mean nothing", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const program = runProgram(t, ["--listen", "127.0.0.1:0"], {
      env: { FNLB_NODES: node.address, FNLB_LISTEN: "127.0.0.1:1", FNLB_PORT: "tcp://10.0.0.1:8081" },
    });
    assert.equal((await fetch(`http://127.0.0.1:${await program.port()}/`)).headers.get("x-node"), "a");
  });

  it("FA2: ends with 1 when it cannot start", async (t) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const taken = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const args of [
      ["--listen", taken],
      ["--listen", "127.0.0.1:0", "--listen", taken],
      ["demo", "--listen", taken],
    ]) {
      const { code, stderr } = await runToEnd(t, args);
      assert.equal(code, 1, args.join(" "));
      assert.match(stderr, /^could not start server\. error: .*EADDRINUSE.*\n/);
    }
    const { code, stderr } = await runToEnd(t, ["--listen", `unix:${makeDirectory(t)}/none/x.sock`]);
    assert.equal(code, 1);
    assert.match(stderr, /^could not start server\. error: [^\n]+\n$/);
  });
});
