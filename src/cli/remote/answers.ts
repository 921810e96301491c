import type { AdminAnswer, AdminClient } from "./admin-client.js";
import { Refusal } from "./admin-client.js";

/** What this client reads of the answers of the admin API; docs/admin-api.md says what else is in them. */

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface ClusterAnswer {
  readonly name: string;
  readonly policy: string;
  /** How many. */
  readonly nodes: number;
  readonly serving: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly isPanic: boolean;
  /** Since the start. */
  readonly requests: number;
  readonly problems: Readonly<Record<string, number>>;
  /** Null before the first answer. */
  readonly latencyMs: Latency | null;
}

export interface NodeAnswer {
  readonly cluster: string;
  readonly id: string;
  readonly states: readonly string[];
  readonly mode: string;
  readonly weight: number;
  readonly inFlight: number;
  readonly connections: number;
  /** Since it joined its cluster. */
  readonly attempts: number;
  readonly faults: number;
  readonly latencyMs: Latency | null;
}

export interface ListenerAnswer {
  readonly id: string;
  readonly state: string;
  readonly isTls: boolean;
  readonly takesProxyHeaders: boolean;
}

export interface StatusAnswer {
  readonly version: string;
  readonly pid: number;
  /** ISO 8601; null before its listeners are open. */
  readonly startedAt: string | null;
  readonly uptimeMs: number;
  readonly state: string;
  readonly ready: boolean;
  readonly store: string;
  readonly sockets: string;
  readonly connections: number;
  readonly exchanges: number;
  readonly tunnels: number;
  readonly queued: number;
  readonly requests: number;
  readonly logLevel: string | null;
  readonly clusters: readonly ClusterAnswer[];
  readonly listeners: readonly ListenerAnswer[];
}

/** What became of a change, and the changed thing as it is now. */
export interface ChangeAnswer {
  readonly result: string;
  readonly node?: NodeAnswer;
  readonly listener?: ListenerAnswer;
  readonly level?: string;
}

/** The status, with its text. */
export async function askStatus(admin: AdminClient, signal?: AbortSignal) {
  const purpose = "get the status";
  const answer = await admin.ask({ purpose, path: "/v1/status" }, signal);
  requireLists(answer, purpose, ["clusters", "listeners"]);
  // The API's word for it, in the version of it that the path names.
  return { text: answer.text, status: answer.value as unknown as StatusAnswer };
}

/** Nodes of one cluster or of all, with their text. */
export async function askNodes(admin: AdminClient, cluster?: string, signal?: AbortSignal) {
  const purpose = cluster === undefined ? "list the nodes" : `list the nodes of cluster ${cluster}`;
  const path = cluster === undefined ? "/v1/nodes" : `/v1/clusters/${encodeURIComponent(cluster)}/nodes`;
  const answer = await admin.ask({ purpose, path }, signal);
  requireLists(answer, purpose, ["nodes"]);
  return { text: answer.text, nodes: answer.value.nodes as readonly NodeAnswer[] };
}

/** Names of the clusters. */
export async function askClusters(admin: AdminClient, signal?: AbortSignal): Promise<readonly string[]> {
  const purpose = "list the clusters";
  const answer = await admin.ask({ purpose, path: "/v1/clusters" }, signal);
  requireLists(answer, purpose, ["clusters"]);
  return (answer.value.clusters as readonly ClusterAnswer[]).map(({ name }) => name);
}

/** Listeners, with their text. */
export async function askListeners(admin: AdminClient, signal?: AbortSignal) {
  const purpose = "list the listeners";
  const answer = await admin.ask({ purpose, path: "/v1/listeners" }, signal);
  requireLists(answer, purpose, ["listeners"]);
  return { text: answer.text, listeners: answer.value.listeners as readonly ListenerAnswer[] };
}

/** Path of a node. */
export function nodePath(cluster: string, id: string): string {
  return `/v1/clusters/${encodeURIComponent(cluster)}/nodes/${encodeURIComponent(id)}`;
}

/** JSON that comes from something else than fnlb is said to be so, instead of tripping over it later. */
function requireLists({ value }: AdminAnswer, purpose: string, fields: readonly string[]): void {
  for (const field of fields) {
    if (!Array.isArray(value[field])) {
      throw new Refusal(`could not ${purpose}: the answer has no list "${field}", is the admin API of fnlb there?`, 0);
    }
  }
}
