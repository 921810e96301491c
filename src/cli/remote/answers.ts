import type { EDITS } from "../../admin/routes/node-routes.js";
import type { STATUS } from "../../admin/routes/status-routes.js";
import type { CLUSTER, LISTENER, NODE } from "../../admin/routes/views.js";
import type { ValueOf } from "../../admin/schema.js";
import type { AdminAnswer, AdminClient } from "./admin-client.js";
import { Refusal } from "./admin-client.js";

/** What the admin API answers, by the schemas that it describes itself with. */
export type StatusAnswer = ValueOf<typeof STATUS>;
export type ClusterAnswer = ValueOf<typeof CLUSTER>;
export type ListenerAnswer = ValueOf<typeof LISTENER>;
export type EditsAnswer = ValueOf<typeof EDITS>;
export type NodeAnswer = ValueOf<typeof NODE>;

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

/** What operators have said about the nodes of a cluster, with its text. */
export async function askEdits(admin: AdminClient, cluster: string) {
  const purpose = `list the edits of cluster ${cluster}`;
  const answer = await admin.ask({ purpose, path: `/v1/clusters/${encodeURIComponent(cluster)}/edits` });
  requireLists(answer, purpose, ["edits"]);
  return { text: answer.text, edits: answer.value.edits as EditsAnswer["edits"] };
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
