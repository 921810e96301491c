import { readFileSync } from "node:fs";

/** What is assumed where the system does not say. */
const NOFILE_ASSUMED = 1024;
/** Descriptors for listeners, logs, pings and the runtime itself. */
const RESERVED = 64;

/** The soft limit of open files of this process; the runtime has raised it to the hard one at its start. */
export function descriptorLimit(readLimits = () => readFileSync("/proc/self/limits", "utf8")): number {
  let text: string;
  try {
    text = readLimits();
  } catch {
    // No such file outside Linux.
    return NOFILE_ASSUMED;
  }
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(text)?.[1];
  if (soft === "unlimited") return Number.MAX_SAFE_INTEGER;
  return soft === undefined ? NOFILE_ASSUMED : Number(soft);
}

/** Client connections that descriptors suffice for when each has a connection to a node as well. */
export function connectionsWithin(nofile: number): number {
  return Math.max(1, Math.floor((nofile - RESERVED) / 2));
}
