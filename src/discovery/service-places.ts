import { isHostName } from "../config/listen-address.js";
import type { ServiceRecord } from "../core/lookup.js";

/** Where a service is, and its share as the weight of a node. */
export interface WeightedService {
  /** Host name or address, in lower case. */
  readonly target: string;
  readonly port: number;
  /** The heaviest of a priority has 1, none less than 0.01. */
  readonly weight: number;
}

/**
 * The places of a service (RFC 2782), those of the lowest priority number first. Records whose target is the root say
 * that there is none, and what could be no host is left out.
 *
 * Weights count relative to the heaviest: Kubernetes gives each of four pods 25 and each of five 20, which says the same,
 * and 65,535 of them would be ten million points on a ring. 0 is "very small" beside others, and the same as any weight
 * among its like.
 */
export function chosenServices(records: readonly ServiceRecord[]): readonly (readonly WeightedService[])[] {
  const priorities = new Map<number, ServiceRecord[]>();
  for (const record of records) {
    const target = record.target.toLowerCase().replace(/\.$/, "");
    if (record.port === 0 || !isHostName(target)) continue;
    const group = priorities.get(record.priority) ?? [];
    group.push({ ...record, target });
    priorities.set(record.priority, group);
  }
  return [...priorities].sort(([one], [other]) => one - other).map(([, group]) => weighted(group));
}

const SHARES = 100;

function weighted(group: readonly ServiceRecord[]): readonly WeightedService[] {
  const heaviest = Math.max(1, ...group.map(({ weight }) => weight));
  const isUnweighted = group.every(({ weight }) => weight === 0);
  return group.map(({ target, port, weight }) => {
    const share = isUnweighted ? 1 : Math.max(1, Math.round((weight / heaviest) * SHARES)) / SHARES;
    return { target, port, weight: share };
  });
}
