import type { ChildProcess } from "node:child_process";

/** SIGKILL; resolves when the process is gone and its output has been read. */
export function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("close", () => resolve());
    child.kill("SIGKILL");
  });
}
