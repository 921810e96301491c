import type { ClusterConfig, Config } from "../config/config.js";
import type { ClusterOptionName } from "../config/options.js";
import { FnlbError } from "../errors.js";
import { isEndToEnd } from "../http1/header-rules.js";
import { affinityOf } from "./affinity.js";
import { checkOf } from "./checks.js";
import { type Chance, policyOf } from "./policy.js";
import { breakerOf, outlierOf, requestEditsOf, responseEditsOf } from "./protection.js";

/** Why no cluster can be made of its settings, which are good one by one. */
export interface ClusterFault {
  /** Its name. */
  readonly cluster: string;
  /** At fault, as far as it is one alone. */
  readonly option: ClusterOptionName | undefined;
  readonly error: FnlbError;
}

/** Makes what the clusters of a config would be made of, opens nothing, and says what cannot be made. */
export function findFault(config: Config, chance: Chance): ClusterFault | undefined {
  for (const cluster of config.clusters) {
    for (const [option, make] of proofsOf(config, cluster, chance)) {
      try {
        make();
      } catch (error) {
        if (!(error instanceof FnlbError)) throw error;
        return { cluster: cluster.name, option, error };
      }
    }
  }
  return undefined;
}

/** Throws `ERR_OPTION` where `findFault` finds one. */
export function proveConfig(config: Config, chance: Chance): void {
  const fault = findFault(config, chance);
  if (fault === undefined) return;
  const { cluster, error } = fault;
  throw new FnlbError(error.code, `cluster "${cluster}": ${error.message}`, { cause: error });
}

type Proof = readonly [option: ClusterOptionName | undefined, make: () => unknown];

function proofsOf(config: Config, cluster: ClusterConfig, chance: Chance): readonly Proof[] {
  const { stickyHeader, loadHeader } = cluster;
  return [
    ["request-header", () => requestEditsOf(config, cluster)],
    ["response-header", () => responseEditsOf(cluster)],
    ["load-header", () => proveLoadHeader(loadHeader, stickyHeader)],
    ["sticky-header", () => affinityOf(cluster, chance.clock)],
    [undefined, () => policyOf(cluster, chance)],
    [undefined, () => outlierOf(cluster, chance)],
    [undefined, () => breakerOf(cluster, chance)],
    [undefined, () => checkOf(cluster, { clock: chance.clock, dial: () => () => {}, targetsOf: () => [] })],
  ];
}

/** A field that a node may send without changing what a message is, and that nobody else writes. */
function proveLoadHeader(name: string, stickyHeader: string): void {
  if (name === "" || (isEndToEnd(name) && name !== stickyHeader.toLowerCase())) return;
  throw new FnlbError("ERR_OPTION", `option "load-header" must be a field of its own, got ${JSON.stringify(name)}`);
}
