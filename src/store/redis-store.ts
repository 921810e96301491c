import { ErrorReply } from "@redis/client";
import { type Clock, sleep } from "../core/clock.js";
import type { Log } from "../core/log.js";
import type { NodeChange, Registry, StoreState } from "../core/registry.js";
import { FnlbError } from "../errors.js";
import { checkChanges, checkSession, fullRegistry, movedRegistry, STATEMENTS_MAX } from "./limits.js";
import { RedisConnection, type Reply } from "./redis-connection.js";
import { epochOf, isLoss } from "./registry-version.js";
import { EDIT, RESTORE } from "./scripts.js";
import { editsBefore, editsOf, presenceOf, statementsOf } from "./statements.js";
import type { EditedRegistry, EditGuard, SessionMap, Store } from "./store.js";
import { Watchers } from "./watchers.js";

export interface RedisStoreDependencies {
  readonly clock: Clock;
  /** A number in [0, 1). Replicas must not draw the same. */
  readonly random: () => number;
  readonly log: Log;
}

export interface RedisStoreOptions {
  /** `redis://user:password@host:6379/0`, `rediss://…` over TLS, `unix:///run/redis.sock?db=0`. */
  readonly url: string;
  /** Time to connect, and for each answer. Default 2,000. */
  readonly timeoutMs?: number;
  /** Pause between two looks whether something has changed, give or take 20 %: what a lost message costs. Default 500. */
  readonly lookIntervalMs?: number;
  /** The first pause before connecting again; it doubles up to the second, less up to half of it by chance. Default 100. */
  readonly backoffMs?: number;
  /** Default 2,000. */
  readonly backoffMaxMs?: number;
}

type Phase =
  | { readonly kind: "connecting" }
  | { readonly kind: "up"; readonly connection: RedisConnection }
  | { readonly kind: "down" }
  | { readonly kind: "closed" };

/** One for all clusters and databases: whoever hears of a change that is not meant for it looks once too often. */
const CHANNEL = "fnlb:registry";
/** Callers that may wait for the store at once. */
const PENDING_MAX = 1000;
/** Turns of an edit: each one more means that the registry was emptied or begun anew in between. */
const EDIT_TURNS_MAX = 3;

/** A store on a Redis or Valkey server that several replicas share. */
export class RedisStore implements Store {
  readonly #dependencies: RedisStoreDependencies;
  readonly #options: Required<RedisStoreOptions>;
  readonly #watchers = new Watchers();
  /** What is done to a registry is done one after the other, so that no old answer comes after a new one. */
  readonly #turns = new Map<string, Promise<void>>();
  /** Registries that will be looked at when it is their turn. */
  readonly #doubted = new Set<string>();
  readonly #opened: Promise<void>;
  #onOpened: () => void = () => {};
  #phase: Phase = { kind: "connecting" };
  #pending = 0;

