import { LOG_LEVELS } from "../../core/log.js";
import { READINESS } from "../../core/readiness.js";
import type { BalancerSnapshot } from "../../core/snapshot.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { flag, list, nullable, object, text, type ValueOf, whole, word } from "../schema.js";
import type { AdminSubject } from "./subject.js";
import { CLUSTER, clusterView, LISTENER, listenerView } from "./views.js";

export const STATUS = object(
  {
    version: text(),
    pid: whole(),
    startedAt: nullable(text({ description: "When its listeners were opened (ISO 8601); null: not yet." })),
    uptimeMs: whole({ description: "Since then." }),
    state: word(["starting", "serving", "draining"]),
    ready: flag({ description: "/readyz answers 200." }),
    readiness: word(READINESS, { description: "ready, or why not, as /readyz says." }),
    store: word(["none", "connecting", "up", "down", "closed"], {
      description: "The store that replicas share; none where this process keeps for itself what it is told.",
    }),
    sockets: word(["fast", "plain", "closed"]),
    connections: whole(),
    exchanges: whole({ description: "Requests under way." }),
    tunnels: whole(),
    queued: whole(),
    requests: whole({ description: "Since the beginning." }),
    problems: whole({ description: "Responses that fnlb made itself, since the beginning." }),
    logLevel: nullable(word(LOG_LEVELS)),
    clusters: list(CLUSTER),
    listeners: list(LISTENER),
  },
  {},
  { title: "Status" },
);

/** All of it at one moment, but for the nodes. */
export function statusView(
  subject: AdminSubject,
  snapshot: BalancerSnapshot = subject.operations.snapshot(),
): ValueOf<typeof STATUS> {
  const { operations, version, pid, wallNow, logLevel, recentOf } = subject;
  const { readiness, startedAtMs, isDraining, store, sockets, counters } = snapshot;
  const { connections, exchanges, tunnels, queued } = snapshot;
  const isOpen = startedAtMs > 0;
  return {
    version,
    pid,
    startedAt: isOpen ? new Date(startedAtMs).toISOString() : null,
    // The clock of the wall may have been set back.
    uptimeMs: isOpen ? Math.max(0, Math.round(wallNow() - startedAtMs)) : 0,
    state: isDraining ? "draining" : isOpen ? "serving" : "starting",
    ready: readiness === "ready",
    readiness,
    store,
    sockets,
    connections,
    exchanges,
    tunnels,
    queued,
    requests: counters.requests,
    problems: counters.problems,
    logLevel: logLevel?.level ?? null,
    clusters: snapshot.clusters.map((cluster) => clusterView(cluster, snapshot, recentOf(cluster.name))),
    listeners: isOpen ? operations.listeners().map(listenerView) : [],
  };
}

export function statusRoutes(subject: AdminSubject): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/v1/status",
      name: "getStatus",
      summary: "Shows the process, its clusters and its listeners.",
      answers: { 200: { description: "As of now.", schema: STATUS } },
      handle: () => ok(statusView(subject)),
    }),
  ];
}
