import type { Config } from "./config/config.js";
import type { Log } from "./core/log.js";

export interface BalancerDependencies {
  readonly log: Log;
}

export interface DrainResult {
  /** Exchanges and tunnels that had to be cut because the shutdown timeout ran out. */
  readonly cut: number;
}

/** What a running balancer looks like at one moment; counters only grow. */
export interface BalancerSnapshot {
  readonly connections: number;
  readonly exchanges: number;
  readonly tunnels: number;
}

/** A running load balancer. Nothing is opened before `listen`. */
export interface Balancer {
  /** Opens every listener and resolves to their bound addresses (`127.0.0.1:41234`, `[::1]:8081`, `unix:/path`), in order. */
  listen(): Promise<readonly string[]>;
  /** Waits the drain delay, stops accepting, lets exchanges finish for at most the shutdown timeout, then closes. */
  drain(): Promise<DrainResult>;
  /** Ends everything now. Twice is fine. */
  close(): Promise<void>;
  /** Reopens the access log after a rotation. */
  reopenLogs(): void;
  snapshot(): BalancerSnapshot;
}

/** Builds a balancer from a resolved config (see `resolveConfig`). */
export function createBalancer(_config: Config, _dependencies: BalancerDependencies): Balancer {
  throw new Error("being written");
}
