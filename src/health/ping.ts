import type { Clock } from "../core/clock.js";
import type { Node } from "../core/node.js";
import type { ByteStream, Dial, DialTarget } from "../core/stream.js";

export interface PingDependencies {
  readonly clock: Clock;
  readonly dial: Dial;
  readonly targetsOf: (node: Node) => readonly DialTarget[];
}

/** Does the node accept a connection within `timeoutMs`? Any of its addresses will do. */
export type Ping = (node: Node, timeoutMs: number, signal: AbortSignal) => Promise<boolean>;

/** A TCP (or unix socket) connect and nothing else. */
export function tcpPing({ clock, dial, targetsOf }: PingDependencies): Ping {
  return async (node, timeoutMs, signal) => {
    for (const target of targetsOf(node)) {
      if (signal.aborted) return false;
      const stream = await dialOnce(clock, dial, target, timeoutMs, signal);
      if (stream === undefined) continue;
      stream.destroy();
      return true;
    }
    return false;
  };
}

/** One connection, or `undefined` when it failed, took too long or is no longer wanted. */
export function dialOnce(
  clock: Clock,
  dial: Dial,
  target: DialTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ByteStream | undefined> {
  return new Promise((resolve) => {
    const finish = (stream: ByteStream | undefined) => {
      cancelTimer();
      signal.removeEventListener("abort", giveUp);
      resolve(stream);
    };
    const giveUp = () => {
      cancelDial();
      finish(undefined);
    };
    const cancelTimer = clock.after(timeoutMs, giveUp);
    const cancelDial = dial(target, { onDialed: finish, onDialFailed: () => finish(undefined) });
    signal.addEventListener("abort", giveUp, { once: true });
  });
}