  constructor(dependencies: RedisStoreDependencies, options: RedisStoreOptions) {
    this.#dependencies = dependencies;
    this.#options = { timeoutMs: 2000, lookIntervalMs: 500, backoffMs: 100, backoffMaxMs: 2000, ...options };
    this.#opened = new Promise((resolve) => {
      this.#onOpened = resolve;
    });
  }

  get state(): StoreState {
    return this.#phase.kind;
  }

  opened(): Promise<void> {
    return this.#opened;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#dependencies;
    const { backoffMs, backoffMaxMs } = this.#options;
    let failures = 0;
    let pauseMs: number;
    do {
      const { wasUp, reason } = await this.#serve(signal);
      if (!signal.aborted && this.#phase.kind !== "down") {
        this.#phase = { kind: "down" };
        log.warn({ event: "store_down", reason: (reason as NodeJS.ErrnoException).code ?? reason.message });
      }
      this.#onOpened();
      failures = wasUp ? 0 : failures + 1;
      // Replicas that have lost the store at one time must not come back at one time.
      pauseMs = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(failures, 30)) * (1 - random() / 2);
    } while (await sleep(clock, pauseMs, signal));
    this.#phase = { kind: "closed" };
    await Promise.all(this.#turns.values());
  }

  /** Uses one connection as long as it lasts. */
  async #serve(signal: AbortSignal): Promise<{ readonly wasUp: boolean; readonly reason: Error }> {
    const { clock, random, log } = this.#dependencies;
    const { url, timeoutMs } = this.#options;
    let connection: RedisConnection | undefined;
    const onMessage = (cluster: string) => {
      if (connection !== undefined && this.#watchers.clusters.includes(cluster)) void this.#doubt(connection, cluster);
    };
    try {
      connection = await RedisConnection.open({ clock, onMessage }, { url, timeoutMs, channel: CHANNEL }, signal);
    } catch (error) {
      return { wasUp: false, reason: error as Error };
    }
    const lost = new AbortController();
    void connection.ended.then(() => lost.abort());
    const end = () => connection.end(new Error("closed"));
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    // What was said while nobody listened.
    await this.#lookAtAll(connection);
    let wasUp = false;
    if (!lost.signal.aborted) {
      wasUp = true;
      this.#phase = { kind: "up", connection };
      log.info({ event: "store_up" });
      this.#onOpened();
      const intervalMs = () => this.#options.lookIntervalMs * (0.8 + 0.4 * random());
      while (await sleep(clock, intervalMs(), lost.signal)) await this.#lookAtAll(connection);
    }
    signal.removeEventListener("abort", end);
    return { wasUp, reason: await connection.ended };
  }

  /** Also how a server is found out that does not answer any more. */
  async #lookAtAll(connection: RedisConnection): Promise<void> {
    const { clusters } = this.#watchers;
    if (clusters.length > 0) await Promise.all(clusters.map((cluster) => this.#doubt(connection, cluster)));
    else await connection.send(["PING"]).catch((error: Error) => connection.end(error));
  }

  /** Reads a registry if it has changed. A server that refuses is of no use: the connection is given up. */
  #doubt(connection: RedisConnection, cluster: string): Promise<void> {
    if (this.#doubted.has(cluster)) return this.#turns.get(cluster) ?? Promise.resolve();
    this.#doubted.add(cluster);
    return this.#inTurn(cluster, async () => {
      this.#doubted.delete(cluster);
      try {
        await this.#look(connection, cluster);
      } catch (error) {
        connection.end(error as Error);
      }
    });
  }

  async #look(connection: RedisConnection, cluster: string): Promise<Registry> {
    const version = ((await connection.send(["HGET", keyOf(cluster), "version"])) ?? "") as string;
    const known = this.#watchers.knownOf(cluster);
    if (known?.version === version) return known;
    return this.#take(connection, cluster, await connection.send(["HGETALL", keyOf(cluster)]));
  }

  /** Takes over what the store holds, or puts back what it has lost. */
  async #take(connection: RedisConnection, cluster: string, reply: Reply): Promise<Registry> {
    const known = this.#watchers.knownOf(cluster);
    let registry = registryOf(reply);
    if (known !== undefined && isLoss(known.version, registry.version)) {
      registry = registryOf(await this.#restore(connection, cluster, known));
      this.#dependencies.log.warn({ event: "registry_restored", cluster, nodes: known.edits.size });
    }
    this.#watchers.tell(cluster, registry);
    return registry;
  }

  #restore(connection: RedisConnection, cluster: string, { version, edits }: Registry): Promise<Reply> {
    const changes = [...edits].map(([id, edit]) => ({ id, ...edit }));
    const statements = [...statementsOf(changes)].filter(([, value]) => value !== "");
    const head = ["EVAL", RESTORE, "1", keyOf(cluster), version, this.#draw(), CHANNEL, cluster];
    return connection.send([...head, ...statements.flat()]);
  }

  watch(cluster: string, onChange: (registry: Registry) => void, signal: AbortSignal): void {
    this.#watchers.add(cluster, onChange, signal);
    if (this.#phase.kind === "up") void this.#doubt(this.#phase.connection, cluster);
  }

  read(cluster: string): Promise<Registry> {
    return this.#ask((connection) => this.#inTurn(cluster, () => this.#look(connection, cluster)));
  }

  async edit(cluster: string, changes: readonly NodeChange[], guard?: EditGuard): Promise<EditedRegistry> {
    checkChanges(changes);
    const statements = [...statementsOf(changes)];
    const guarded =
      guard === undefined ? ["", "", ""] : [presenceOf(guard.id), guard.presence, guard.isSaid ? "1" : "0"];
    return this.#ask((connection) =>
      this.#inTurn(cluster, async () => {
        for (let turn = 0; turn < EDIT_TURNS_MAX; turn++) {
          const epoch = epochOf(this.#watchers.knownOf(cluster)?.version ?? "");
          const head = ["EVAL", EDIT, "1", keyOf(cluster), epoch, `${this.#draw()}${this.#draw()}`, this.#draw()];
          const rest = [String(STATEMENTS_MAX), CHANNEL, cluster, ...guarded, ...statements.flat()];
          const reply = await connection.send([...head, ...rest]);
          if (reply === "full") throw fullRegistry(cluster);
          if (reply !== "unknown" && reply !== "moved") {
            // As the script says; a server whose word is another one is found out where it is read.
            const [values, hash] = reply as readonly (readonly string[])[];
            const replaced = new Map(statements.map(([name], place) => [name, values[place]]));
            const before = editsBefore(changes, fieldsOf(hash), replaced);
            return { ...(await this.#take(connection, cluster, hash)), before };
          }
          await this.#look(connection, cluster);
          if (reply === "moved") throw movedRegistry(cluster);
        }
        throw new FnlbError("ERR_STORE", "the store is emptied again and again");
      }),
    );
  }

  readonly sessions: SessionMap = {
    get: async (id) => {
      checkSession(id);
      return ((await this.#send(["GET", sessionKeyOf(id)])) as string | null) ?? undefined;
    },
    set: async (id, value, ttlMs) => {
      checkSession(id, value, ttlMs);
      await this.#send(["SET", sessionKeyOf(id), value, "PX", String(ttlMs)]);
    },
    touch: async (id, ttlMs) => {
      checkSession(id, "", ttlMs);
      return (await this.#send(["PEXPIRE", sessionKeyOf(id), String(ttlMs)])) === 1;
    },
    delete: async (id) => {
      checkSession(id);
      return (await this.#send(["DEL", sessionKeyOf(id)])) === 1;
    },
  };

  #send(command: readonly string[]): Promise<Reply> {
    return this.#ask((connection) => connection.send(command));
  }

  /** What goes wrong is `ERR_STORE`; its message goes to clients and says nothing of where the store is. */
  async #ask<T>(act: (connection: RedisConnection) => Promise<T>): Promise<T> {
    if (this.#phase.kind !== "up") throw new FnlbError("ERR_STORE", "the store that replicas share is down");
    if (this.#pending >= PENDING_MAX) throw new FnlbError("ERR_STORE", "too many wait for the store already");
    this.#pending++;
    try {
      return await act(this.#phase.connection);
    } catch (error) {
      if (error instanceof FnlbError) throw error;
      throw new FnlbError("ERR_STORE", `the store that replicas share ${complaintOf(error)}`, { cause: error });
    } finally {
      this.#pending--;
    }
  }

  async #inTurn<T>(cluster: string, act: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(cluster) ?? Promise.resolve();
    const turn = before.then(act);
    const over = turn.then(
      () => {},
      // Whoever has asked hears of it; the next turn does not care.
      () => {},
    );
    this.#turns.set(cluster, over);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(cluster) === over) this.#turns.delete(cluster);
    }
  }

  /** A word that hardly anybody else draws. */
  #draw(): string {
    return Math.floor(this.#dependencies.random() * 2 ** 32)
      .toString(36)
      .padStart(7, "0");
  }
}

/** READONLY, OOM, NOPERM: the code that a server's refusals begin with, without which nobody finds out what to mend. */
function complaintOf(error: unknown): string {
  return error instanceof ErrorReply ? `refuses: ${error.message.split(" ", 1)[0]}` : "does not answer";
}

function keyOf(cluster: string): string {
  return `fnlb:registry:${cluster}`;
}

function sessionKeyOf(id: string): string {
  return `fnlb:session:${id}`;
}

function fieldsOf(hash: Reply): Map<string, string> {
  const fields = new Map<string, string>();
  if (Array.isArray(hash)) for (let at = 0; at + 1 < hash.length; at += 2) fields.set(hash[at], hash[at + 1]);
  return fields;
}

/** Of the names and values of a hash. */
function registryOf(hash: Reply): Registry {
  const fields = fieldsOf(hash);
  const version = fields.get("version") ?? "";
  fields.delete("version");
  return { version, edits: editsOf(fields) };
}
