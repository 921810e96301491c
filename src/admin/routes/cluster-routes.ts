import { FnlbError } from "../../errors.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { list, number, object, text, whole } from "../schema.js";
import type { AdminSubject } from "./subject.js";
import { CLUSTER, clusterView } from "./views.js";

const SECTORS_DEFAULT = 360;
const SECTORS_MAX = 4096;

const RING = object(
  {
    cluster: text(),
    nodes: list(object({ id: text(), share: number({ minimum: 0, maximum: 1, description: "Part of all keys." }) })),
    sectors: list(whole({ minimum: -1 }), {
      description: "Who owns the middle of each of equally wide sectors: the place of a node in the list; -1: nobody.",
    }),
  },
  {},
  { title: "Ring" },
);

export const CLUSTER_PARAM = "Name of a cluster.";

export function clusterRoutes({ operations, recentOf }: AdminSubject): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/v1/clusters",
      name: "listClusters",
      summary: "Lists the clusters, in the order of the config.",
      answers: { 200: { description: "All of them.", schema: object({ clusters: list(CLUSTER) }) } },
      handle() {
        const snapshot = operations.snapshot();
        return ok({
          clusters: snapshot.clusters.map((cluster) => clusterView(cluster, snapshot, recentOf(cluster.name))),
        });
      },
    }),
    adminRoute({
      method: "GET",
      path: "/v1/clusters/{cluster}",
      name: "getCluster",
      summary: "Shows a cluster.",
      params: { cluster: CLUSTER_PARAM },
      answers: { 200: { description: "As of now.", schema: CLUSTER } },
      errors: ["ERR_NOT_FOUND"],
      handle({ params }) {
        const snapshot = operations.snapshot();
        const found = snapshot.clusters.find(({ name }) => name === params.cluster);
        if (found === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no cluster "${params.cluster}"`);
        return ok(clusterView(found, snapshot, recentOf(found.name)));
      },
    }),
    adminRoute({
      method: "GET",
      path: "/v1/clusters/{cluster}/ring",
      name: "getRing",
      summary: "Shows the ring of a cluster whose policy has one, seen from far away.",
      params: { cluster: CLUSTER_PARAM },
      query: object(
        {},
        { sectors: whole({ minimum: 1, maximum: SECTORS_MAX, description: `Default: ${SECTORS_DEFAULT}.` }) },
      ),
      answers: { 200: { description: "Who owns which part of it.", schema: RING } },
      errors: ["ERR_NOT_FOUND"],
      handle({ params, query }) {
        const ring = operations.ring(params.cluster, query.sectors ?? SECTORS_DEFAULT);
        if (ring === undefined) throw new FnlbError("ERR_NOT_FOUND", `cluster "${params.cluster}" has no ring`);
        return ok(ring);
      },
    }),
  ];
}
