import { execFile, spawn, spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { ByteLog } from "./byte-log.js";
import { environment, PROGRAM, ROOT } from "./program.js";

/** Why there are no pseudo terminals here; false where there are. */
export const NO_PSEUDO_TERMINAL: string | false =
  spawnSync("script", ["--version"]).status === 0 ? false : "script (bsdutils) is not installed";

/** The program on a terminal of its own. */
export interface TerminalProgram {
  /** What a terminal would show, control sequences included. */
  readonly screen: ByteLog;
  /** Asks the program to end. */
  signal(name: NodeJS.Signals): void;
  resize(columns: number, rows: number): Promise<void>;
  /** Resolves to its exit code. */
  ended(): Promise<number>;
}

export interface TerminalProgramOptions {
  readonly columns: number;
  readonly rows: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs `node bin/fnlb.js` with these arguments, which need no quotes, on a pseudo terminal; it is killed when the test is over. */
export async function runOnTerminal(
  t: TestContext,
  args: readonly string[],
  { columns, rows, env = {} }: TerminalProgramOptions,
): Promise<TerminalProgram> {
  const program = [process.execPath, PROGRAM, ...args].join(" ");
  const command = `stty cols ${columns} rows ${rows}; echo "at $(tty) $$"; exec ${program}`;
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    cwd: ROOT,
    env: { ...environment(), TERM: "xterm", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const screen = new ByteLog();
  const end = new ByteLog();
  let code: number | undefined;
  child.stdout.on("data", (chunk: Buffer) => screen.add(chunk));
  child.once("close", (status) => {
    code = status ?? -1;
    end.wake();
  });
  const ended = () => end.until(`the end of fnlb ${args.join(" ")}`, () => code);
  const [, terminal, pid] = await screen.until(
    "the terminal",
    () => /at (\S+) (\d+)\r?\n/.exec(screen.text) ?? undefined,
  );
  t.after(async () => {
    if (code === undefined) {
      process.kill(Number(pid), "SIGKILL");
      child.kill("SIGKILL");
    }
    await ended();
  });
  return {
    screen,
    signal(name) {
      try {
        process.kill(Number(pid), name);
      } catch (error) {
        // It has ended by itself.
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
      // It stops with the program that it has started.
      if (name === "SIGCONT") child.kill(name);
    },
    async resize(nextColumns, nextRows) {
      await promisify(execFile)("stty", ["-F", terminal, "cols", String(nextColumns), "rows", String(nextRows)]);
    },
    ended,
  };
}
