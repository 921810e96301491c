export {
  type Balancer,
  type BalancerDependencies,
  type BalancerSnapshot,
  createBalancer,
  type DrainResult,
  type NodeSnapshot,
} from "./balancer.js";
export type { Config, KeyPart, ListenAddress, ListenerConfig, NodeConfig } from "./config/config.js";
export { OPTIONS, type OptionName, type OptionSpec } from "./config/options.js";
export { type ConfigSources, type OptionValue, resolveConfig } from "./config/resolve.js";
export type { Clock } from "./core/clock.js";
export type { Log, LogFields } from "./core/log.js";
export {
  type IsErrorStatus,
  isNodeError,
  type Meter,
  type MeterReading,
  SlidingMeter,
  type SlidingMeterOptions,
} from "./core/meter.js";
export type { Node, NodeAddress, NodeMode } from "./core/node.js";
export { type RingHash, type RingHashOptions, ringHash } from "./core/policies/ring-hash.js";
export {
  decideRebalance,
  type NodeSample,
  originalState,
  REBALANCE_DEFAULTS,
  REBALANCE_OXY,
  type RebalanceDecision,
  type RebalanceOptions,
  type RebalanceSample,
  type RebalanceState,
  rebalanceOptions,
} from "./core/rebalance.js";
export { Rebalancer, type RebalancerDependencies, type RebalancerOptions } from "./core/rebalancer.js";
export { ErrNoFallbackNodeFound, type ErrorCode, FnlbError, HTTP_STATUS } from "./errors.js";
