// Which CPU does what: the proxy has one of its own, generator and nodes share another.
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

export const PROXY_CPU = 0;
export const LOAD_CPU = 1;

/** Can processes be bound to CPUs here, and are there two? */
export const CAN_PIN = availableParallelism() > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0;

/** The command, bound to a CPU where that is possible. */
export function pinned(cpu, command) {
  return CAN_PIN ? ["taskset", "-c", String(cpu), ...command] : command;
}
