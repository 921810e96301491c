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
      if (typeof stream === "string") continue;
      stream.destroy();
      return true;
    }
    return false;
  };
}

/** One connection, or the code of why there is none: that of the system, ETIMEDOUT, or ECANCELED when nobody wants it any longer. */
export function dialOnce(
  clock: Clock,
  dial: Dial,
  target: DialTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ByteStream | string> {
  return new Promise((resolve) => {
    const finish = (outcome: ByteStream | string) => {
      cancelTimer();
      signal.removeEventListener("abort", stop);
      resolve(outcome);
    };
    const giveUp = (code: string) => {
      cancelDial();
      finish(code);
    };
    const stop = () => giveUp("ECANCELED");
    const cancelTimer = clock.after(timeoutMs, () => giveUp("ETIMEDOUT"));
    const cancelDial = dial(target, { onDialed: finish, onDialFailed: finish });
    signal.addEventListener("abort", stop, { once: true });
  });
}
