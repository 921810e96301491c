import type { NodeChange, NodeEdit, Registry, StoreState } from "../core/registry.js";

/** Sessions that are shared by replicas: what a client was told, by the id that it comes back with. Each ends by itself. */
export interface SessionMap {
  /** Undefined for one that nobody knows, or whose time is over. */
  get(id: string): Promise<string | undefined>;
  /** Writes it, whether it was there or not, and lets it live for `ttlMs` from now on. */
  set(id: string, value: string, ttlMs: number): Promise<void>;
  /** Lets it live for `ttlMs` from now on; false if it is not there. */
  touch(id: string, ttlMs: number): Promise<boolean>;
  /** False if it was not there. */
  delete(id: string): Promise<boolean>;
}

/** What must be so of a registry, or an edit is not made: so that nobody has to read before writing. */
export interface EditGuard {
  readonly id: string;
  /** This must be what is said of its presence; or, if not `isSaid`, must not be. */
  readonly presence: "added" | "removed";
  readonly isSaid: boolean;
}

/** A registry behind an edit. */
export interface EditedRegistry extends Registry {
  /** What was said just before the edit of the nodes that it is about; without those of which nothing was. */
  readonly before: ReadonlyMap<string, NodeEdit>;
}

/**
 * What several replicas share: what operators say about nodes, and sessions. Everything that asks the store rejects with
 * `ERR_STORE` when it cannot be asked, is full or does not answer in time, at once while it is known to be down; what the
 * caller got wrong is `ERR_BAD_REQUEST`. A request is never made to wait for it.
 */
export interface Store {
  readonly state: StoreState;
  readonly sessions: SessionMap;
  /**
   * Keeps the connection, reads again what has changed, and heals, until the signal aborts. Resolves when nothing of it is
   * in flight any more.
   */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when every watched registry has been read, or when it has turned out that the store is down. */
  opened(): Promise<void>;
  /** Tells what is known of a cluster's registry, at once and after each change, until the signal aborts. */
  watch(cluster: string, onChange: (registry: Registry) => void, signal: AbortSignal): void;
  /** What the store holds now. */
  read(cluster: string): Promise<Registry>;
  /**
   * Makes all changes or none, whatever others change at the same time, and resolves to what the registry is then: watchers
   * have been told before. When it rejects because the store did not answer, it may have been done all the same; to say it
   * again does no harm. Rejects with `ERR_CONFLICT` when the guard is not so, and then watchers have been told why.
   */
  edit(cluster: string, changes: readonly NodeChange[], guard?: EditGuard): Promise<EditedRegistry>;
}
