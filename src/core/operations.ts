import type { ErrorCode } from "../errors.js";
import type { NodeStateName } from "./node-states.js";
import type { HoldReason } from "./preview.js";
import type { NodeChange, Registry } from "./registry.js";
import type { BalancerSnapshot } from "./snapshot.js";

/** What became of a change: "unchanged" where everything was so already. */
export type ChangeResult = "applied" | "unchanged";

/** One of the clusters, by name, and one of its nodes, by id. */
export interface NodeName {
  readonly cluster: string;
  readonly node: string;
}

/** Where an edit of a node begins from, or it is refused with `ERR_CONFLICT`. */
export interface EditCondition {
  /** "present": the node must be there (else `ERR_NOT_FOUND`); "absent": it must not (else `ERR_CONFLICT`). Default: either. */
  readonly expects?: "present" | "absent";
}

/** A listener as operators see it. */
export interface ListenerView {
  /** Bound address: `127.0.0.1:8081`, `[::1]:8081`, `unix:/path`; unique. */
  readonly id: string;
  /** "paused": new connections, and new requests on the open ones, get 503; what runs goes on. */
  readonly state: "open" | "paused";
  readonly isTls: boolean;
  readonly takesProxyHeaders: boolean;
}

/** A request as far as routing sees it. */
export interface RequestSketch {
  /** Default: GET. */
  readonly method?: string;
  /** `http://host/path?query`, or `/path` for no particular host; taken byte by byte. A fragment is left out. */
  readonly url: string;
  /** Host among them only where the URL has none. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** IP address of the client, for keys by it; "" on a unix socket. Default: `127.0.0.1`. */
  readonly client?: string;
}

/** One node in the order in which a request would come to it. */
export interface ExplainedNode {
  readonly id: string;
  readonly states: readonly NodeStateName[];
  /** Nothing speaks against it now; `reasons` is empty. */
  readonly isEligible: boolean;
  /** Why a request like this passes it over. One against which something speaks is still better than nobody, see `attempt`. */
  readonly reasons: readonly HoldReason[];
  /** 1: it would get the request; 2: it would get it if the first could not be dialled, and so on up to 32. Where that is known. */
  readonly attempt?: number;
}

/** What would become of a request, by the code that serves requests. Nothing changes by it. */
export interface Explanation {
  /** "live": by what is known of the nodes now; "config": as if all were well. */
  readonly source: "live" | "config";
  /** What a client would get without any node being asked, and why. */
  readonly problem?: {
    readonly code: ErrorCode;
    readonly detail: string;
    /** The part of the sketch that no client could send: nobody would get this answer. */
    readonly field?: keyof RequestSketch;
  };
  readonly redirect?: { readonly status: number; readonly location: string };
  /** Name of the route. */
  readonly route?: string;
  readonly cluster?: string;
  readonly policy?: string;
  /** The text that is hashed, and its place on the ring in [0, 2^32). */
  readonly key?: string;
  readonly keyHash?: number;
  /** What the client sent to stay on a node, and which one it names, whether it may stay there or not. */
  readonly sticky?: { readonly by: "cookie" | "header"; readonly node?: string };
  /** True: the same request comes to the same node as long as nothing changes. False: the policy takes turns or draws lots. */
  readonly isFixed: boolean;
  /** The node that it would go to now; undefined where nobody may take it, or where that is not fixed. */
  readonly node?: string;
  /**
   * All nodes of the cluster: the one that the client stays on, then by the order of the key, its home first, whatever
   * their state; those without a weight last. In the order of the list where a policy has no order.
   */
  readonly order: readonly ExplainedNode[];
  /** What else is worth knowing: sentences for people. */
  readonly notes: readonly string[];
}

/** The ring of a cluster, seen from far enough away that its size does not depend on the number of points. */
export interface RingView {
  readonly cluster: string;
  /** Ids, in the order of the cluster. */
  readonly nodes: readonly { readonly id: string /** Part of all keys, in [0, 1]. */; readonly share: number }[];
  /** Who owns the middle of each of equally wide sectors, as an index into `nodes`; -1: nobody. */
  readonly sectors: readonly number[];
}

/**
 * What operators may ask of a running balancer. Names that there are not are refused with `ERR_NOT_FOUND`, what cannot be
 * with `ERR_BAD_REQUEST`, everything before `listen` and after `close` with `ERR_DRAINING`.
 */
export interface Operations {
  snapshot(): BalancerSnapshot;
  listeners(): readonly ListenerView[];
  /**
   * Says something about a node; see `Store.edit` for what replicas learn of it. Its id is read as in `--nodes`: `a` is
   * `a:8080`. Resolves when `snapshot` shows what follows from it, or after 5 seconds in which a name or a reload kept that
   * back. What runs goes on. Weight and mode can be said of nodes that are known and not removed, else `ERR_NOT_FOUND`.
   * Rejects with `ERR_STORE` when the store cannot be asked, or has as many statements of the cluster as it may have.
   */
  editNode(cluster: string, change: NodeChange, condition?: EditCondition): Promise<ChangeResult>;
  /** Everything that operators have said about the nodes of a cluster, as far as it is known here. */
  registry(cluster: string): Registry;
  /** Closes the breaker of a node, takes its ejection back, and trusts it again; here, not on other replicas. */
  resetNode(name: NodeName): ChangeResult;
  /** Takes a node out of the dead-host set without waiting for a ping: it is dialled by the next request. */
  markAlive(name: NodeName): ChangeResult;
  /** Of the listeners, by id: what begins there is refused, see `ListenerView.state`. A reload that keeps it keeps the pause. */
  pauseListener(id: string): ChangeResult;
  resumeListener(id: string): ChangeResult;
  explain(request: RequestSketch): Explanation;
  /** Undefined for a cluster whose policy has no ring. */
  ring(cluster: string, sectors: number): RingView | undefined;
}
