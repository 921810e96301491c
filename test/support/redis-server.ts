import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { createClient, RESP_TYPES } from "@redis/client";
import { ByteLog } from "./byte-log.js";
import { killed } from "./killed.js";
import { makeDirectory } from "./program.js";

const COMMAND = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0);

/** Why tests of the shared store are skipped; false where they run. */
export const WITHOUT_REDIS: string | false = COMMAND === undefined && "redis-server is not installed";

/** A real server on a socket of its own. Nothing is kept on disk: one that is killed has lost everything. */
export interface RedisServer {
  readonly url: string;
  readonly socketPath: string;
  /** What somebody does to it from outside. */
  command(...words: readonly string[]): Promise<unknown>;
  /** SIGSTOP: the kernel still accepts connections for it, and nobody answers. */
  freeze(): void;
  thaw(): void;
  /** SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export async function startRedis(t: TestContext, settings: readonly string[] = []): Promise<RedisServer> {
  const directory = makeDirectory(t);
  const socketPath = join(directory, "s");
  const url = `unix://${socketPath}`;
  const output = new ByteLog();
  const basics = ["--port", "0", "--unixsocket", socketPath, "--save", "", "--appendonly", "no", "--dir", directory];
  let child: ChildProcess;
  let starts = 0;

  async function start(): Promise<void> {
    const wanted = ++starts;
    child = spawn(COMMAND ?? "redis-server", [...basics, ...settings], { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout?.on("data", (chunk: Buffer) => output.add(chunk));
    await output.until("the store to listen", () => {
      const ready = output.text.match(/ready to accept connections/gi) ?? [];
      return ready.length < wanted ? undefined : true;
    });
  }

  const kill = () => killed(child);
  t.after(kill);
  await start();
  return {
    url,
    socketPath,
    async command(...words) {
      const client = createClient({ url, commandOptions: { typeMapping: { [RESP_TYPES.MAP]: Array } } });
      client.on("error", () => {});
      await client.connect();
      try {
        return await client.sendCommand(words);
      } finally {
        client.destroy();
      }
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    kill,
    restart: start,
  };
}
