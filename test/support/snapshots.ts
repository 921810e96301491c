import { ClusterStats } from "../../src/core/cluster-stats.js";
import { Counters } from "../../src/core/counters.js";
import { Histogram } from "../../src/core/histogram.js";
import { NodeStats } from "../../src/core/node-stats.js";
import type { BalancerSnapshot, ClusterSnapshot, NodeSnapshot } from "../../src/core/snapshot.js";

/** A node that has done nothing yet, but for what is given. */
export function nodeOf(given: Partial<NodeSnapshot> = {}): NodeSnapshot {
  return {
    cluster: "default",
    id: "a:80",
    origin: "config",
    alive: true,
    suspect: false,
    ejected: false,
    check: "off",
    breaker: "closed",
    mode: "active",
    weight: 1,
    inFlight: 0,
    connections: 0,
    idleConnections: 0,
    stats: new NodeStats(),
    ...given,
  };
}

/** A cluster nobody has asked for anything, but for what is given. */
export function clusterOf(given: Partial<ClusterSnapshot> = {}): ClusterSnapshot {
  return {
    name: "default",
    policy: "ring-hash",
    discovery: undefined,
    registryVersion: "",
    canServe: true,
    stats: new ClusterStats(),
    queued: 0,
    inFlight: 0,
    retryTokens: 10,
    isPanic: false,
    limits: {
      queueMax: 0,
      clusterConnectionsMax: 0,
      nodeConnectionsMax: 1024,
      nodeIdleConnectionsMax: 100,
      retryTokensMax: 100,
    },
    ...given,
  };
}

/** A balancer with one cluster of one node, but for what is given. */
export function snapshotOf(given: Partial<BalancerSnapshot> = {}): BalancerSnapshot {
  return {
    startedAtMs: 1.7e12,
    readiness: "ready",
    sockets: "fast",
    store: "up",
    connections: 0,
    handshakes: 0,
    exchanges: 0,
    tunnels: 0,
    queued: 0,
    timers: 0,
    isDraining: false,
    isConfigRefused: false,
    certificates: [],
    limits: { connectionsMax: 1000, tunnelsMax: 0 },
    clusters: [clusterOf()],
    nodes: [nodeOf()],
    counters: new Counters(),
    timerDelay: new Histogram(),
    ...given,
  };
}
