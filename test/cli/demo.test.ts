import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { makeDirectory, type Program, runProgram, runToEnd } from "../support/program.js";

interface DemoNode {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

async function startDemo(
  t: TestContext,
  listen = "127.0.0.1:0",
  more: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
) {
  const program = runProgram(t, ["demo", "--listen", listen, ...more], { env });
  await program.stdout.untilText("Ctrl-C ends all of it");
  const nodes: DemoNode[] = [...program.stdout.text.matchAll(/^ {2}node (\w) +127\.0\.0\.1:(\d+) +pid (\d+)$/gm)].map(
    ([, name, port, pid]) => ({ name, port: Number(port), pid: Number(pid) }),
  );
  assert.equal(nodes.length, 3);
  return { program, nodes };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
    return false;
  }
}

function endIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
  }
}

/** Every node process is gone, those that were started again included. */
async function untilGone(program: Program, nodes: readonly DemoNode[]): Promise<void> {
  const again = [...program.stdout.text.matchAll(/started again as pid (\d+)/g)].map(([, pid]) => Number(pid));
  const poll = setInterval(() => program.stdout.wake(), 5);
  try {
    await program.stdout.until("the nodes to be gone", () =>
      [...nodes.map(({ pid }) => pid), ...again].some(isAlive) ? undefined : true,
    );
  } finally {
    clearInterval(poll);
  }
}

describe("fnlb demo", () => {
  it("serves, survives the kill of a node, starts it again, and leaves no process behind", async (t) => {
    const { program, nodes } = await startDemo(t);
    const url = /^ {2}fnlb +(http:\S+)$/m.exec(program.stdout.text)?.[1];
    const ask = async (path: string) => {
      const response = await fetch(`${url}${path}`);
      assert.equal(response.status, 200);
      await response.text();
      return response.headers.get("x-node");
    };
    assert.equal(await ask("/hello"), await ask("/hello"));
    await program.stdout.untilText("| 0 lost");

    const home = await ask("/hello");
    const victim = nodes.find(({ name }) => name === home) as DemoNode;
    process.kill(victim.pid, "SIGKILL");
    await program.stdout.untilText(`node ${home} has ended (SIGKILL)`);
    assert.notEqual(await ask("/hello"), home);
    await program.stdout.untilText(`fnlb: node ${home} is dead`);
    await program.stdout.untilText(`node ${home} has started again as pid`);
    await program.stdout.untilText(`fnlb: node ${home} is alive again`);
    assert.equal(await ask("/hello"), home);
    assert.doesNotMatch(program.stdout.text, /\| [1-9]\d* lost/);

    program.signal("SIGINT");
    assert.equal(await program.ended(), 0);
    assert.equal(program.stderr.text, "");
    await untilGone(program, nodes);
  });

  it("takes even a frozen node with it", async (t) => {
    const { program, nodes } = await startDemo(t, `unix:${makeDirectory(t)}/fnlb.sock`);
    await program.stdout.untilText("| 0 lost");
    process.kill(nodes[1].pid, "SIGSTOP");
    await program.stdout.untilText("accepts but does not answer");
    program.signal("SIGTERM");
    await program.ended();
    await untilGone(program, nodes);
  });

  it("leaves no node behind when it is killed itself", async (t) => {
    const { program, nodes } = await startDemo(t);
    program.signal("SIGKILL");
    assert.equal(await program.ended(), "SIGKILL");
    await untilGone(program, nodes);
  });

  it("opens its page beside whoever has the usual port, and says how it is operated there", async (t) => {
    const squatter = createServer();
    await new Promise<void>((resolve) => {
      // Taken already is as good.
      squatter.once("error", () => resolve());
      squatter.listen(9081, "127.0.0.1", resolve);
    });
    t.after(() => squatter.close());
    // Left over from a balancer that wants it: the demo does not.
    const { program, nodes } = await startDemo(t, undefined, [], { FNLB_ADMIN_TOKEN: "0123456789abcdef" });
    const url = /^ {2}page +(http:\/\/127\.0\.0\.1:(?!9081)\d+\/)$/m.exec(program.stdout.text)?.[1] ?? assert.fail();
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<title>fnlb<\/title>/);

    const [, command] = /npx fnlb (nodes drain \S+ --admin \S+)/.exec(program.stdout.text) ?? assert.fail();
    const [, , victim, ...place] = command.split(" ");
    const { name } = nodes.find(({ port }) => victim === `127.0.0.1:${port}`) ?? assert.fail();
    const run = async (...args: readonly string[]) => {
      const { code, stderr } = await runToEnd(t, ["nodes", ...args, ...place]);
      assert.deepEqual([code, stderr], [0, ""]);
    };
    await run("drain", victim);
    await program.stdout.untilText(`fnlb: node ${name} is draining\n`);
    await program.stdout.untilText(`${name} draining `);
    await run("enable", victim);
    await program.stdout.untilText(`fnlb: node ${name} is active again\n`);
    await run("remove", victim);
    await program.stdout.untilText(`fnlb: node ${name} is removed`);
    await program.stdout.untilText(`${name} removed `);
    await run("add", victim);
    await program.stdout.untilText(`fnlb: node ${name} is added`);
    program.signal("SIGINT");
    assert.equal(await program.ended(), 0);
    assert.doesNotMatch(program.stdout.text, /\| [1-9]\d* lost/);
  });

  it("opens the admin API where it is told to", async (t) => {
    const admin = `unix:${makeDirectory(t)}/admin.sock`;
    const { program } = await startDemo(t, undefined, ["--admin", admin]);
    assert.ok(program.stdout.text.includes(`\n  admin   ${admin}\n`), program.stdout.text);
    assert.equal((await runToEnd(t, ["status", "--admin", admin])).code, 0);
  });

  it("starts no node again while it ends", async (t) => {
    const { program, nodes } = await startDemo(t);
    await program.stdout.untilText("| 0 lost");
    // As to a whole group of processes.
    program.signal("SIGTERM");
    await program.stdout.untilText("ending: ");
    for (const { pid } of nodes) endIfAlive(pid);
    await program.ended();
    await untilGone(program, nodes);
    assert.doesNotMatch(program.stdout.text, /it starts again/);
  });
});
