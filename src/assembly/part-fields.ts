import type { ClusterSettings } from "../config/config.js";

/** Settings from which the policy is made; a change of one makes it anew over the same nodes. */
export const POLICY_FIELDS = [
  "policy",
  "hash",
  "balanceFactor",
  "spread",
  "maglevTableSize",
  "rebalance",
  "wrrMode",
] as const satisfies readonly (keyof ClusterSettings)[];

/** Settings from which affinity is made. */
export const AFFINITY_FIELDS = [
  "stickyCookie",
  "stickyHeader",
  "stickyCodecs",
  "stickySecrets",
  "stickyTtlMs",
  "stickyMaxAgeMs",
  "stickyPath",
  "stickyDomain",
  "stickySecure",
  "stickyHttpOnly",
  "stickySameSite",
] as const satisfies readonly (keyof ClusterSettings)[];

/** Settings from which outlier detection is made. */
export const OUTLIER_FIELDS = [
  "outlierConsecutive",
  "outlierShareMax",
  "outlierWindowMs",
  "outlierVolumeMin",
  "outlierEjectionMs",
  "outlierEjectionMaxMs",
  "outlierEjectedShareMax",
  "panicShare",
] as const satisfies readonly (keyof ClusterSettings)[];

export const BREAKER_FIELDS = [
  "breakerFaults",
  "breakerOpenMs",
  "breakerOpenMaxMs",
] as const satisfies readonly (keyof ClusterSettings)[];

export const CHECK_FIELDS = [
  "checkPath",
  "checkIntervalMs",
  "checkTimeoutMs",
  "checkMethod",
  "checkHost",
  "checkStatuses",
  "checkBody",
  "checkMinVersion",
  "checkHealthyThreshold",
  "checkUnhealthyThreshold",
] as const satisfies readonly (keyof ClusterSettings)[];
