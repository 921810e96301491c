import { createPolicy, POLICIES, type PolicyName, type PolicyOptions } from "../../src/core/policies/table.js";
import { seeded } from "../support/seeded-random.js";

export const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];

/** Policies that send a key to its home. */
export const BY_KEY: readonly PolicyName[] = ["ring-hash", "maglev", "rendezvous"];

/** A policy of the table with chance that is the same in every run, and time that stands still unless given. */
export function policyNamed(name: PolicyName, options: Partial<PolicyOptions> = {}) {
  return createPolicy(name, { random: seeded(1), now: () => 0, ...options });
}
