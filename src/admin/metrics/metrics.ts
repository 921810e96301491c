import { histogramBounds } from "../../core/histogram.js";
import { NODE_STATE_NAMES, nodeStates } from "../../core/node-states.js";
import type { RuntimeReading } from "../../core/runtime-reading.js";
import type { BalancerSnapshot, ClusterSnapshot, NodeSnapshot } from "../../core/snapshot.js";
import { HTTP_STATUS } from "../../errors.js";
import { COUNTER_FAMILIES } from "./counter-families.js";
import { Exposition, type ExpositionFormat, labels, withLabel } from "./exposition.js";

export interface MetricsSubject {
  readonly snapshot: BalancerSnapshot;
  readonly runtime: RuntimeReading;
  /** That of fnlb. */
  readonly version: string;
}

/** In milliseconds. */
const HEAD_BOUNDS = histogramBounds([
  0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
]);
const DELAY_BOUNDS = histogramBounds([1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500]);

type States = ReturnType<typeof nodeStates>;

const RESPONSE_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/**
 * Everything a balancer tells a scraper, as text. Labels come from the config and from closed sets: never a path, a
 * session or a client, so that the number of series is bounded by the number of nodes.
 */
export function metricsText(subject: MetricsSubject, format: ExpositionFormat = "prometheus"): string {
  const { snapshot } = subject;
  const out = new Exposition(format);
  const { counters } = snapshot;
  for (const { name, help, label, fields } of COUNTER_FAMILIES) {
    out.counter(
      name,
      help,
      fields.map(([value, field]) => [label === undefined ? "" : labels({ [label]: value }), counters[field]]),
    );
  }
  writeBalancer(out, snapshot);
  const states = snapshot.nodes.map((node) => nodeStates(node));
  writeClusters(out, snapshot, states);
  writeNodes(out, snapshot.nodes, states);
  writeProcess(out, subject);
  return out.end();
}

function writeBalancer(out: Exposition, { limits, ...snapshot }: BalancerSnapshot): void {
  const gauge = (name: string, help: string, value: number) => out.gauge(name, help, [["", value]]);
  gauge("fnlb_connections", "Client connections now.", snapshot.connections);
  gauge("fnlb_connections_max", "Client connections that are admitted at once.", limits.connectionsMax);
  gauge("fnlb_handshakes", "Client connections in their TLS handshake now.", snapshot.handshakes);
  gauge("fnlb_exchanges", "Requests under way now.", snapshot.exchanges);
  gauge("fnlb_tunnels", "Tunnels now.", snapshot.tunnels);
  gauge("fnlb_tunnels_max", "Tunnels that may be open at once.", orInfinity(limits.tunnelsMax));
  gauge("fnlb_timers", "Timeouts that are armed on the data path.", snapshot.timers);
  gauge("fnlb_draining", "1 while the balancer drains.", Number(snapshot.isDraining));
  gauge(
    "fnlb_config_last_reload_successful",
    "1 unless the last reload of the config has failed.",
    Number(!snapshot.isConfigRefused),
  );
  gauge(
    "fnlb_store_up",
    "1 while the store that replicas share answers, or where there is none.",
    Number(snapshot.store === "up" || snapshot.store === "none"),
  );
  out.gauge(
    "fnlb_certificate_expiry_timestamp_seconds",
    "When a certificate that clients are shown expires, since the epoch.",
    snapshot.certificates.map(({ file, validUntilMs }) => [labels({ file }), validUntilMs / 1000] as const),
  );
  out.histogram("fnlb_event_loop_delay_seconds", "How late a timer ran that rings every 25 ms.", DELAY_BOUNDS, [
    ["", snapshot.timerDelay],
  ]);
}

