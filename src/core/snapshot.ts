import type { BreakerState } from "./breaker.js";
import type { ClusterStats } from "./cluster-stats.js";
import type { Counters } from "./counters.js";
import type { Histogram } from "./histogram.js";
import type { NodeCheck, NodeMode } from "./node.js";
import type { NodeStats } from "./node-stats.js";
import type { PolicyName } from "./policies/table.js";
import type { Readiness } from "./readiness.js";
import type { StoreState } from "./registry.js";

/** Who names a node; of several the first in this order. */
export type NodeOrigin = "config" | "discovered" | "operator";

export interface NodeSnapshot {
  /** Name of its cluster. */
  readonly cluster: string;
  readonly id: string;
  readonly origin: NodeOrigin;
  readonly alive: boolean;
  readonly suspect: boolean;
  /** Outlier detection keeps it out for a while. */
  readonly ejected: boolean;
  /** What active checks say. */
  readonly check: NodeCheck;
  readonly breaker: BreakerState["kind"];
  readonly mode: NodeMode;
  readonly weight: number;
  /** Exchanges and tunnels that it serves now. */
  readonly inFlight: number;
  readonly connections: number;
  readonly idleConnections: number;
  /** Since it joined its cluster; a copy. */
  readonly stats: Readonly<NodeStats>;
}

/** Where nodes of a cluster are found, besides those that are listed. */
export interface DiscoveryView {
  /** As `--discover` names it. */
  readonly source: string;
  /** What is wrong with what it said last; what was known stays. Undefined: nothing, or it has not been asked yet. */
  readonly trouble: string | undefined;
}

export interface ClusterSnapshot {
  readonly name: string;
  readonly policy: PolicyName;
  /** Undefined: nobody looks for nodes. */
  readonly discovery: DiscoveryView | undefined;
  /** What operators have said of its nodes, see `Registry.version`. */
  readonly registryVersion: string;
  /** Some node may get new keys, if only because no better one may. */
  readonly canServe: boolean;
  /** Since it is in the config; a copy. */
  readonly stats: Readonly<ClusterStats>;
  /** Requests that wait for a place. */
  readonly queued: number;
  /** Exchanges and tunnels at its nodes, those that have left it included. */
  readonly inFlight: number;
  /** Repeats that the retry budget would pay for now. */
  readonly retryTokens: number;
  /** Too few nodes are healthy: ejected ones serve. */
  readonly isPanic: boolean;
  readonly limits: {
    /** 0: nobody waits. */
    readonly queueMax: number;
    /** 0: none. */
    readonly clusterConnectionsMax: number;
    readonly nodeConnectionsMax: number;
    readonly nodeIdleConnectionsMax: number;
    readonly retryTokensMax: number;
  };
}

/** A certificate that is shown to clients. */
export interface CertificateView {
  /** As options name it. */
  readonly file: string;
  /** Milliseconds since the epoch. */
  readonly validUntilMs: number;
}

/** What a running balancer looks like at one moment; counters only grow. */
export interface BalancerSnapshot {
  /** When it began to listen, in milliseconds since the epoch; 0 before. */
  readonly startedAtMs: number;
  readonly readiness: Readiness;
  /** How it talks to the system: "fast" (handles) or "plain" (public API); "closed" before `listen`. */
  readonly sockets: "fast" | "plain" | "closed";
  /** The store that replicas share, see `--store`; "none" where one process knows for itself. */
  readonly store: StoreState;
  readonly connections: number;
  /** Client connections that are still in their TLS handshake. */
  readonly handshakes: number;
  readonly exchanges: number;
  readonly tunnels: number;
  /** Requests that wait for a place in a cluster. */
  readonly queued: number;
  /** Timeouts that are armed on the data path. */
  readonly timers: number;
  readonly isDraining: boolean;
  /** The last reload failed: what somebody wrote down is not what is in force. */
  readonly isConfigRefused: boolean;
  /** Of all listeners, that of operators included. */
  readonly certificates: readonly CertificateView[];
  readonly limits: {
    readonly connectionsMax: number;
    /** 0: none. */
    readonly tunnelsMax: number;
  };
  /** In the order of the config. */
  readonly clusters: readonly ClusterSnapshot[];
  /** Of all clusters, in the order of the config. */
  readonly nodes: readonly NodeSnapshot[];
  readonly counters: Readonly<Counters>;
  /** How much later than due timers ran; a copy. */
  readonly timerDelay: Histogram;
}
