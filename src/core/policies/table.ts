import type { HotKeyOptions } from "./key-order.js";
import { leastLoaded } from "./least-loaded.js";
import { type MaglevOptions, maglev } from "./maglev.js";
import { type P2cEwmaOptions, p2cEwma } from "./p2c-ewma.js";
import type { Policy } from "./policy.js";
import { type RandomChoiceOptions, randomChoice } from "./random.js";
import { rendezvous } from "./rendezvous.js";
import { type RingHashOptions, ringHash } from "./ring-hash.js";
import { type WeightedRoundRobinOptions, weightedRoundRobin } from "./weighted-round-robin.js";

/** Every policy by the name that configurations use: one factory each. */
export const POLICIES = {
  "ring-hash": ringHash,
  maglev,
  rendezvous,
  "weighted-round-robin": weightedRoundRobin,
  "least-loaded": leastLoaded,
  "p2c-ewma": p2cEwma,
  random: randomChoice,
} as const;

export type PolicyName = keyof typeof POLICIES;

/** What the policies take, all together; each reads its own. */
export type PolicyOptions = RingHashOptions &
  HotKeyOptions &
  MaglevOptions &
  WeightedRoundRobinOptions &
  P2cEwmaOptions &
  RandomChoiceOptions;

/** The policy of that name. Throws `ERR_OPTION` for an option out of range. */
export function createPolicy(name: PolicyName, options: PolicyOptions): Policy {
  return POLICIES[name](options);
}