/** `states` are those of the nodes, in their order. */
function writeClusters(out: Exposition, { clusters, nodes }: BalancerSnapshot, states: readonly States[]): void {
  const membership = new Map(clusters.map(({ name }) => [name, { nodes: 0, serving: 0 }]));
  for (const [index, { cluster }] of nodes.entries()) {
    const counts = membership.get(cluster);
    if (counts === undefined) continue;
    counts.nodes++;
    if (states[index].includes("serving")) counts.serving++;
  }
  const names = clusters.map(({ name }) => labels({ cluster: name }));
  const each = (value: (cluster: ClusterSnapshot) => number) =>
    clusters.map((cluster, index) => [names[index], value(cluster)] as const);
  out.counter(
    "fnlb_cluster_requests",
    "Requests that a route led to the cluster.",
    each(({ stats }) => stats.requests),
  );
  out.counter(
    "fnlb_cluster_problems",
    "Requests to the cluster that fnlb answered itself, by error code and status.",
    clusters.flatMap(({ name, stats }) =>
      [...stats.problems].map(
        ([code, count]) => [labels({ cluster: name, code, status: `${HTTP_STATUS[code]}` }), count] as const,
      ),
    ),
  );
  out.counter(
    "fnlb_cluster_responses",
    "Responses of its nodes that were passed on, by class of status.",
    clusters.flatMap(({ stats }, index) =>
      RESPONSE_CLASSES.map(
        (name) => [withLabel(names[index], "class", name), stats.answers[`responses${name}`]] as const,
      ),
    ),
  );
  out.histogram(
    "fnlb_cluster_head_seconds",
    "From the head of a request to the head of the response that its client got: queue, dials and retries included.",
    HEAD_BOUNDS,
    clusters.map(({ stats }, index) => [names[index], stats.answers.headTime] as const),
  );
  const gauge = (name: string, help: string, value: (cluster: ClusterSnapshot) => number) =>
    out.gauge(name, help, each(value));
  // A cluster without nodes has no series of nodes by which anybody could see that.
  gauge("fnlb_cluster_nodes", "Nodes of the cluster.", ({ name }) => membership.get(name)?.nodes ?? 0);
  gauge(
    "fnlb_cluster_serving_nodes",
    "Those from which nothing keeps new requests.",
    ({ name }) => membership.get(name)?.serving ?? 0,
  );
  out.gauge(
    "fnlb_cluster_discovery_up",
    "1 unless something is wrong with what the source of the cluster's nodes said last; only where there is one.",
    clusters.flatMap(({ discovery }, index) =>
      discovery === undefined ? [] : [[names[index], Number(discovery.trouble === undefined)] as const],
    ),
  );
  gauge("fnlb_cluster_in_flight", "Requests and tunnels at nodes now.", ({ inFlight }) => inFlight);
  gauge("fnlb_cluster_in_flight_max", "Requests and tunnels that a cluster may have at once.", ({ limits }) =>
    orInfinity(limits.clusterConnectionsMax),
  );
  gauge("fnlb_cluster_queued_requests", "Requests that wait for a place now.", ({ queued }) => queued);
  gauge("fnlb_cluster_queued_requests_max", "Requests that may wait.", ({ limits }) => limits.queueMax);
  gauge("fnlb_cluster_retry_tokens", "Retries that the budget would pay for now.", ({ retryTokens }) => retryTokens);
  gauge("fnlb_cluster_retry_tokens_max", "Retries that the budget can save up.", ({ limits }) => limits.retryTokensMax);
  gauge("fnlb_cluster_panic", "1 while so few nodes are healthy that ejected ones serve.", ({ isPanic }) =>
    Number(isPanic),
  );
  gauge(
    "fnlb_cluster_node_in_flight_max",
    "Requests and tunnels that each node may have at once.",
    ({ limits }) => limits.nodeConnectionsMax,
  );
  gauge(
    "fnlb_cluster_node_idle_connections_max",
    "Idle connections that are kept for each node.",
    ({ limits }) => limits.nodeIdleConnectionsMax,
  );
}

