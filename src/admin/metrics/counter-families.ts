import type { Counters } from "../../core/counters.js";

/** A family of counters that are the same thing, told apart by one label; or a counter of its own. */
export interface CounterFamily {
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  /** Value of the label, and the counter. */
  readonly fields: readonly (readonly [value: string, field: keyof Counters])[];
}

function alone(name: string, field: keyof Counters, help: string): CounterFamily {
  return { name, help, fields: [["", field]] };
}

/**
 * How the counters of the whole process are called outside. Only `retries` is not here: it is the sum of its reasons.
 * Labels that name a limit or a timeout are the names of options.
 */
export const COUNTER_FAMILIES: readonly CounterFamily[] = [
  alone("fnlb_requests", "requests", "Requests whose head was accepted, but for OPTIONS *."),
  alone("fnlb_requests_without_route", "requestsWithoutRoute", "Requests that no route takes."),
  alone(
    "fnlb_requests_without_healthy_node",
    "requestsWithoutHealthyNode",
    "Requests that found every node kept out by checks or breakers.",
  ),
  {
    name: "fnlb_responses",
    help: "Responses that were passed on, and redirects and answers to OPTIONS * of fnlb's own, by class of status.",
    label: "class",
    fields: [
      ["1xx", "responses1xx"],
      ["2xx", "responses2xx"],
      ["3xx", "responses3xx"],
      ["4xx", "responses4xx"],
      ["5xx", "responses5xx"],
    ],
  },
  alone("fnlb_problems", "problems", "Responses of fnlb's own with a status of 400 and above."),
  alone("fnlb_received_bytes", "bytesIn", "Bytes from clients."),
  alone("fnlb_sent_bytes", "bytesOut", "Bytes to clients."),

  alone("fnlb_attempts", "attempts", "Requests that were written to a connection to a node."),
  alone("fnlb_fallbacks", "fallbacks", "Times that another node was looked for because one could not be dialled."),
  {
    name: "fnlb_retries",
    help: "Requests that had reached a node and were sent to another one.",
    label: "reason",
    fields: [
      ["closed", "retriesByClose"],
      ["status", "retriesByStatus"],
      ["silent", "exchangesMovedOffSuspects"],
    ],
  },
  alone("fnlb_dials", "dials", "Connections to nodes that were begun."),
  alone("fnlb_dials_failed", "dialsFailed", "Dials that failed."),
  alone(
    "fnlb_dials_failed_by_own_fault",
    "dialsFailedByOwnFault",
    "Dials for requests that this machine was to blame for.",
  ),
  alone("fnlb_pings", "pings", "Pings of dead nodes."),
  alone("fnlb_probes", "probes", "Questions to silent nodes."),
  alone("fnlb_ejections_spared", "ejectionsSpared", "Nodes that stayed in because as many as may be were out."),
  alone("fnlb_checks", "checks", "HTTP checks that have ended."),
  alone("fnlb_checks_failed", "checksFailed", "HTTP checks that failed."),
  alone("fnlb_discoveries", "discoveries", "Questions to sources of nodes that have been answered or failed."),
  alone("fnlb_discoveries_failed", "discoveriesFailed", "Those that failed, in part or whole: what was known is kept."),
  alone("fnlb_discoveries_empty", "discoveriesEmpty", "Empty answers that emptied no cluster."),
  {
    name: "fnlb_node_transitions",
    help: "Changes of what is known of nodes, by what they became.",
    label: "to",
    fields: [
      ["dead", "nodeDeaths"],
      ["alive", "nodeRevivals"],
      ["suspect", "nodeSuspicions"],
      ["ejected", "nodesEjected"],
      ["breaker-open", "breakersOpened"],
    ],
  },

  {
    name: "fnlb_exchanges_aborted",
    help: "Requests that ended before their response was complete, by who ended them.",
    label: "by",
    fields: [
      ["client", "clientAborts"],
      ["node", "nodeAborts"],
      ["balancer", "exchangesCut"],
    ],
  },
  alone("fnlb_tunnels_opened", "tunnels", "Connections that became tunnels."),
  alone("fnlb_connections_accepted", "connectionsAccepted", "Client connections that were accepted."),
  alone("fnlb_proxy_headers_refused", "connectionsRefusedByProxyHeader", "Connections cut for their PROXY header."),
  alone("fnlb_handshakes_failed", "handshakesFailed", "TLS handshakes of clients that failed."),
  {
    name: "fnlb_timeouts",
    help: "Timeouts that ran out, by option.",
    label: "timeout",
    fields: [
      ["head-timeout", "headTimeouts"],
      ["body-idle-timeout", "bodyTimeouts"],
      ["response-timeout", "responseTimeouts"],
      ["exchange-timeout", "exchangeTimeouts"],
      ["tunnel-idle-timeout", "tunnelTimeouts"],
      ["queue-timeout", "queueTimeouts"],
    ],
  },
  {
    name: "fnlb_limits_reached",
    help: "Times that a limit kept something out or ended it, by option.",
    label: "limit",
    fields: [
      ["connections", "connectionsRefusedByLimit"],
      ["connections-per-client", "connectionsRefusedByClientLimit"],
      ["requests-per-connection", "connectionsEndedByRequestLimit"],
      ["handshakes", "handshakesRefusedByLimit"],
      ["tunnels", "requestsRefusedAtTunnelLimit"],
      ["head-bytes", "headsTooLarge"],
      ["target-bytes", "targetsTooLong"],
      ["body-bytes", "bodiesTooLarge"],
      ["response-head-bytes", "responseHeadsTooLarge"],
      ["node-connections", "requestsRefusedAtNodeLimit"],
      ["cluster-connections", "requestsRefusedAtClusterLimit"],
      ["queue", "requestsRefusedAtQueueLimit"],
      ["attempts", "retriesRefusedByAttempts"],
      ["retry-budget", "retriesRefusedByBudget"],
      ["replay-bytes", "replayBytesExceeded"],
      ["discover-nodes", "discoveriesOverLimit"],
      ["admin-connections", "adminConnectionsRefusedByLimit"],
    ],
  },
  alone(
    "fnlb_requests_refused_by_pause",
    "requestsRefusedByPause",
    "Requests that came by a listener that was paused.",
  ),
  alone("fnlb_requests_queued", "requestsQueued", "Requests that had to wait for a place."),
  alone("fnlb_load_waits_forgotten", "loadWaitsForgotten", "Load waits that were dropped to make room for others."),
  alone("fnlb_interim_responses_dropped", "interimResponsesDropped", "Interim responses that were not passed on."),
  alone("fnlb_reloads", "reloads", "Reloads of the config that have taken it over."),
  alone("fnlb_reloads_failed", "reloadsFailed", "Those that have changed nothing, because something was wrong."),
  alone("fnlb_admin_requests", "adminRequests", "Requests to the admin API."),
  alone("fnlb_admin_changes", "adminChanges", "Changes that it was asked for and made, or found made already."),
  alone(
    "fnlb_admin_requests_refused",
    "adminRequestsRefused",
    "Those without a good token or certificate, or from other sites.",
  ),
  alone("fnlb_access_log_lines_dropped", "accessLogLinesDropped", "Lines that the access log had no room for."),
  alone("fnlb_event_streams_refused", "eventStreamsRefused", "Streams of the dashboard above how many there may be."),
  alone("fnlb_event_streams_cut", "eventStreamsCut", "Streams of the dashboard whose reader had stopped reading."),
  alone("fnlb_event_frames_skipped", "eventFramesSkipped", "Frames that a stream left out for a slow reader."),
];
