import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ByteLog } from "./byte-log.js";
import { connectClient, type RawClient } from "./raw-peer.js";

/** A call that was not answered by 200 and with what it had sent. */
export interface LostCall {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** Of the calls of this method's client at this port, from 0. */
  readonly number: number;
  /** A status and a code, or what became of the connection. */
  readonly why: string;
}

/**
 * Clients that call all the time: at each port one that says GET and PUT in turn, with a body of 1,000 bytes, and one that
 * says POST, in chunks.
 */
export interface MixedLoad {
  /** GET and PUT: they may be repeated, and so none may ever be lost. */
  readonly lost: readonly LostCall[];
  readonly lostPosts: readonly LostCall[];
  /** Calls that were answered. */
  readonly answered: number;
  /** Which node answered each path last at a port, as far as it is known now. */
  homes(port: number): ReadonlyMap<string, string>;
  /** How many calls the POST client of a port has begun. */
  postsBegun(port: number): number;
  /** Resolves, to the names of those who answered, when both clients of a port have asked for all paths from now on. */
  served(port: number): Promise<string[]>;
  /** Ends after the calls that are under way. */
  stop(): Promise<void>;
}

const PATHS = Array.from({ length: 100 }, (_, number) => `/f/${number}`);
const BODY = "x".repeat(1000);
const CHUNKS = `a\r\n0123456789\r\n1f4\r\n${"y".repeat(500)}\r\n0\r\n\r\n`;
const CHUNKS_BYTES = 510;
/** Between two calls of a client: a load is to be felt, and leave time for everything else on a small machine. */
const PAUSE_MS = 2;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly bytes: string;
  readonly bodyBytes: number;
}

interface Caller {
  readonly port: number;
  readonly callOf: (number: number) => Call;
  readonly lost: LostCall[];
  begun: number;
}

const head = (method: string, path: string) => `${method} ${path} HTTP/1.1\r\nHost: fn\r\n`;

function readOrReplace(number: number): Call {
  const path = PATHS[number % PATHS.length];
  // Each path is read in one round and replaced in the next.
  if ((number + Math.floor(number / PATHS.length)) % 2 === 0)
    return { method: "GET", path, bytes: `${head("GET", path)}\r\n`, bodyBytes: 0 };
  const bytes = `${head("PUT", path)}Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
  return { method: "PUT", path, bytes, bodyBytes: BODY.length };
}

function post(number: number): Call {
  const path = PATHS[number % PATHS.length];
  const bytes = `${head("POST", path)}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`;
  return { method: "POST", path, bytes, bodyBytes: CHUNKS_BYTES };
}

/** Runs until it is stopped, at the latest when the test is over. */
export function startMixedLoad(t: TestContext, ports: readonly number[]): MixedLoad {
  const lost: LostCall[] = [];
  const lostPosts: LostCall[] = [];
  const homes = new Map<number, Map<string, string>>(ports.map((port) => [port, new Map()]));
  const progress = new ByteLog();
  let answered = 0;
  let isEnding = false;

  async function callOnce(client: RawClient, { port, lost }: Caller, call: Call, number: number): Promise<void> {
    const { method, path, bytes, bodyBytes } = call;
    const lose = (why: string) => lost.push({ port, method, path, number, why });
    try {
      const response = await client.ask(bytes, method);
      const answer = response.json();
      if (response.status !== 200) return void lose(`${response.status} ${answer.code}`);
      if (answer.target !== path || answer.bodyBytes !== bodyBytes) return void lose(JSON.stringify(answer));
      homes.get(port)?.set(path, String(answer.node));
      answered++;
    } catch (error) {
      lose(String(error));
    }
  }

  async function runCaller(caller: Caller): Promise<void> {
    let client = await connectClient(t, caller.port);
    while (!isEnding) {
      const number = caller.begun++;
      const before = caller.lost.length;
      await callOnce(client, caller, caller.callOf(number), number);
      progress.wake();
      if (caller.lost.length > before) {
        // The connection may have been closed behind a refusal.
        client.destroy();
        client = await connectClient(t, caller.port);
      }
      await pause(PAUSE_MS);
    }
    client.destroy();
  }

  const readers = ports.map((port): Caller => ({ port, callOf: readOrReplace, lost, begun: 0 }));
  const posters = ports.map((port): Caller => ({ port, callOf: post, lost: lostPosts, begun: 0 }));
  const running = Promise.all([...readers, ...posters].map(runCaller));
  const stop = async () => {
    isEnding = true;
    await running;
  };
  t.after(stop);
  return {
    lost,
    lostPosts,
    get answered() {
      return answered;
    },
    homes: (port) => new Map(homes.get(port)),
    postsBegun: (port) => posters.find((caller) => caller.port === port)?.begun ?? 0,
    async served(port) {
      const callers = [...readers, ...posters].filter((caller) => caller.port === port);
      const untilEach = (what: string, more: number) => {
        const goals = callers.map(({ begun }) => begun + more);
        return progress.until(what, () => callers.every(({ begun }, index) => begun >= goals[index]) || undefined);
      };
      // The calls that are under way were routed by what was known before.
      await untilEach(`the end of calls at ${port}`, 1);
      homes.get(port)?.clear();
      await untilEach(`calls of all paths at ${port}`, PATHS.length + 1);
      return [...new Set(homes.get(port)?.values())].sort();
    },
    stop,
  };
}
