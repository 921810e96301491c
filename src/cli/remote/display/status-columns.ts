import type { ClusterAnswer, ListenerAnswer, StatusAnswer } from "../answers.js";
import { ageText, counted, latencyText } from "./figures.js";
import { statesCell } from "./states.js";
import type { Cell, Column } from "./table.js";
import { plainText } from "./text-width.js";

/** The process in two lines. */
export function headLines(status: StatusAnswer): string[] {
  const { version, pid, state, ready, readiness, uptimeMs, store, sockets, logLevel } = status;
  return [
    `fnlb ${version}, process ${pid}: ${[
      state,
      // "draining, not ready (draining)" would say nothing more.
      ready ? "ready" : readiness === state ? "not ready" : `not ready (${readiness})`,
      `up ${ageText(uptimeMs)}`,
      store === "none" ? "no store" : `store ${store}`,
      `${sockets} sockets`,
      // The log of a program that embeds fnlb may have none.
      ...(logLevel === null || logLevel === undefined ? [] : [`log level ${logLevel}`]),
    ].join(", ")}`,
    [
      counted(status.connections, "connection"),
      counted(status.exchanges, "exchange"),
      counted(status.tunnels, "tunnel"),
      `${status.queued} queued`,
      counted(status.requests, "request"),
    ].join(", "),
  ].map(plainText);
}

/** A line for each cluster whose nodes cannot be found as they should. */
export function troubleLines(clusters: readonly ClusterAnswer[]): string[] {
  return clusters.flatMap(({ name, discovery }) =>
    discovery?.trouble ? [plainText(`${discovery.source}, which names nodes of ${name}: ${discovery.trouble}`)] : [],
  );
}

/** Serving ones of all, in the colour of what that means. */
export function servingCell({ serving, nodes, isPanic }: ClusterAnswer): Cell {
  const color = serving === nodes && nodes > 0 ? "green" : serving === 0 ? "red" : "yellow";
  return { text: `${serving} of ${nodes}${isPanic ? ", panic" : ""}`, color };
}

/** Requests that the balancer had to answer itself. */
export function problemCount({ problems }: ClusterAnswer): number {
  return Object.values(problems).reduce((sum, count) => sum + count, 0);
}

export const CLUSTER_COLUMNS: readonly Column<ClusterAnswer>[] = [
  { title: "CLUSTER", cell: ({ name }) => name },
  { title: "POLICY", cell: ({ policy }) => policy },
  { title: "SERVING", cell: servingCell },
  { title: "IN FLIGHT", align: "right", cell: ({ inFlight }) => String(inFlight) },
  { title: "QUEUED", align: "right", cell: ({ queued }) => String(queued) },
  { title: "REQUESTS", align: "right", cell: ({ requests }) => String(requests) },
  { title: "PROBLEMS", align: "right", cell: (cluster) => String(problemCount(cluster)) },
  { title: "P50", align: "right", cell: ({ latencyMs }) => latencyText(latencyMs?.p50) },
  { title: "P99", align: "right", cell: ({ latencyMs }) => latencyText(latencyMs?.p99) },
];

/** Of `fnlb listeners`, too. */
export const LISTENER_COLUMNS: readonly Column<ListenerAnswer>[] = [
  { title: "LISTENER", cell: ({ id }) => id },
  { title: "STATE", cell: ({ state }) => statesCell([state]) },
  {
    title: "SPEAKS",
    cell: ({ isTls, takesProxyHeaders }) => `${takesProxyHeaders ? "PROXY + " : ""}${isTls ? "HTTPS" : "HTTP"}`,
  },
];
