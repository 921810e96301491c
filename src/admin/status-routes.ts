import { LOG_LEVELS } from "../core/log.js";
import { type AdminRoute, adminRoute, ok } from "./admin-route.js";
import { readiness } from "./health-routes.js";
import { flag, list, nullable, object, text, type ValueOf, whole, word } from "./schema.js";
import type { AdminSubject } from "./subject.js";
import { CLUSTER, clusterView, LISTENER, listenerView } from "./views.js";

export const STATUS = object(
  {
    version: text(),
    pid: whole(),
    startedAt: text({ description: "ISO 8601." }),
    uptimeMs: whole(),
    state: word(["starting", "serving", "draining"]),
    ready: flag({ description: "What /readyz says." }),
    store: word(["connecting", "up", "down", "closed"], { description: "The store that replicas share." }),
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
export function statusView(subject: AdminSubject): ValueOf<typeof STATUS> {
  const { operations, version, pid, readRuntime, wallNow, logLevel, isListening } = subject;
  const snapshot = operations.snapshot();
  const { store, sockets, connections, exchanges, tunnels, queued, counters } = snapshot;
  const startedMs = readRuntime().startedSeconds * 1000;
  return {
    version,
    pid,
    startedAt: new Date(startedMs).toISOString(),
    // The clock of the wall may have been set back.
    uptimeMs: Math.max(0, Math.round(wallNow() - startedMs)),
    state: snapshot.isDraining ? "draining" : isListening() ? "serving" : "starting",
    ready: readiness(subject) === "ready",
    store,
    sockets,
    connections,
    exchanges,
    tunnels,
    queued,
    requests: counters.requests,
    problems: counters.problems,
    logLevel: logLevel?.level ?? null,
    clusters: snapshot.clusters.map((cluster) => clusterView(cluster, snapshot, policiesOf(subject))),
    listeners: operations.listeners().map(listenerView),
  };
}

/** The policy of each cluster, by name. */
export function policiesOf({ config }: AdminSubject): (cluster: string) => string {
  const policies = new Map(config().clusters.map(({ name, policy }) => [name, policy]));
  return (cluster) => policies.get(cluster) ?? "";
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
