import type { TestContext } from "node:test";
import { ByteLog } from "./byte-log.js";
import { connectClient } from "./raw-peer.js";

/** Clients that call all the time, one at each port. */
export interface Load {
  /** Answers other than 200 and connections that broke, with what was asked and of whom. */
  readonly lost: readonly string[];
  /** Resolves, to the names of those who answered, when all paths have been asked at this port from now on. */
  served(port: number): Promise<string[]>;
  /** The client of a port leaves, between two calls: whoever listens there may be killed. */
  leave(port: number): Promise<void>;
  /** One more client. */
  join(port: number): Promise<void>;
  /** Ends after the calls that are under way. */
  stop(): Promise<void>;
}

const PATHS = Array.from({ length: 60 }, (_, number) => `/f/${number}`);

interface Caller {
  calls: number;
  isLeaving: boolean;
  running: Promise<void>;
}

/** Runs until the test is over. */
export async function startLoad(t: TestContext, ports: readonly number[]): Promise<Load> {
  const lost: string[] = [];
  const names = new Map<number, string[]>();
  const callers = new Map<number, Caller>();
  const progress = new ByteLog();

  async function runCaller(port: number, caller: Caller): Promise<void> {
    const client = await connectClient(t, port);
    for (; !caller.isLeaving; caller.calls++) {
      const path = PATHS[caller.calls % PATHS.length];
      try {
        const response = await client.ask(`GET ${path} HTTP/1.1\r\nHost: fn\r\n\r\n`);
        if (response.status === 200) names.get(port)?.push(String(response.json().node));
        else lost.push(`${path} at ${port}: ${response.status}`);
      } catch (error) {
        lost.push(`${path} at ${port}: ${String(error)}`);
        return;
      }
      progress.wake();
    }
    client.destroy();
  }

  async function join(port: number): Promise<void> {
    const caller: Caller = { calls: 0, isLeaving: false, running: Promise.resolve() };
    caller.running = runCaller(port, caller);
    callers.set(port, caller);
  }

  async function leave(port: number): Promise<void> {
    const caller = callers.get(port);
    callers.delete(port);
    if (caller === undefined) return;
    caller.isLeaving = true;
    await caller.running;
  }

  const stop = async () => {
    for (const port of [...callers.keys()]) await leave(port);
  };
  t.after(stop);
  for (const port of ports) await join(port);
  return {
    lost,
    async served(port) {
      const caller = callers.get(port);
      if (caller === undefined) throw new Error(`nobody calls at ${port}`);
      // The call that is under way was routed by what was known before.
      const first = caller.calls + 1;
      const untilCalls = (count: number) =>
        progress.until(`${count} calls at ${port}`, () => (caller.calls >= count ? true : undefined));
      await untilCalls(first);
      const answers: string[] = [];
      names.set(port, answers);
      await untilCalls(first + PATHS.length);
      names.delete(port);
      return [...new Set(answers)].sort();
    },
    leave,
    join,
    stop,
  };
}
