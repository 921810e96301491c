// One measurement: a load run against one proxy, with what the proxy's process used of its CPU meanwhile.
import { readdirSync, readFileSync } from "node:fs";
import { LOAD_CPU, start } from "./processes.js";

/** CPU time of a process with all its threads, in microseconds. */
function cpuUs(pid) {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return ns / 1000;
}

/** Resident memory in MiB: now, and the most since the process began. */
export function memoryMb(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) / 1024;
  return { now: read("VmRSS"), peak: read("VmHWM") };
}

/**
 * Loads `port` and resolves to requests per second, latencies in milliseconds, errors, and what process `pid`
 * (undefined: none is watched) used of its CPU: microseconds a request, and the share of the time. Where that share
 * is well below one, something else held the proxy up. `onBegin` is called as the warm-up ends.
 */
export function measure({ load, port, kind, connections, warmupMs, measureMs, pid, onBegin }) {
  const command = [load, String(port), kind, String(connections), String(warmupMs), String(measureMs)];
  const child = start(LOAD_CPU, command, { stdio: ["ignore", "pipe", "inherit"] });
  let before = 0;
  let output = "";
  let hasBegun = false;
  child.stdout.on("data", (chunk) => {
    output += chunk;
    if (!hasBegun && output.startsWith("measuring")) {
      hasBegun = true;
      onBegin?.();
    }
    if (before === 0 && pid !== undefined && output.startsWith("measuring")) before = cpuUs(pid);
  });
  return new Promise((resolve, reject) => {
    child.once("close", (code) => {
      if (code !== 0) {
        reject(new Error(`the load generator ended with ${code}`));
        return;
      }
      const used = pid === undefined ? 0 : cpuUs(pid) - before;
      const { requests, errors, seconds, p50, p99, stuck } = JSON.parse(output.trim().split("\n").at(-1));
      resolve({
        rate: requests / seconds,
        cpuUs: used / requests,
        busy: used / seconds / 1e6,
        p50Ms: p50 / 1000,
        p99Ms: p99 / 1000,
        errors,
        stuck,
      });
    });
  });
}
