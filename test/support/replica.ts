import type { TestContext } from "node:test";
import type { Clock } from "../../src/core/clock.js";
import type { LogFields } from "../../src/core/log.js";
import type { NodeEdit, Registry } from "../../src/core/registry.js";
import { RedisStore, type RedisStoreOptions } from "../../src/store/redis-store.js";
import type { Store } from "../../src/store/store.js";
import { systemClock } from "../../src/system/clock.js";
import { ByteLog } from "./byte-log.js";
import { seeded } from "./seeded-random.js";

export type ReplicaEvent = LogFields & { readonly level: string };

/** A store as one of several balancers has it, the registry that it watches, and what it has logged. */
export interface Replica<S extends Store = Store> {
  readonly store: S;
  readonly events: readonly ReplicaEvent[];
  /** What it was told of the cluster `c`, oldest first. */
  readonly told: readonly Registry[];
  /** The last of that, as plain data. */
  readonly edits: Readonly<Record<string, NodeEdit>>;
  /** Resolves as soon as `test` is true; it is asked whenever something was told or logged. */
  until(what: string, test: () => boolean): Promise<void>;
  /** Ends it before the test is over. */
  stop(): Promise<void>;
}

/** A store that has gone is looked for again after this at the latest. */
export const BACKOFF_MAX_MS = 200;

/** The cluster that replicas watch. */
export const CLUSTER = "c";

/** Stores of one test file; each has chance of its own. */
let started = 0;

/** Runs a store until the test is over. */
export function runReplica<S extends Store>(
  t: TestContext,
  make: (dependencies: ConstructorParameters<typeof RedisStore>[0]) => S,
  clock: Clock = systemClock,
): Replica<S> {
  const events: ReplicaEvent[] = [];
  const told: Registry[] = [];
  const arrivals = new ByteLog();
  const record = (level: string) => (fields: LogFields) => {
    events.push({ ...fields, level });
    arrivals.wake();
  };
  const log = { debug: record("debug"), info: record("info"), warn: record("warn"), error: record("error") };
  const store = make({ clock, random: seeded(++started), log });
  const stop = new AbortController();
  const onChange = (registry: Registry) => {
    told.push(registry);
    arrivals.wake();
  };
  store.watch(CLUSTER, onChange, stop.signal);
  const running = store.run(stop.signal);
  const end = async () => {
    stop.abort();
    await running;
  };
  t.after(end);
  return {
    store,
    events,
    told,
    get edits() {
      return Object.fromEntries(told.at(-1)?.edits ?? []);
    },
    async until(what, test) {
      const poll = setInterval(() => arrivals.wake(), 5);
      try {
        await arrivals.until(`${what}; events: ${JSON.stringify(events)}`, () => test() || undefined);
      } finally {
        clearInterval(poll);
      }
    },
    stop: end,
  };
}

/** A replica on a server, once it has heard from it. */
export async function startReplica(
  t: TestContext,
  url: string,
  options: Omit<RedisStoreOptions, "url"> = {},
  clock?: Clock,
): Promise<Replica<RedisStore>> {
  const make = (dependencies: ConstructorParameters<typeof RedisStore>[0]) =>
    new RedisStore(dependencies, { backoffMaxMs: BACKOFF_MAX_MS, ...options, url });
  const replica = runReplica(t, make, clock);
  await replica.store.opened();
  return replica;
}
