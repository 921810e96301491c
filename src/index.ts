export { explainConfig } from "./assembly/explain-config.js";
export {
  type Balancer,
  type BalancerDependencies,
  createBalancer,
  type DrainResult,
} from "./balancer.js";
export { FallbackRoundTripper, type FallbackRoundTripperOptions } from "./client/fallback-round-tripper.js";
export type { NodeTlsOptions } from "./client/node-client.js";
export {
  consistentHashReverseProxy,
  type OutgoingRequest,
  type ReverseProxyHandler,
  type ReverseProxyOptions,
} from "./client/reverse-proxy.js";
export type { RouteKey } from "./config/check-routes.js";
export type {
  ClusterConfig,
  ClusterSettings,
  Config,
  DiscoveryConfig,
  KeyPart,
  ListenAddress,
  ListenerConfig,
  NodeConfig,
  ProcessSettings,
  RouteConfig,
} from "./config/config.js";
export {
  type ConfigFile,
  type FileRoute,
  type FileValue,
  parseConfigFile,
} from "./config/config-file.js";
export type { OptionSpec } from "./config/option-row.js";
export { OPTIONS, type OptionName } from "./config/options.js";
export { type ConfigSources, type OptionValue, resolveConfig } from "./config/resolve.js";
export type { RetryOn } from "./config/retry-on.js";
export type { Affinity } from "./core/affinity/affinity.js";
export type { CodecKey } from "./core/affinity/codec-key.js";
export { codecList } from "./core/affinity/codec-list.js";
export type { CookieAttributes } from "./core/affinity/cookie.js";
export type { CookieCodec } from "./core/affinity/cookie-codec.js";
export {
  type EncryptedCodecDependencies,
  type EncryptedCodecOptions,
  encryptedCodec,
} from "./core/affinity/encrypted-codec.js";
export { type HashCodecOptions, hashCodec } from "./core/affinity/hash-codec.js";
export type { UrlOf } from "./core/affinity/node-url.js";
export { type RawCodecOptions, rawCodec } from "./core/affinity/raw-codec.js";
export { type SignedCodecOptions, signedCodec } from "./core/affinity/signed-codec.js";
export { StickyHeader, type StickyHeaderOptions } from "./core/affinity/sticky-header.js";
export {
  mayStay,
  type StickyPick,
  type StickyRequest,
  StickySession,
  type StickySessionOptions,
} from "./core/affinity/sticky-session.js";
export {
  type BreakerState,
  CircuitBreaker,
  type CircuitBreakerDependencies,
  type CircuitBreakerOptions,
} from "./core/breaker.js";
export type { Clock } from "./core/clock.js";
export type { Exchange, Refusal } from "./core/exchange.js";
export { hashString } from "./core/hash.js";
export type { Log, LogFields } from "./core/log.js";
export {
  type IsErrorStatus,
  isNodeError,
  type Meter,
  type MeterReading,
  SlidingMeter,
  type SlidingMeterOptions,
} from "./core/meter.js";
export { createNode, type Node, type NodeAddress, type NodeMode } from "./core/node.js";
export { NodeSet } from "./core/node-set.js";
export type { NodeStateName } from "./core/node-states.js";
export type {
  ChangeResult,
  EditCondition,
  ExplainedNode,
  Explanation,
  ListenerView,
  NodeName,
  Operations,
  RequestSketch,
  RingView,
} from "./core/operations.js";
export {
  type EjectionReason,
  type OutlierDependencies,
  OutlierDetector,
  type OutlierOptions,
} from "./core/outlier.js";
export type { HotKeyOptions } from "./core/policies/key-order.js";
export { leastLoaded } from "./core/policies/least-loaded.js";
export { type MaglevOptions, maglev } from "./core/policies/maglev.js";
export { type P2cEwmaOptions, p2cEwma } from "./core/policies/p2c-ewma.js";
export { type Arcs, type Eligible, Outcome, type OutcomeCode, type Policy } from "./core/policies/policy.js";
export { type RandomChoiceOptions, randomChoice } from "./core/policies/random.js";
export { rendezvous } from "./core/policies/rendezvous.js";
export { type RingHash, type RingHashOptions, ringHash } from "./core/policies/ring-hash.js";
export { type WeightedRoundRobinOptions, weightedRoundRobin } from "./core/policies/weighted-round-robin.js";
export type { HoldReason } from "./core/preview.js";
export type { Readiness } from "./core/readiness.js";
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
export type { NodeChange } from "./core/registry.js";
export type { BalancerSnapshot, ClusterSnapshot, NodeOrigin, NodeSnapshot } from "./core/snapshot.js";
export { ErrNoFallbackNodeFound, type ErrorCode, FnlbError, HTTP_STATUS } from "./errors.js";
