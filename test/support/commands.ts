import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { ByteLog } from "./byte-log.js";
import { killed } from "./killed.js";
import { shareUntilEnd } from "./leftovers.js";
import { environment, ROOT } from "./program.js";

/** To the process that runs commands. */
export interface CommandAsked {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** What a command printed, one character a byte, and its exit code. */
export interface CommandEnded {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const HOST = fileURLToPath(new URL("./command-host-main.js", import.meta.url));

/** Of this test file. */
let host: Promise<Host> | undefined;

/**
 * What the program prints for these arguments and how it ends, as `runToEnd` has it, without a process of its own: all
 * commands of a test file run in one, one at a time. For those that end by themselves and leave nothing running.
 */
export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandEnded> {
  host ??= startHost();
  return (await host).run({ args, env: { ...environment(), ...env } });
}

interface Host {
  run(asked: CommandAsked): Promise<CommandEnded>;
}

async function startHost(): Promise<Host> {
  const child: ChildProcess = fork(HOST, [], { cwd: ROOT, execArgv: [], stdio: ["ignore", "pipe", "pipe", "ipc"] });
  shareUntilEnd(() => killed(child));
  // A file that is run without the runner ends as well: only waiting for a command keeps it.
  child.unref();
  child.channel?.unref();
  for (const pipe of [child.stdout, child.stderr]) (pipe as Socket | null)?.unref();
  const output = new ByteLog();
  const answers: CommandEnded[] = [];
  let last: Promise<unknown> = Promise.resolve();
  child.stdout?.on("data", (chunk: Buffer) => output.add(chunk));
  child.stderr?.on("data", (chunk: Buffer) => output.add(chunk));
  child.on("message", (answer: CommandEnded) => {
    answers.push(answer);
    output.wake();
  });
  child.on("close", () => {
    output.isClosed = true;
    output.wake();
  });
  const runNow = async (asked: CommandAsked): Promise<CommandEnded> => {
    child.send(asked);
    const answer = await output.until(`the end of fnlb ${asked.args.join(" ")}`, () =>
      output.isClosed ? "crashed" : answers.shift(),
    );
    assert.notEqual(answer, "crashed", `fnlb ${asked.args.join(" ")}: ${output.text}`);
    return answer as CommandEnded;
  };
  return {
    run(asked) {
      const running = last.then(() => runNow(asked));
      // Whoever asked hears of the failure.
      last = running.catch(() => undefined);
      return running;
    },
  };
}
