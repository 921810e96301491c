import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { commandFirst } from "../../src/cli/remote/command-line.js";
import { clearerComplaint } from "../../src/cli/unknown-words.js";
import { problem, startAdminStub } from "../support/admin-stub.js";
import { runCommand } from "../support/commands.js";
import { startFunctionNode } from "../support/function-node.js";
import { environment, makeDirectory, PROGRAM, ROOT, runProgram } from "../support/program.js";
import { NO_PSEUDO_TERMINAL, runOnTerminal } from "../support/pseudo-terminal.js";

async function usage(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(args);
  assert.deepEqual([code, stdout], [2, ""], args.join(" "));
  return stderr;
}

describe("somebody who is new to the command line", () => {
  it("is told which word was meant", async () => {
    assert.match(await usage(["node"]), /^usage error: Unknown argument: node; did you mean nodes\? \(/);
    assert.match(await usage(["stauts"]), /did you mean status\?/);
    assert.match(await usage(["nodes", "ad", "a"]), /Unknown arguments: ad, a; did you mean add\?/);
    assert.match(await usage(["--lissten", ":80"]), /Unknown argument: --lissten; did you mean --listen\?/);
    assert.match(await usage(["nodes", "--jsn"]), /Unknown argument: --jsn; did you mean --json\?/);
    assert.doesNotMatch(await usage(["frobnicate"]), /did you mean/);
  });

  it("is told what is missing, before anything is asked", async () => {
    assert.match(
      await usage(["nodes", "add"]),
      /^usage error: the node is missing, as in: fnlb nodes add .*\(fnlb nodes add --help/,
    );
    assert.match(await usage(["route"]), /the url is missing, as in: fnlb route /);
    for (const empty of ["", "  "]) assert.match(await usage(["nodes", "remove", "a", empty]), /must not be empty/);
    const long = await usage(["nodes", "drain", "a".repeat(20_000)]);
    assert.match(long, /a node has at most 1024 characters, got 20000: a{32}[^a]/);
    assert.ok(long.length < 200);
  });

  it("finds help where he looks for it", async () => {
    const { stdout } = await runCommand(["nodes", "add", "--help"]);
    assert.match(stdout, /^fnlb nodes add <node\.\.>\n/);
    for (const args of [
      ["help", "nodes", "add"],
      ["--help", "nodes", "add"],
      ["nodes", "--help", "add"],
      ["nodes", "add", "-h"],
    ])
      assert.equal((await runCommand(args)).stdout, stdout, args.join(" "));
    assert.match((await runCommand(["help", "check"])).stdout, /^fnlb check \[file\]/);
    assert.match((await runCommand(["help"])).stdout, /^fnlb \[options\]/);
  });

  it("may put options in front of the command, and between its words", () => {
    const rows: readonly (readonly [given: string, first: string])[] = [
      ["--admin x status", "status --admin x"],
      ["--admin=x --json nodes drain a", "nodes drain --admin=x --json a"],
      ["nodes --cluster api add a b", "nodes add --cluster api a b"],
      ["-admin x status", "status -admin x"],
      ["nodes add --json remove", "nodes add --json remove"],
      // These are the balancer's own.
      ["--nodes a status", "--nodes a status"],
      ["--admin status", "--admin status"],
      ["--config f --watch", "--config f --watch"],
      ["--admin x check", "--admin x check"],
      ["", ""],
    ];
    for (const [given, first] of rows)
      assert.equal(commandFirst(given === "" ? [] : given.split(" ")).join(" "), first, given);
  });

  it("hears of an error in one line on standard error, with --json, too", async (t) => {
    const stub = await startAdminStub(t);
    stub.answer = ({ method, path }) => {
      if (method === "GET") return undefined;
      return path.endsWith("a%3A8080")
        ? { body: { result: "applied" } }
        : problem(404, "ERR_NOT_FOUND", "no such node");
    };
    const { code, stdout, stderr } = await runCommand(["--json", "--admin", stub.address, "nodes", "enable", "a", "b"]);
    assert.deepEqual([code, stdout], [1, '{"result":"applied"}\n']);
    assert.match(stderr, /^could not enable node b:8080 of cluster default: 404 ERR_NOT_FOUND: [^\n]+\n$/);
  });

  it("may stop reading", async (t) => {
    const stub = await startAdminStub(t);
    for (const args of [["--help"], ["nodes", "--admin", stub.address]]) {
      const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: ROOT, env: environment() });
      t.after(() => child.kill("SIGKILL"));
      child.stdout.destroy();
      let stderr = "";
      child.stderr.on("data", (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      const code = await new Promise((resolve) => child.once("close", resolve));
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
    }
  });

  it("leaves complaints of another kind as they are", () => {
    assert.equal(clearerComplaint("Not enough arguments", [], ["nodes"]), "Not enough arguments");
    assert.equal(
      clearerComplaint("Unknown argument: token", ["--token=s3cret"], ["--admin-token"]),
      "Unknown argument: --token",
    );
  });
});

describe("fnlb status --watch at a balancer that runs", () => {
  it("shows its nodes with their rates, and a drain as it happens", { skip: NO_PSEUDO_TERMINAL }, async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const address = `127.0.0.1:${node.port}`;
    const admin = `unix:${makeDirectory(t)}/admin.sock`;
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", address, "--admin", admin]);
    const port = await program.port();
    const watch = await runOnTerminal(t, ["status", "--watch", "--interval", "100ms", "--admin", admin], {
      columns: 160,
      rows: 30,
      env: { NO_COLOR: "1" },
    });
    const shown = (what: RegExp) =>
      watch.screen.until(String(what), () => (what.test(watch.screen.text) ? true : undefined));
    await shown(/0 requests; P50, P99 of the last 2 s/);
    assert.equal((await fetch(`http://127.0.0.1:${port}/f`)).status, 200);
    await shown(/[^\d]1 request; P50, P99 of the last 2 s/);
    // A rate, and times of what was just answered.
    await shown(new RegExp(`${address} +serving +\\d+(?:\\.\\d+)? +0 +1 +0 +[\\d.]+ (?:ms|s|..s) `));
    await runCommand(["nodes", "drain", address, "--admin", admin]);
    await shown(new RegExp(`${address} +draining `));
    assert.ok(!/\[3\dm/.test(watch.screen.text), "there is no colour with NO_COLOR");
    program.signal("SIGTERM");
    await shown(/no answer, trying again/);
    watch.signal("SIGINT");
    assert.equal(await watch.ended(), 0);
  });
});
