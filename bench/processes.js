// The processes of a run: which CPU each is bound to, and that none of them outlives it.
import { spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** The proxy has a CPU of its own, generator and nodes share another. */
export const PROXY_CPU = 0;
export const LOAD_CPU = 1;

/** Can processes be bound to CPUs here, and are there two? */
export const CAN_PIN = availableParallelism() > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0;

const running = new Set();

/** Spawns a command on a CPU; `endAll` ends it if nothing else did. */
export function start(cpu, command, options) {
  const [program, ...args] = CAN_PIN ? ["taskset", "-c", String(cpu), ...command] : command;
  const child = spawn(program, args, options);
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** At once: nothing here has anything to lose. */
export function endAll() {
  for (const child of running) child.kill("SIGKILL");
}
