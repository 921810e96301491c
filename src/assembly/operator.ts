import type { Operations } from "../core/operations.js";
import { FnlbError } from "../errors.js";
import type { RunningCluster } from "./running-cluster.js";

/** What operators change, as it is now. */
export interface Operated {
  readonly clusters: ReadonlyMap<string, RunningCluster>;
}

/** The changes that `Operations` promises; `operated` throws while there is nothing to change. */
export function operatorOf(operated: () => Operated): Pick<Operations, "editNode"> {
  function clusterOf(name: string): RunningCluster {
    const cluster = operated().clusters.get(name);
    if (cluster === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no cluster "${name}"`);
    return cluster;
  }

  return {
    editNode: async (cluster, change, condition = {}) => clusterOf(cluster).edit(change, condition),
  };
}
