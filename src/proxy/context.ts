import type { ClusterSettings, ProcessSettings } from "../config/config.js";
import type { Affinity } from "../core/affinity/affinity.js";
import type { Clock } from "../core/clock.js";
import type { Cluster } from "../core/cluster.js";
import type { ClusterStats } from "../core/cluster-stats.js";
import type { Counters } from "../core/counters.js";
import type { DeadHosts } from "../core/dead-hosts.js";
import type { Log } from "../core/log.js";
import type { Node } from "../core/node.js";
import type { RetryBudget } from "../core/retry.js";
import type { Dial, DialTarget } from "../core/stream.js";
import type { TimerWheel } from "../core/timer-wheel.js";
import type { HeaderEdits } from "../http1/header-rules.js";
import type { ResponseHead } from "../http1/response-head.js";
import type { AccessLog } from "./access-log.js";

/** What the data path of one balancer shares; handed in by the composition root, which may change the config. */
export interface ProxyContext {
  readonly config: ProcessSettings;
  readonly clock: Clock;
  /** Ticks while the balancer runs; its coarse `nowMs` is the time of the data path. */
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly log: Log;
  readonly dial: Dial;
  readonly accessLog: AccessLog | undefined;
  readonly isTrusted: (address: string) => boolean;
  /** What this process calls itself in Via. */
  readonly viaName: string;
  /** A fresh X-Request-Id. */
  readonly requestId: () => string;
  /** The time as IMF-fixdate. */
  readonly date: () => string;
}

/** What the exchanges of one cluster share beside that. */
export interface ClusterContext extends ProxyContext {
  readonly name: string;
  readonly config: ProcessSettings & ClusterSettings;
  readonly cluster: Cluster;
  readonly stats: ClusterStats;
  /** Keeps clients on their nodes; undefined where that is off. */
  readonly affinity: Affinity | undefined;
  readonly deadHosts: DeadHosts;
  readonly retryBudget: RetryBudget;
  /** What is changed in requests on their way to nodes, and in responses on their way to clients. */
  readonly requestEdits: HeaderEdits | undefined;
  readonly responseEdits: HeaderEdits | undefined;
  /** One parser for all responses of the cluster: between two reads it holds nothing. */
  readonly responseHead: ResponseHead;
  /** Addresses to dial for a node, best first; empty while its name has not been resolved. */
  readonly targetsOf: (node: Node) => readonly DialTarget[];
  /** A dial failed: the name may have moved. */
  readonly onNameDoubted: (node: Node) => void;
}
