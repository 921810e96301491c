import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { environment, ROOT } from "./program.js";

const PROGRAM = fileURLToPath(new URL("./mains-main.js", import.meta.url));

/** Arguments, and variables beside those of `environment()`. */
export type MainRuns = readonly { readonly args: readonly string[]; readonly env?: NodeJS.ProcessEnv }[];

/** What the program said and the exit code that it asked for. */
export interface MainRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** As `runToEnd` for each of them, but in one process: to start takes longer than what most commands do. */
export async function runMains(runs: MainRuns): Promise<MainRun[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(runs)], {
    cwd: ROOT,
    env: environment(),
  });
  return JSON.parse(stdout) as MainRun[];
}
