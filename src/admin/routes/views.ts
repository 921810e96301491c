import type { AnswerStats } from "../../core/answer-stats.js";
import type { Histogram } from "../../core/histogram.js";
import { NODE_STATE_NAMES, nodeStates } from "../../core/node-states.js";
import type { ListenerView } from "../../core/operations.js";
import type { BalancerSnapshot, ClusterSnapshot, NodeSnapshot } from "../../core/snapshot.js";
import type { RecentPoint } from "../dashboard/history.js";
import { dictionary, flag, list, nullable, number, object, text, type ValueOf, whole, word } from "../schema.js";

const RESPONSE_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

const RESPONSES = object(
  { "1xx": whole(), "2xx": whole(), "3xx": whole(), "4xx": whole(), "5xx": whole() },
  {},
  { title: "Responses", description: "Responses by class of status, since the beginning." },
);

const LATENCY = object(
  { p50: number(), p90: number(), p99: number() },
  {},
  {
    description:
      "Quantiles of the times to the head of a response in milliseconds, since the beginning; null: none yet.",
  },
);

const RECENT = object(
  { rate: nullable(number()), errors: nullable(number()), p50Ms: nullable(number()), p99Ms: nullable(number()) },
  {},
  {
    description:
      "In the last two seconds: requests and errors a second, quantiles of the times to the head of a response; null: none. Left out before they are known.",
  },
);

export const MODE = word(["active", "draining", "disabled"], {
  description: "What operators say: draining serves those that are pinned to it and no others, disabled nobody.",
});

export const NODE = object(
  {
    cluster: text(),
    id: text({ description: "10.0.0.1:8080, as it is called everywhere." }),
    origin: word(["config", "discovered", "operator"], { description: "Who names it." }),
    states: list(word(NODE_STATE_NAMES), {
      description: "What it is now, several at a time; serving: takes new keys.",
    }),
    mode: MODE,
    weight: number({ minimum: 0 }),
    alive: flag({ description: "What dialling says." }),
    suspect: flag({ description: "It accepts and does not answer." }),
    ejected: flag({ description: "Outlier detection keeps it out for a while." }),
    check: word(["off", "unknown", "passing", "failing"], { description: "What active checks say." }),
    breaker: word(["closed", "open", "half-open"]),
    inFlight: whole({ description: "Requests and tunnels that it serves now." }),
    connections: whole(),
    idleConnections: whole(),
    attempts: whole({ description: "Requests that were sent to it." }),
    faults: whole({ description: "Attempts that it failed: no response, or one cut short." }),
    dialsFailed: whole(),
    responses: RESPONSES,
    latencyMs: nullable(LATENCY),
  },
  { recent: RECENT },
  { title: "Node" },
);

export const CLUSTER = object(
  {
    name: text(),
    policy: text(),
    discovery: nullable(
      object(
        {
          source: text({ description: "As --discover names it." }),
          trouble: nullable(
            text({ description: "What is wrong with what it said last; what was known stays. null: nothing." }),
          ),
        },
        {},
        { description: "Where nodes are found, besides those that are listed; null: nowhere." },
      ),
    ),
    nodes: whole(),
    serving: whole({ description: "Nodes that take new keys." }),
    canServe: flag({ description: "Some node may get new keys, if only because no better one may." }),
    inFlight: whole({ description: "Requests and tunnels at nodes now." }),
    queued: whole({ description: "Requests that wait for a place." }),
    isPanic: flag({ description: "So few nodes are healthy that ejected ones serve." }),
    retryTokens: number({ description: "Repeats that the retry budget would pay for now." }),
    requests: whole(),
    responses: RESPONSES,
    problems: dictionary(whole(), { description: "Requests that fnlb answered itself, by code." }),
    latencyMs: nullable(LATENCY),
    limits: object({
      queueMax: whole(),
      clusterConnectionsMax: whole({ description: "0: none." }),
      nodeConnectionsMax: whole(),
      nodeIdleConnectionsMax: whole(),
      retryTokensMax: number(),
    }),
  },
  { recent: RECENT },
  { title: "Cluster" },
);

export const LISTENER = object(
  {
    id: text({ description: "127.0.0.1:8081, [::1]:8081 or unix:/path." }),
    state: word(["open", "paused"], {
      description: "Paused: new connections, and new requests on open ones, get 503; what runs goes on.",
    }),
    isTls: flag(),
    takesProxyHeaders: flag(),
  },
  {},
  { title: "Listener" },
);

/** `recent` is what its newest sample says. */
export function nodeView(node: NodeSnapshot, recent?: RecentPoint): ValueOf<typeof NODE> {
  const { cluster, id, origin, mode, weight, alive, suspect, ejected, check, breaker } = node;
  const { inFlight, connections, idleConnections } = node;
  const { attempts, faults, dialsFailed, answers } = node.stats;
  const counts = { attempts, faults, dialsFailed, responses: responsesOf(answers) };
  const state = { mode, weight, alive, suspect, ejected, check, breaker };
  const now = { inFlight, connections, idleConnections };
  return {
    cluster,
    id,
    origin,
    states: nodeStates(node),
    ...state,
    ...now,
    ...counts,
    latencyMs: latencyOf(answers.headTime),
    ...(recent === undefined ? {} : { recent }),
  };
}

export function clusterView(
  cluster: ClusterSnapshot,
  { nodes }: Pick<BalancerSnapshot, "nodes">,
  recent?: RecentPoint,
): ValueOf<typeof CLUSTER> {
  const { name, policy, discovery, canServe, inFlight, queued, isPanic, retryTokens, stats, limits } = cluster;
  const own = nodes.filter((node) => node.cluster === name);
  return {
    name,
    policy,
    discovery: discovery === undefined ? null : { ...discovery, trouble: discovery.trouble ?? null },
    nodes: own.length,
    serving: own.filter((node) => nodeStates(node).includes("serving")).length,
    canServe,
    inFlight,
    queued,
    isPanic,
    retryTokens,
    requests: stats.requests,
    responses: responsesOf(stats.answers),
    problems: Object.fromEntries(stats.problems),
    latencyMs: latencyOf(stats.answers.headTime),
    limits,
    ...(recent === undefined ? {} : { recent }),
  };
}

export function listenerView({ id, state, isTls, takesProxyHeaders }: ListenerView): ValueOf<typeof LISTENER> {
  return { id, state, isTls, takesProxyHeaders };
}

function responsesOf(answers: Readonly<AnswerStats>): ValueOf<typeof RESPONSES> {
  const pairs = RESPONSE_CLASSES.map((name) => [name, answers[`responses${name}`]] as const);
  // One for each class.
  return Object.fromEntries(pairs) as Record<(typeof RESPONSE_CLASSES)[number], number>;
}

function latencyOf(times: Histogram): ValueOf<typeof LATENCY> | null {
  if (times.count === 0) return null;
  return { p50: times.quantile(0.5), p90: times.quantile(0.9), p99: times.quantile(0.99) };
}
