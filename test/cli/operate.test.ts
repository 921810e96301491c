import assert from "node:assert/strict";
import { get } from "node:http";
import { describe, it, type TestContext } from "node:test";
import { runCommand } from "../support/commands.js";
import { startGatedNode } from "../support/gated-node.js";
import { makeDirectory, type Program, runProgram } from "../support/program.js";
import { NO_PSEUDO_TERMINAL, runOnTerminal } from "../support/pseudo-terminal.js";

/** A balancer over these nodes, and how to say something to it. */
async function operated(t: TestContext, nodes: string, more: readonly string[] = []) {
  const admin = `unix:${makeDirectory(t)}/admin.sock`;
  const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", nodes, "--admin", admin, ...more]);
  const port = await program.port();
  const run = (...args: readonly string[]) => runCommand([...args, "--admin", admin]);
  return { program, port, admin, run };
}

/** Begins a request whose response nobody has to wait for. */
function begin(t: TestContext, port: number, path: string): void {
  const request = get({ port, path, agent: false }, (response) => response.resume());
  request.on("error", () => {});
  t.after(() => request.destroy());
}

/** Starts a command that waits, and says where to ask. */
function start(t: TestContext, admin: string, ...args: readonly string[]): Program {
  return runProgram(t, [...args, "--admin", admin]);
}

