import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { ByteLog } from "../support/byte-log.js";
import { holdPort } from "../support/held-port.js";
import { orderOf } from "../support/paths.js";
import { connectClient } from "../support/raw-peer.js";

const hasPython = spawnSync("python3", ["--version"]).status === 0;

interface PythonServer {
  readonly name: string;
  port: number;
  child: ChildProcess;
}

/** `python3 -m http.server` on a folder whose every file says the server's name. */
async function startPython(t: TestContext, folder: string, name: string, port: number): Promise<PythonServer> {
  const child = spawn(
    "python3",
    ["-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind", "127.0.0.1", "--directory", folder, String(port)],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  t.after(() => stop(child));
  const output = new ByteLog();
  child.stdout.on("data", (chunk: Buffer) => output.add(chunk));
  const bound = await output.until("python to listen", () => /port (\d+)/.exec(output.text)?.[1]);
  return { name, port: Number(bound), child };
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

describe("in front of servers that are not ours", { skip: hasPython ? false : "python3 is not installed" }, () => {
  it("serves, sticks by path, falls back and recovers", async (t) => {
    const root = mkdtempSync(join(tmpdir(), "fnlb-"));
    t.after(() => rmSync(root, { recursive: true }));
    const files = Array.from({ length: 20 }, (_, number) => `f${number}`);
    const servers: PythonServer[] = [];
    for (const name of ["a", "b", "c"]) {
      mkdirSync(join(root, name));
      for (const file of files) writeFileSync(join(root, name, file), name);
      servers.push(await startPython(t, join(root, name), name, 0));
    }
    const { port, config, event } = await startBalancer(t, {
      nodes: servers.map((server) => server.port),
      pingIntervalMs: 100,
    });
    const client = await connectClient(t, port);
    const ask = async (file: string) => (await client.ask(`GET /${file} HTTP/1.1\r\nHost: fn\r\n\r\n`)).body.toString();
    const expected = (file: string, isDead: (id: string) => boolean) => {
      const id = orderOf(config.nodes, `/${file}`).find((candidate) => !isDead(candidate));
      return servers.find((server) => id === `127.0.0.1:${server.port}`)?.name;
    };
    for (let round = 0; round < 2; round++) {
      for (const file of files)
        assert.equal(
          await ask(file),
          expected(file, () => false),
        );
    }
    const [first] = servers;
    await stop(first.child);
    const letGo = await holdPort(first.port);
    t.after(letGo);
    for (const file of files)
      assert.equal(
        await ask(file),
        expected(file, (id) => id === `127.0.0.1:${first.port}`),
      );
    await startPython(t, join(root, "a"), "a", first.port);
    letGo();
    await event("node_alive");
    for (const file of files)
      assert.equal(
        await ask(file),
        expected(file, () => false),
      );
  });
});
