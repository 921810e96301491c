import { type ChildProcess, spawn } from "node:child_process";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { ByteLog } from "./byte-log.js";
import { holdPort } from "./held-port.js";
import { killed } from "./killed.js";
import { connectClient } from "./raw-peer.js";

const PROGRAM = fileURLToPath(new URL("./node-process-main.js", import.meta.url));

/** A function node in a process of its own, so that it can be frozen and killed. */
export interface NodeProcess {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** What it has printed: `listening PORT`, then `seen METHOD TARGET` for each head that it read; restarts included. */
  readonly output: ByteLog;
  /** SIGSTOP: the kernel still accepts connections for it, and nobody answers. */
  freeze(): void;
  thaw(): void;
  /** SIGKILL, and resolves when it is gone: its port refuses. */
  kill(): Promise<void>;
  /** Starts it again on the same port and resolves when it listens. */
  restart(): Promise<void>;
}

export interface NodeProcessOptions {
  readonly name: string;
  readonly port?: number;
  /** Connections that wait to be accepted. Default 511. */
  readonly backlog?: number;
}

export async function startNodeProcess(
  t: TestContext,
  { name, port = 0, backlog = 511 }: NodeProcessOptions,
): Promise<NodeProcess> {
  const output = new ByteLog();
  let child: ChildProcess;
  let boundPort = port;
  let starts = 0;
  let letGo = () => {};

  async function start(): Promise<void> {
    starts++;
    const wanted = starts;
    child = spawn(process.execPath, [PROGRAM, name, String(boundPort), String(backlog)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout?.on("data", (chunk: Buffer) => output.add(chunk));
    boundPort = await output.until(`node ${name} to listen`, () => {
      const lines = [...output.text.matchAll(/^listening (\d+)$/gm)];
      return lines.length < wanted ? undefined : Number(lines[wanted - 1][1]);
    });
    letGo();
  }

  t.after(async () => {
    await killed(child);
    letGo();
  });
  await start();
  return {
    name,
    get port() {
      return boundPort;
    },
    get pid() {
      return child.pid ?? 0;
    },
    output,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async kill() {
      await killed(child);
      letGo = await holdPort(boundPort);
    },
    restart: start,
  };
}

/**
 * A black hole: a frozen process whose queue of connections is full, so that the kernel drops the SYN of every
 * further dial. An unroutable address would prove nothing, for a router may answer it.
 */
export async function startBlackHole(t: TestContext): Promise<NodeProcess> {
  const hole = await startNodeProcess(t, { name: "hole", backlog: 1 });
  hole.freeze();
  // Linux queues one connection more than the backlog says.
  for (let queued = 0; queued < 2; queued++) await connectClient(t, hole.port);
  return hole;
}
