import { type Clock, sleep } from "../core/clock.js";
import type { Node } from "../core/node.js";
import type { Ping } from "./ping.js";

export interface PingLoopDependencies {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly ping: Ping;
  /** Called for each ping, so that it can be counted. */
  readonly onPing: () => void;
}

export interface PingLoopOptions {
  /** Pause between two pings; each is moved by up to 20 % so that replicas do not ping in step. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/**
 * Pings one dead node until it accepts a connection. One loop a node: a black hole delays nobody else.
 * Resolves to "alive", or to "stopped" when the signal ended it.
 */
export async function runPingLoop(
  { clock, random, ping, onPing }: PingLoopDependencies,
  { intervalMs, timeoutMs }: PingLoopOptions,
  node: Node,
  signal: AbortSignal,
): Promise<"alive" | "stopped"> {
  while (await sleep(clock, intervalMs * (0.8 + 0.4 * random()), signal)) {
    onPing();
    if (await ping(node, timeoutMs, signal)) return "alive";
  }
  return "stopped";
}
