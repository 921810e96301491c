import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { ByteLog } from "./byte-log.js";

/** The top of the repository: tests run compiled, some directories below it. */
export const ROOT = findRoot();
export const PROGRAM = join(ROOT, "bin/fnlb.js");

/** One line of the program's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string };

/** The real program as a process. */
export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: ByteLog;
  readonly stderr: ByteLog;
  /** The events that it has logged to standard output, lines of other kinds left out. */
  readonly events: readonly LogLine[];
  /** The next event of that name that no call has given out yet, as soon as it is logged. */
  event(name: string): Promise<LogLine>;
  /** Where it listens, in order, once it has said so `count` times. */
  addresses(count?: number): Promise<string[]>;
  /** Port of its first listener. */
  port(): Promise<number>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when it has ended and everything it wrote was read: an exit code, or the signal that killed it. */
  ended(): Promise<number | NodeJS.Signals>;
}

export interface ProgramOptions {
  /** Instead of the environment without any FNLB_ variable but FNLB_SOCKETS, which chooses the mode under test. */
  readonly env?: NodeJS.ProcessEnv;
  /** Handed down as descriptors 3, 4, …. */
  readonly descriptors?: readonly number[];
  readonly program?: string;
  readonly cwd?: string;
}

/** Runs `node bin/fnlb.js` with these arguments; it is killed when the test is over. */
export function runProgram(t: TestContext, args: readonly string[], options: ProgramOptions = {}): Program {
  const { env = {}, descriptors = [], program = PROGRAM, cwd = ROOT } = options;
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...environment(), ...env },
    stdio: ["ignore", "pipe", "pipe", ...descriptors],
  });
  const stdout = new ByteLog();
  const stderr = new ByteLog();
  const given = new Set<string>();
  const end = new ByteLog();
  let outcome: number | NodeJS.Signals | undefined;
  child.stdout?.on("data", (chunk: Buffer) => stdout.add(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.add(chunk));
  child.once("close", (code, signal) => {
    outcome = code ?? signal ?? undefined;
    end.wake();
  });
  const ended = () => end.until(`the end of fnlb ${args.join(" ")}`, () => outcome);
  t.after(async () => {
    child.kill("SIGKILL");
    await ended();
  });
  const lines = () => stdout.text.split("\n").slice(0, -1).filter(isEvent);
  const self: Program = {
    child,
    pid: child.pid ?? 0,
    stdout,
    stderr,
    get events() {
      return lines().map((line) => JSON.parse(line) as LogLine);
    },
    async event(name) {
      const line = await stdout.until(`event ${name}`, () =>
        lines().find((candidate) => !given.has(candidate) && (JSON.parse(candidate) as LogLine).event === name),
      );
      given.add(line);
      return JSON.parse(line) as LogLine;
    },
    addresses: (count = 1) =>
      stdout.until(`${count} listeners`, () => {
        const listening = self.events.filter(({ event }) => event === "listening");
        return listening.length < count ? undefined : listening.map(({ address }) => String(address));
      }),
    async port() {
      const [address] = await self.addresses();
      return Number(/:(\d+)$/.exec(address)?.[1]);
    },
    signal: (name) => void child.kill(name),
    ended,
  };
  return self;
}

/** What it printed and how it ended, for commands that end by themselves. */
export async function runToEnd(t: TestContext, args: readonly string[], options: ProgramOptions = {}) {
  const program = runProgram(t, args, options);
  const code = await program.ended();
  return { code, stdout: program.stdout.text, stderr: program.stderr.text };
}

/** An empty directory that is removed when the test is over. */
export function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "fnlb-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** This process's environment without what would configure the program. */
export function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("FNLB_") || name === "FNLB_SOCKETS"),
  );
}

function isEvent(line: string): boolean {
  return line.startsWith('{"level":');
}

function findRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "bin/fnlb.js"))) directory = dirname(directory);
  return directory;
}
