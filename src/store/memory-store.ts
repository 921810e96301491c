import type { Clock } from "../core/clock.js";
import { EMPTY_REGISTRY, type NodeChange } from "../core/registry.js";
import { FnlbError } from "../errors.js";
import { checkChanges, checkSession, fullRegistry, movedRegistry, STATEMENTS_MAX } from "./limits.js";
import { editsBefore, editsOf, presenceOf, statementsOf } from "./statements.js";
import type { EditedRegistry, EditGuard, SessionMap, Store } from "./store.js";
import { Watchers } from "./watchers.js";

/** Sessions that one process keeps. */
const SESSIONS_MAX = 100_000;

interface Session {
  readonly value: string;
  readonly endsMs: number;
}

/** What one process knows, and forgets when it ends: for a balancer without replicas. Always up. */
export function memoryStore({ clock }: { readonly clock: Clock }): Store {
  const statements = new Map<string, Map<string, string>>();
  const watchers = new Watchers();
  const sessions = new Map<string, Session>();
  let edits = 0;

  function edit(cluster: string, changes: readonly NodeChange[], guard?: EditGuard): EditedRegistry {
    checkChanges(changes);
    const before = statements.get(cluster) ?? new Map<string, string>();
    if (guard !== undefined && (before.get(presenceOf(guard.id)) === guard.presence) !== guard.isSaid) {
      throw movedRegistry(cluster);
    }
    const after = new Map(before);
    let hasChanged = false;
    for (const [name, value] of statementsOf(changes)) {
      hasChanged ||= (before.get(name) ?? "") !== value;
      if (value === "") after.delete(name);
      else after.set(name, value);
    }
    const edited = { before: editsBefore(changes, before, new Map()) };
    if (!hasChanged) return { ...(watchers.knownOf(cluster) ?? EMPTY_REGISTRY), ...edited };
    if (after.size > STATEMENTS_MAX && after.size > before.size) throw fullRegistry(cluster);
    statements.set(cluster, after);
    const registry = { version: String(++edits), edits: editsOf(after) };
    watchers.tell(cluster, registry);
    return { ...registry, ...edited };
  }

  function liveSession(id: string): Session | undefined {
    const session = sessions.get(id);
    if (session === undefined || session.endsMs > clock.now()) return session;
    sessions.delete(id);
    return undefined;
  }

  function makeRoom(): void {
    if (sessions.size < SESSIONS_MAX) return;
    for (const id of [...sessions.keys()]) liveSession(id);
    if (sessions.size >= SESSIONS_MAX) throw new FnlbError("ERR_STORE", `there are ${SESSIONS_MAX} sessions already`);
  }

  const map: SessionMap = {
    async get(id) {
      checkSession(id);
      return liveSession(id)?.value;
    },
    async set(id, value, ttlMs) {
      checkSession(id, value, ttlMs);
      if (!sessions.has(id)) makeRoom();
      sessions.set(id, { value, endsMs: clock.now() + ttlMs });
    },
    async touch(id, ttlMs) {
      checkSession(id, "", ttlMs);
      const session = liveSession(id);
      if (session !== undefined) sessions.set(id, { ...session, endsMs: clock.now() + ttlMs });
      return session !== undefined;
    },
    async delete(id) {
      checkSession(id);
      return liveSession(id) !== undefined && sessions.delete(id);
    },
  };

  return {
    state: "none",
    sessions: map,
    run: async () => {},
    opened: async () => {},
    watch(cluster, onChange, signal) {
      watchers.add(cluster, onChange, signal);
      if (watchers.knownOf(cluster) === undefined) watchers.tell(cluster, EMPTY_REGISTRY);
    },
    read: async (cluster) => watchers.knownOf(cluster) ?? EMPTY_REGISTRY,
    edit: async (cluster, changes, guard) => edit(cluster, changes, guard),
  };
}