function writeNodes(out: Exposition, nodes: readonly NodeSnapshot[], states: readonly States[]): void {
  const names = nodes.map(({ cluster, id }) => labels({ cluster, node: id }));
  const each = (value: (node: NodeSnapshot) => number) =>
    nodes.map((node, index) => [names[index], value(node)] as const);
  const labelled = (label: string, value: string, index: number) => withLabel(names[index], label, value);
  out.counter(
    "fnlb_node_responses",
    "Responses of the node by class of status, those that fnlb asked another node instead of included.",
    nodes.flatMap(({ stats }, index) =>
      RESPONSE_CLASSES.map((name) => [labelled("class", name, index), stats.answers[`responses${name}`]] as const),
    ),
  );
  const counter = (name: string, help: string, value: (stats: NodeSnapshot["stats"]) => number) =>
    out.counter(
      name,
      help,
      each(({ stats }) => value(stats)),
    );
  counter("fnlb_node_attempts", "Requests that were sent to the node.", ({ attempts }) => attempts);
  counter("fnlb_node_faults", "Attempts that the node failed: no response, or one cut short.", ({ faults }) => faults);
  counter("fnlb_node_dials_failed", "Dials to the node that failed.", ({ dialsFailed }) => dialsFailed);
  counter("fnlb_node_deaths", "Times that the node was found dead.", ({ deaths }) => deaths);
  out.histogram(
    "fnlb_node_head_seconds",
    "From the request on its way to the head of the node's response.",
    HEAD_BOUNDS,
    nodes.map(({ stats }, index) => [names[index], stats.answers.headTime] as const),
  );
  out.gauge(
    "fnlb_node_state",
    "1 where that is so; serving: nothing keeps new requests from the node.",
    nodes.flatMap((_, index) =>
      NODE_STATE_NAMES.map(
        (state) => [labelled("state", state, index), Number(states[index].includes(state))] as const,
      ),
    ),
  );
  const gauge = (name: string, help: string, value: (node: NodeSnapshot) => number) =>
    out.gauge(name, help, each(value));
  gauge("fnlb_node_weight", "Weight of the node, as config, discovery or operators say.", ({ weight }) => weight);
  gauge("fnlb_node_in_flight", "Requests and tunnels at the node now.", ({ inFlight }) => inFlight);
  gauge("fnlb_node_connections", "Connections to the node now.", ({ connections }) => connections);
  gauge("fnlb_node_idle_connections", "Connections to the node that are idle now.", (node) => node.idleConnections);
}

function writeProcess(out: Exposition, { runtime, version, snapshot }: MetricsSubject): void {
  const gauge = (name: string, help: string, value: number) => out.gauge(name, help, [["", value]]);
  out.gauge("fnlb_build_info", "Always 1; its labels say what runs.", [
    [labels({ version, runtime: runtime.runtime, sockets: snapshot.sockets }), 1],
  ]);
  out.counter("fnlb_event_loop_seconds", "Time in which the event loop had work, or waited for some.", [
    [labels({ state: "active" }), runtime.loopActiveSeconds],
    [labels({ state: "idle" }), runtime.loopIdleSeconds],
  ]);
  out.gauge("fnlb_memory_bytes", "Memory of the runtime by kind.", [
    [labels({ kind: "heap-used" }), runtime.heapUsedBytes],
    [labels({ kind: "heap-total" }), runtime.heapTotalBytes],
    [labels({ kind: "external" }), runtime.externalBytes],
  ]);
  out.counter("process_cpu_seconds", "CPU time of the process.", [
    ["", runtime.cpuUserSeconds + runtime.cpuSystemSeconds],
  ]);
  gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", runtime.residentBytes);
  gauge("process_start_time_seconds", "When the process began, since the epoch.", runtime.startedSeconds);
  gauge("process_max_fds", "Files and sockets that the process may have open.", runtime.descriptorsMax);
}

/** Limits that are off have no value of their own. */
function orInfinity(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : limit;
}
