import { parseNodeName } from "../config/node-address.js";
import type { Node } from "../core/node.js";
import type { NodeName, Operations } from "../core/operations.js";
import { FnlbError } from "../errors.js";
import { type ExplainedFront, explain, ringView } from "./explanation.js";
import type { Listeners } from "./listeners.js";
import type { RunningCluster } from "./running-cluster.js";

/** What operators ask and change, as it is now. */
export interface Operated {
  readonly front: ExplainedFront;
  readonly clusters: ReadonlyMap<string, RunningCluster>;
  readonly listeners: Listeners;
}

/** Everything that operators may do with what runs; `operated` throws while nothing does. */
export function operatorOf(operated: () => Operated): Omit<Operations, "snapshot"> {
  function clusterOf(name: string): RunningCluster {
    const cluster = operated().clusters.get(name);
    if (cluster === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no cluster "${name}"`);
    return cluster;
  }

  function nodeOf({ cluster: name, node: given }: NodeName): { readonly cluster: RunningCluster; readonly node: Node } {
    const cluster = clusterOf(name);
    const id = parseNodeId(given);
    const found = cluster.nodes.find(({ node }) => node.id === id);
    if (found === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no node "${id}" in cluster "${name}"`);
    return { cluster, node: found.node };
  }

  return {
    listeners: () => operated().listeners.views,
    // Refusals reject, whatever they are about.
    editNode: async (name, change, condition = {}) => {
      const cluster = clusterOf(name);
      return cluster.edit({ ...change, id: parseNodeId(change.id) }, condition);
    },
    registry: (name) => clusterOf(name).registry,
    resetNode(name) {
      const { cluster, node } = nodeOf(name);
      return cluster.resetNode(node);
    },
    markAlive(name) {
      const { cluster, node } = nodeOf(name);
      return cluster.markAlive(node);
    },
    pauseListener: (id) => operated().listeners.pause(id, true),
    resumeListener: (id) => operated().listeners.pause(id, false),
    explain: (request) => explain(operated().front, request),
    ring: (name, sectors) => ringView(name, clusterOf(name).context.cluster, sectors),
  };
}

/** The id of a node, however its address was written. Throws `ERR_BAD_REQUEST`. */
function parseNodeId(text: string): string {
  const node = parseNodeName(text);
  if ("reason" in node) throw new FnlbError("ERR_BAD_REQUEST", `a node must have an address, got ${node.reason}`);
  return node.id;
}