describe("an operator at the command line", () => {
  it("drains a node and is told when nothing runs there any more", async (t) => {
    const node = await startGatedNode(t);
    const { port, admin, run } = await operated(t, node.address);
    begin(t, port, "/one");
    begin(t, port, "/two");
    const [one, two] = [await node.next(), await node.next()];
    const drain = start(t, admin, "nodes", "drain", node.address);
    await drain.stdout.untilText(`${node.address}: draining, 2 in flight\n`);
    one.answer();
    await drain.stdout.untilText(`${node.address}: draining, 1 in flight\n`);
    assert.match((await run("nodes")).stdout, / draining /);
    two.answer();
    assert.equal(await drain.ended(), 0);
    assert.equal(
      drain.stdout.text,
      `${node.address}: draining\n${node.address}: draining, 2 in flight\n${node.address}: draining, 1 in flight\n${node.address}: drained\n`,
    );
    assert.equal(
      (await run("nodes", "drain", node.address)).stdout,
      `${node.address}: draining already\n${node.address}: drained\n`,
    );
    assert.equal((await run("nodes", "enable", node.address)).stdout, `${node.address}: active\n`);
  });

  it("gives a drain up in time with what is left, and removes nothing then", async (t) => {
    const node = await startGatedNode(t);
    const { port, run } = await operated(t, node.address);
    begin(t, port, "/slow");
    const call = await node.next();
    const late = await run("nodes", "remove", "--drain", "--timeout", "1ms", node.address);
    assert.equal(late.code, 1);
    assert.equal(
      late.stderr,
      `could not drain node ${node.address} in time: 1 exchange in flight, and it goes on draining\n`,
    );
    assert.match((await run("nodes")).stdout, /draining/);
    assert.equal(
      (await run("nodes", "drain", "--no-wait", node.address)).stdout,
      `${node.address}: draining already\n`,
    );
    call.answer();
    const done = await run("nodes", "remove", "--drain", node.address);
    assert.equal(done.code, 0);
    assert.match(done.stdout, /: drained\n\S+: removed\n$/);
    assert.equal((await run("nodes", "--json")).stdout, '{"nodes":[]}\n');
  });

  it("waits no longer for a node that somebody else has removed", async (t) => {
    const node = await startGatedNode(t);
    const { port, admin, run } = await operated(t, node.address);
    begin(t, port, "/slow");
    const call = await node.next();
    const drain = start(t, admin, "nodes", "drain", node.address);
    await drain.stdout.untilText("1 in flight\n");
    assert.equal((await run("nodes", "remove", node.address)).code, 0);
    assert.equal(await drain.ended(), 0);
    call.answer();
  });

  it("sees on a terminal one line that is painted over", { skip: NO_PSEUDO_TERMINAL }, async (t) => {
    const node = await startGatedNode(t);
    const { port, admin } = await operated(t, node.address);
    begin(t, port, "/slow");
    const call = await node.next();
    const drain = await runOnTerminal(t, ["nodes", "drain", node.address, "--admin", admin], { columns: 60, rows: 5 });
    const line = `\r\x1b[K${node.address}: draining, 1 in flight`;
    await drain.screen.untilText(line);
    call.answer();
    assert.equal(await drain.ended(), 0);
    assert.ok(drain.screen.text.endsWith(`${line}\r\x1b[K${node.address}: drained\r\n`));
  });

  it("adds, weighs, disables, repairs and removes nodes of the cluster that they are in", async (t) => {
    const { run } = await operated(t, "127.0.0.1:1");
    const added = await run("nodes", "add", "127.0.0.1:2=3", "--mode", "disabled");
    assert.deepEqual(added, { code: 0, stdout: "127.0.0.1:2: added to cluster default\n", stderr: "" });
    for (const same of ["127.0.0.1:2=3", "127.0.0.1:2"]) {
      const again = await run("nodes", "add", same);
      assert.deepEqual(again, { code: 0, stdout: "127.0.0.1:2: there already in cluster default\n", stderr: "" });
    }
    const [other, json] = [
      await run("nodes", "add", "127.0.0.1:2=4"),
      await run("nodes", "add", "127.0.0.1:2=3", "--json"),
    ];
    assert.deepEqual([other.code, other.stdout], [0, "127.0.0.1:2: changed in cluster default\n"]);
    const { result, node } = JSON.parse(json.stdout) as { readonly result: string; readonly node: { weight: number } };
    assert.deepEqual([json.code, result, node.weight], [0, "applied", 3]);
    assert.match((await run("nodes")).stdout, /\n127\.0\.0\.1:2 {2}disabled +3 /);
    assert.equal((await run("nodes", "enable", "127.0.0.1:2")).code, 0);
    assert.equal((await run("nodes", "weight", "127.0.0.1:1=0.5")).stdout, "127.0.0.1:1: weight 0.5\n");
    assert.equal((await run("nodes", "weight", "127.0.0.1:1=config")).stdout, "127.0.0.1:1: weight as in the config\n");
    assert.equal((await run("nodes", "reset", "127.0.0.1:1")).stdout, "127.0.0.1:1: nothing to reset\n");
    assert.equal((await run("nodes", "mark-alive", "127.0.0.1:1")).stdout, "127.0.0.1:1: alive already\n");
    const far = await run("nodes", "weight", "127.0.0.1:1=1001");
    assert.match(
      far.stderr,
      /^could not change the weight of node 127\.0\.0\.1:1 of cluster default: 400 ERR_BAD_REQUEST: .*\(at \/weight\)\n$/,
    );
    assert.match((await run("nodes", "remove", "127.0.0.1:9")).stderr, /404 ERR_NOT_FOUND/);
    const removed = await run("nodes", "remove", "127.0.0.1:2", "--json");
    assert.equal((JSON.parse(removed.stdout) as { readonly result: string }).result, "applied");
  });

  it("pauses a listener, hears of it from the health check, and resumes it", async (t) => {
    const node = await startGatedNode(t);
    const { program, port, admin, run } = await operated(t, node.address);
    const [address] = await program.addresses();
    assert.deepEqual(await run("healthcheck"), { code: 0, stdout: "", stderr: "" });
    assert.equal((await run("listeners", "pause", address)).stdout, `${address}: paused\n`);
    assert.match((await run("listeners")).stdout, new RegExp(`\\n${address} {2}paused {2}HTTP\\n`));
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503);
    const ill = await runCommand(["healthcheck"], { FNLB_ADMIN: admin });
    assert.deepEqual(ill, { code: 1, stdout: "", stderr: "unhealthy: HTTP/1.1 503 Service Unavailable, paused\n" });
    assert.equal((await run("listeners", "resume", address)).stdout, `${address}: open\n`);
    assert.equal((await run("healthcheck")).code, 0);
    assert.match((await run("listeners", "pause", ":1")).stderr, /^could not pause listener :1: 404 ERR_NOT_FOUND: /);
  });

  it("changes the level of the log, asks where a request goes, and sees the status", async (t) => {
    const { run } = await operated(t, "127.0.0.1:1,127.0.0.1:2");
    assert.equal((await run("log-level")).stdout, "info\n");
    assert.equal((await run("log-level", "debug")).stdout, "debug\n");
    assert.match(
      (await run("log-level", "loud")).stderr,
      /^could not set the log level to loud: 400 ERR_BAD_REQUEST: /,
    );
    const live = JSON.parse((await run("route", "/x", "--json")).stdout) as {
      readonly source: string;
      readonly node: string;
    };
    assert.equal(live.source, "live");
    assert.ok((await run("route", "/x")).stdout.includes(`\nnode      ${live.node}\n`));
    assert.match(
      (await run("status")).stdout,
      /: serving, ready, .* log level debug\n[\s\S]*\ndefault {2}ring-hash {2}2 of 2 /,
    );
  });
});
