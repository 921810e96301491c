import type { NodeSet } from "./node-set.js";

/**
 * Why a cluster gave no node: nobody reachable, everybody at a limit, whoever is reachable kept out by a check or a
 * breaker, nobody the operator left active, or nobody at all.
 */
export type Refusal = "none" | "offline" | "full" | "unhealthy" | "drained" | "empty";

/** What a pick sees of a request. One object per client connection, reused for its requests. */
export interface Exchange {
  /** uint32 hash of the key, computed while the request target was scanned. */
  readonly keyHash: number;
  /** Nodes of earlier attempts of this request. */
  readonly tried: NodeSet;
  /** Set by `Cluster.acquire` when it returns no node. */
  refusal: Refusal;
  /** Set by `Cluster.acquire`: tells a breaker which acquisition an outcome belongs to. 0 where none is asked. */
  stamp: number;
  /** What the client sent to stay on its node, such as its Cookie fields joined by `; `, where affinity asks for it. */
  readonly affinity?: string | undefined;
  /** The key itself, made on demand for logs and for policies that need it. */
  key(): string;
}
