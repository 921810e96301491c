import type { HistoryPoint, HistorySample, HistorySeries, HistoryView } from "../src/admin/dashboard/history.js";
import type { ExplainedNode, Explanation, RingView } from "../src/core/operations.js";

export type { ExplainedNode, Explanation, HistoryPoint, HistorySample, HistorySeries, HistoryView, RingView };

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** One of `GET /v1/clusters`, as far as the page reads it. */
export interface ClusterShape {
  readonly name: string;
  readonly policy: string;
  readonly discovery: { readonly source: string; readonly trouble: string | null } | null;
  readonly nodes: number;
  readonly serving: number;
  readonly canServe: boolean;
  readonly inFlight: number;
  readonly queued: number;
  readonly isPanic: boolean;
  readonly limits: { readonly queueMax: number };
}

/** One of `GET /v1/nodes`, as far as the page reads it. */
export interface NodeShape {
  readonly cluster: string;
  readonly id: string;
  readonly states: readonly string[];
  readonly mode: "active" | "draining" | "disabled";
  readonly weight: number;
  readonly check: string;
  readonly breaker: string;
  readonly inFlight: number;
  readonly connections: number;
  readonly idleConnections: number;
  readonly attempts: number;
  readonly faults: number;
  readonly dialsFailed: number;
  readonly responses: Readonly<Record<string, number>>;
  readonly latencyMs: Latency | null;
}

/** What the event `status` says, as far as the page reads it. */
export interface StatusShape {
  /** Milliseconds since the epoch, by the clock of the balancer. */
  readonly atMs: number;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly state: "starting" | "serving" | "draining";
  readonly ready: boolean;
  readonly store: string;
  readonly connections: number;
  readonly exchanges: number;
  readonly tunnels: number;
  readonly queued: number;
  readonly clusters: readonly ClusterShape[];
  readonly nodes: readonly NodeShape[];
  readonly listeners: readonly { readonly id: string; readonly state: "open" | "paused" }[];
}

/** What an edit of a node may say. */
export interface NodeEdit {
  readonly mode?: NodeShape["mode"];
  readonly weight?: number;
}

/** What an edit answers with. */
export interface ChangeShape {
  readonly result: "applied" | "unchanged";
  readonly node?: NodeShape;
}
