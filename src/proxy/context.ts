import type { Config } from "../config/config.js";
import type { StickySession } from "../core/affinity/sticky-session.js";
import type { Clock } from "../core/clock.js";
import type { Cluster } from "../core/cluster.js";
import type { Counters } from "../core/counters.js";
import type { DeadHosts } from "../core/dead-hosts.js";
import type { Log } from "../core/log.js";
import type { Node } from "../core/node.js";
import type { RetryBudget } from "../core/retry.js";
import type { Dial, DialTarget } from "../core/stream.js";
import type { TimerWheel } from "../core/timer-wheel.js";
import type { AccessLog } from "./access-log.js";

/** What the data path of one balancer shares; handed in by the composition root. */
export interface ProxyContext {
  readonly config: Config;
  readonly clock: Clock;
  /** Ticks while the balancer runs; its coarse `nowMs` is the time of the data path. */
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly log: Log;
  readonly cluster: Cluster;
  /** Keeps clients on their nodes by a cookie; undefined where that is off. */
  readonly sticky: StickySession | undefined;
  readonly deadHosts: DeadHosts;
  readonly retryBudget: RetryBudget;
  readonly dial: Dial;
  /** Addresses to dial for a node, best first; empty while its name has not been resolved. */
  readonly targetsOf: (node: Node) => readonly DialTarget[];
  /** A dial failed: the name may have moved. */
  readonly onNameDoubted: (node: Node) => void;
  readonly accessLog: AccessLog | undefined;
  readonly isTrusted: (address: string) => boolean;
  /** What this process calls itself in Via. */
  readonly viaName: string;
  /** A fresh X-Request-Id. */
  readonly requestId: () => string;
  /** The time as IMF-fixdate. */
  readonly date: () => string;
}
