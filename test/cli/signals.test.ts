import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { ByteLog } from "../support/byte-log.js";
import { startFunctionNode } from "../support/function-node.js";
import { makeDirectory, type Program, runProgram } from "../support/program.js";
import { connectClient } from "../support/raw-peer.js";

/** A node that answers when the test says so. */
async function startPatientNode(t: TestContext) {
  const waiting: ServerResponse[] = [];
  const arrivals = new ByteLog();
  const node = await startFunctionNode(t, {
    name: "a",
    onHead: (request: IncomingMessage, response) => {
      if (request.url !== "/slow") return false;
      waiting.push(response);
      arrivals.wake();
      return true;
    },
  });
  return {
    ...node,
    untilAsked: () => arrivals.until("a slow call", () => waiting.shift()),
  };
}

async function startSlowCall(t: TestContext, args: readonly string[] = []) {
  const node = await startPatientNode(t);
  const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", node.address, ...args]);
  const client = await connectClient(t, await program.port());
  client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  return { program, client, response: await node.untilAsked(), node };
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return false;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ECONNREFUSED");
    return true;
  } finally {
    socket.destroy();
  }
}

async function untilFile(program: Program, path: string, part: string): Promise<void> {
  const poll = setInterval(() => program.stderr.wake(), 5);
  try {
    await program.stderr.until(`${part} in ${path}`, () =>
      existsSync(path) && readFileSync(path, "utf8").includes(part) ? true : undefined,
    );
  } finally {
    clearInterval(poll);
  }
}

describe("signals", () => {
  for (const name of ["SIGTERM", "SIGINT", "SIGQUIT"] as const)
    it(`FB15: ${name} lets the exchange that runs finish, accepts no other, and ends with 0`, async (t) => {
      const { program, client, response } = await startSlowCall(t);
      program.signal(name);
      await program.event("draining");
      const port = await program.port();
      const poll = setInterval(() => program.stdout.wake(), 5);
      t.after(() => clearInterval(poll));
      while (!(await isRefused(port)));
      response.end("late");
      const message = await client.response();
      assert.equal(message.status, 200);
      assert.equal(message.header("connection"), "close");
      assert.equal(await program.ended(), 0);
      assert.equal((await program.event("drained")).cut, 0);
    });

  it("end with 1 when the shutdown timeout had to cut something", async (t) => {
    const { program, client } = await startSlowCall(t, ["--shutdown-timeout", "50ms"]);
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 1);
    assert.equal((await program.event("drained")).cut, 1);
    await client.log.until("the cut", () => client.log.isClosed || client.log.hasEnded || undefined);
  });

  it("end at once and with 1 when a second one comes", async (t) => {
    const { program } = await startSlowCall(t, ["--shutdown-timeout", "1h"]);
    program.signal("SIGTERM");
    await program.event("draining");
    program.signal("SIGINT");
    assert.equal(await program.ended(), 1);
  });

  it("wait for the drain delay, in which new connections are still served", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", node.address, "--drain-delay", "300ms"]);
    const port = await program.port();
    program.signal("SIGTERM");
    await program.event("draining");
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("connection"), "close");
    assert.equal(await program.ended(), 0);
  });

  it("are obeyed while names are still looked up", async (t) => {
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", "name.invalid"]);
    await program.event("forwarding");
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
    await program.event("stopped");
  });

  it("SIGHUP reopens the access log and the log after a rotation", async (t) => {
    const directory = makeDirectory(t);
    const access = `${directory}/access.log`;
    const log = `${directory}/fnlb.log`;
    const node = await startFunctionNode(t, { name: "a" });
    const program = runProgram(t, [
      ...["--listen", `unix:${directory}/fnlb.sock`, "--listen", "127.0.0.1:0"],
      ...["--nodes", node.address, "--access-log", access, "--log-file", log],
    ]);
    await untilFile(program, log, "listening to 127.0.0.1:");
    const port = Number(/listening to 127\.0\.0\.1:(\d+)/.exec(readFileSync(log, "utf8"))?.[1]);
    await (await fetch(`http://127.0.0.1:${port}/before`)).text();
    await untilFile(program, access, "/before");
    renameSync(access, `${access}.1`);
    renameSync(log, `${log}.1`);
    program.signal("SIGHUP");
    await untilFile(program, log, "logs_reopened");
    await (await fetch(`http://127.0.0.1:${port}/after`)).text();
    await untilFile(program, access, "/after");
    assert.doesNotMatch(readFileSync(access, "utf8"), /before/);
    assert.doesNotMatch(readFileSync(`${access}.1`, "utf8"), /after/);
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
    assert.match(readFileSync(log, "utf8"), /"event":"stopped","code":0/);
    assert.equal(program.stdout.text, "");
  });

  it("SIGHUP keeps the old files when the new ones cannot be opened", async (t) => {
    const directory = makeDirectory(t);
    const { mkdirSync } = await import("node:fs");
    mkdirSync(`${directory}/logs`);
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--log-file", `${directory}/logs/fnlb.log`]);
    await untilFile(program, `${directory}/logs/fnlb.log`, "listening");
    renameSync(`${directory}/logs`, `${directory}/moved`);
    program.signal("SIGHUP");
    await untilFile(program, `${directory}/moved/fnlb.log`, "log_reopen_failed");
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });
});

describe("a log that nobody can read any more", () => {
  it("does not end the balancer when the pipe is closed", async (t) => {
    const node = await startFunctionNode(t, { name: "a" });
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", node.address, "--access-log", "-"]);
    const port = await program.port();
    program.child.stdout?.destroy();
    for (let call = 0; call < 3; call++) assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });

  it("does not keep the balancer from ending when the disk is full", { skip: !existsSync("/dev/full") }, async (t) => {
    const directory = makeDirectory(t);
    const socket = `${directory}/fnlb.sock`;
    const program = runProgram(t, ["--listen", `unix:${socket}`, "--log-file", "/dev/full"]);
    const poll = setInterval(() => program.stderr.wake(), 5);
    t.after(() => clearInterval(poll));
    await program.stderr.until("the socket", () => existsSync(socket) || undefined);
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
  });
});
