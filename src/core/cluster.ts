// Hot path: `acquire` and `release` run for every attempt and allocate nothing.
import type { Exchange, Refusal } from "./exchange.js";
import type { Node } from "./node.js";
import type { Policy } from "./policies/policy.js";

export interface ClusterOptions {
  /** Exchanges and tunnels that one node may have at once. */
  readonly nodeConnectionsMax: number;
}

/** A named group of nodes with one policy. What the data path sees of it. */
export interface Cluster {
  readonly nodes: readonly Node[];
  /** At once. Counts the node in flight in the same tick; else says why in `exchange.refusal`. */
  acquire(exchange: Exchange): Node | undefined;
  /** The next node in the policy's order that may be dialled although it is dead; not counted in flight. */
  nextDead(exchange: Exchange): Node | undefined;
  /** Exactly once per acquired node, whatever happened. */
  release(node: Node): void;
}

/** A cluster whose nodes are listed in its configuration. */
export function staticCluster(nodes: readonly Node[], policy: Policy, { nodeConnectionsMax }: ClusterOptions): Cluster {
  policy.update(nodes);

  const isActive = (node: Node, exchange: Exchange) =>
    node.alive && node.mode === "active" && node.inFlight < nodeConnectionsMax && !exchange.tried.has(node.index);
  const isEligible = (node: Node, exchange: Exchange) => !node.suspect && isActive(node, exchange);
  const isDead = (node: Node, exchange: Exchange) =>
    !node.alive && node.mode === "active" && !exchange.tried.has(node.index);

  return {
    nodes,
    acquire(exchange) {
      let node = policy.pick(exchange, isEligible);
      if (node === undefined) {
        // A suspect node may be slow rather than gone: better than nobody.
        node = policy.pick(exchange, isActive);
        if (node === undefined) {
          exchange.refusal = refusalOf(nodes, exchange, nodeConnectionsMax);
          return undefined;
        }
      }
      node.inFlight++;
      exchange.refusal = "none";
      return node;
    },
    nextDead: (exchange) => policy.pick(exchange, isDead),
    release(node) {
      node.inFlight--;
    },
  };
}

function refusalOf(nodes: readonly Node[], exchange: Exchange, nodeConnectionsMax: number): Refusal {
  let isAnyActive = false;
  for (const node of nodes) {
    if (node.mode !== "active" || node.weight === 0) continue;
    isAnyActive = true;
    if (node.alive && node.inFlight >= nodeConnectionsMax && !exchange.tried.has(node.index)) return "full";
  }
  return isAnyActive ? "offline" : "drained";
}
