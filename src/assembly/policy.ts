import type { ClusterSettings } from "../config/config.js";
import type { Clock } from "../core/clock.js";
import type { Policy } from "../core/policies/policy.js";
import { createPolicy } from "../core/policies/table.js";

/** What policies and what guards them draw on. */
export interface Chance {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** The policy of a cluster. Throws `ERR_OPTION`. */
export function policyOf(settings: ClusterSettings, { clock, random }: Chance): Policy {
  const { wrrMode: mode, maglevTableSize: tableSize } = settings;
  return createPolicy(settings.policy, { ...settings, mode, tableSize, now: () => clock.now(), random });
}
