import type { ClusterAnswer, NodeAnswer, StatusAnswer } from "../answers.js";
import { latencyText, rateText } from "./figures.js";
import { statesCell } from "./states.js";
import { headLines, problemCount, servingCell, troubleLines } from "./status-columns.js";
import { type Column, tableLines } from "./table.js";
import { colored } from "./terminal.js";
import { cutText, plainText } from "./text-width.js";

/** What the server said at one moment. */
export interface Sample {
  readonly status: StatusAnswer;
  readonly nodes: readonly NodeAnswer[];
}

/** What a frame shows, and the size that it has to fit. */
export interface FrameOptions {
  /** Who is asked. */
  readonly place: string;
  /** The last answer, and the one before it; undefined before there was any. */
  readonly current: Sample | undefined;
  readonly previous: Sample | undefined;
  /** Why there is none now; the last one is still shown. */
  readonly silence: string | undefined;
  readonly columns: number;
  readonly rows: number;
  readonly hasColor: boolean;
}

/** With what the times are of: those of `fnlb status` are of all time. */
function headOf(status: StatusAnswer): string[] {
  const [process, counts] = headLines(status);
  return [process, `${counts}; P50, P99 of the last 2 s`];
}

/** The lines of one picture of `fnlb status --watch`, not more than fit. */
export function watchFrame({ place, current, previous, silence, columns, rows, hasColor }: FrameOptions): string[] {
  const look = { width: columns, hasColor };
  const lines: string[] = [];
  if (silence !== undefined) {
    const text = cutText(plainText(`no answer, trying again: ${silence}`), columns);
    lines.push(hasColor ? colored(text, "red") : text);
  }
  if (current === undefined) return silence === undefined ? [cutText(`asking ${place}`, columns)] : lines;
  const { status, nodes } = current;
  const rates = ratesOf(current, previous);
  lines.push(
    ...headOf(status).map((line) => cutText(line, columns)),
    "",
    ...tableLines(clusterColumns(rates), status.clusters, look),
    ...troubleLines(status.clusters).map((line) => cutText(line, columns)),
    "",
    ...tableLines(nodeColumns(rates, status.clusters.length > 1), nodes, look),
  );
  if (lines.length <= rows) return lines;
  const shown = lines.slice(0, Math.max(rows - 1, 0));
  return [...shown, cutText(`… ${lines.length - shown.length} more lines`, columns)];
}

/** One line for each cluster, for files and pipes. */
export function watchLines(current: Sample, previous: Sample | undefined): string[] {
  const rates = ratesOf(current, previous);
  const { startedAt, uptimeMs } = current.status;
  const stamp = startedAt === null ? "-" : new Date(Date.parse(startedAt) + uptimeMs).toISOString();
  return current.status.clusters.map((cluster) =>
    plainText(
      [
        stamp,
        `cluster=${cluster.name}`,
        `serving=${cluster.serving}/${cluster.nodes}`,
        `rate=${rateText(rates.ofCluster(cluster))}`,
        `inFlight=${cluster.inFlight}`,
        `queued=${cluster.queued}`,
        `problems=${problemCount(cluster)}`,
        `p50=${latencyText(cluster.recent?.p50Ms).replace(" ", "")}`,
        `p99=${latencyText(cluster.recent?.p99Ms).replace(" ", "")}`,
      ].join(" "),
    ),
  );
}

/** How much counters grow in a second; undefined where that is not known. */
interface Rates {
  ofCluster(cluster: ClusterAnswer): number | undefined;
  ofNode(node: NodeAnswer): number | undefined;
}

/** By the server's own clock: how long an answer has travelled says nothing. */
function ratesOf(current: Sample, previous: Sample | undefined): Rates {
  // Counters of another process begin anew.
  const isSame = previous !== undefined && previous.status.startedAt === current.status.startedAt;
  const seconds = isSame ? (current.status.uptimeMs - previous.status.uptimeMs) / 1000 : 0;
  const rate = (now: number, before: number | undefined) =>
    // A node that was removed and added again has counted from 0.
    before === undefined || seconds <= 0 || now < before ? undefined : (now - before) / seconds;
  const clusters = new Map(previous?.status.clusters.map(({ name, requests }) => [name, requests]));
  const nodes = new Map(previous?.nodes.map((node) => [keyOf(node), node.attempts]));
  return {
    ofCluster: ({ name, requests }) => rate(requests, clusters.get(name)),
    ofNode: (node) => rate(node.attempts, nodes.get(keyOf(node))),
  };
}

function keyOf({ cluster, id }: NodeAnswer): string {
  return JSON.stringify([cluster, id]);
}

function clusterColumns(rates: Rates): readonly Column<ClusterAnswer>[] {
  return [
    { title: "CLUSTER", cell: ({ name }) => name },
    { title: "SERVING", cell: servingCell },
    { title: "RATE/S", align: "right", cell: (cluster) => rateText(rates.ofCluster(cluster)) },
    { title: "IN FLIGHT", align: "right", cell: ({ inFlight }) => String(inFlight) },
    { title: "QUEUED", align: "right", cell: ({ queued }) => String(queued) },
    { title: "PROBLEMS", align: "right", cell: (cluster) => String(problemCount(cluster)) },
    { title: "P50", align: "right", cell: ({ recent }) => latencyText(recent?.p50Ms) },
    { title: "P99", align: "right", cell: ({ recent }) => latencyText(recent?.p99Ms) },
  ];
}

function nodeColumns(rates: Rates, namesClusters: boolean): readonly Column<NodeAnswer>[] {
  const cluster: Column<NodeAnswer> = { title: "CLUSTER", cell: (node) => node.cluster };
  return [
    ...(namesClusters ? [cluster] : []),
    { title: "NODE", cell: ({ id }) => id },
    { title: "STATE", cell: ({ states }) => statesCell(states) },
    { title: "RATE/S", align: "right", cell: (node) => rateText(rates.ofNode(node)) },
    { title: "IN FLIGHT", align: "right", cell: ({ inFlight }) => String(inFlight) },
    { title: "WEIGHT", align: "right", cell: ({ weight }) => String(weight) },
    { title: "FAULTS", align: "right", cell: ({ faults }) => String(faults) },
    { title: "P50", align: "right", cell: ({ recent }) => latencyText(recent?.p50Ms) },
    { title: "P99", align: "right", cell: ({ recent }) => latencyText(recent?.p99Ms) },
  ];
}
