// Hot path: `acquire` and `release` run for every attempt and allocate nothing.
import type { Exchange, Refusal } from "./exchange.js";
import type { Node } from "./node.js";
import { NodeSet } from "./node-set.js";
import { type Load, measureLoad } from "./policies/bounded-load.js";
import { Outcome, type OutcomeCode, type Policy } from "./policies/policy.js";
import { SlowStart, type SlowStartDependencies } from "./slow-start.js";

export interface ClusterDependencies extends SlowStartDependencies {
  readonly policy: Policy;
  /** The node that the client should stay on, if it may; asked before the policy, for each attempt. */
  readonly affinity?: (exchange: Exchange, members: readonly Node[]) => Node | undefined;
}

export interface ClusterOptions {
  /** Exchanges and tunnels that one node may have at once. */
  readonly nodeConnectionsMax: number;
  /** Time in which a node that came or came back grows into its share; 0 = off. */
  readonly slowStartMs: number;
}

/** A named group of nodes with one policy. What the data path sees of it. */
export interface Cluster {
  readonly nodes: readonly Node[];
  /** The policy goes by latency: whoever releases a node should say how long it took. */
  readonly observesLatency: boolean;
  /** At once. Counts the node in flight in the same tick; else says why in `exchange.refusal`. */
  acquire(exchange: Exchange): Node | undefined;
  /** The next node in the policy's order that may be dialled although it is dead; not counted in flight. */
  nextDead(exchange: Exchange): Node | undefined;
  /** Exactly once per acquired node, whatever happened. `waitedMs`: from the complete request to the outcome. */
  release(node: Node, outcome?: OutcomeCode, waitedMs?: number, status?: number): void;
  /** A node is back from the dead, or answers again after a silence. */
  noteReturn(node: Node): void;
  /** Membership or weights changed. Nodes that were not there before start slowly. */
  update(nodes: readonly Node[]): void;
}

/** Picks in one acquisition that a slow start may turn down: if a whole cluster has come back at once, somebody must serve. */
const HELD_BACK_MAX = 8;

/** A cluster whose nodes are given to it. Those of the start are warm. */
export function staticCluster(
  { policy, affinity, ...chance }: ClusterDependencies,
  { nodeConnectionsMax, slowStartMs }: ClusterOptions,
  nodes: readonly Node[],
): Cluster {
  let members = nodes;
  const slowStart = new SlowStart(chance, slowStartMs);
  const heldBack = new NodeSet();
  const load: Load = { inFlight: 0, weight: 0 };
  const { isKeyed = false } = policy;
  policy.update(members);

  const isActive = (node: Node, exchange: Exchange) =>
    node.alive && node.mode === "active" && node.inFlight < nodeConnectionsMax && !exchange.tried.has(node.index);
  const isEligible = (node: Node, exchange: Exchange) => !node.suspect && isActive(node, exchange);
  const isWarm = (node: Node, exchange: Exchange) => !heldBack.has(node.index) && isEligible(node, exchange);
  const isDead = (node: Node, exchange: Exchange) =>
    !node.alive && node.mode === "active" && !exchange.tried.has(node.index);

  /** The first pick is a node in its slow start. If it and everybody else must hold back, it serves all the same. */
  function pickWarm(first: Node, exchange: Exchange): Node {
    measureLoad(load, members, exchange, isEligible);
    heldBack.clear();
    let node: Node | undefined = first;
    for (let turn = 0; turn < HELD_BACK_MAX && node !== undefined && slowStart.isGrowing(node); turn++) {
      if (!slowStart.holdsBack(node, exchange, isKeyed, load)) return node;
      heldBack.add(node.index);
      node = policy.pick(exchange, isWarm);
    }
    return node ?? first;
  }

  return {
    get nodes() {
      return members;
    },
    observesLatency: policy.observe !== undefined,
    acquire(exchange) {
      let node = affinity?.(exchange, members);
      if (node !== undefined && node.inFlight < nodeConnectionsMax) {
        node.inFlight++;
        policy.noteLoad?.(node);
        exchange.refusal = "none";
        return node;
      }
      node = policy.pick(exchange, isEligible);
      if (node === undefined) {
        // A suspect node may be slow rather than gone: better than nobody.
        node = policy.pick(exchange, isActive);
        if (node === undefined) {
          exchange.refusal = refusalOf(members, exchange, nodeConnectionsMax);
          return undefined;
        }
      } else if (slowStart.isUnderWay) node = pickWarm(node, exchange);
      node.inFlight++;
      policy.noteLoad?.(node);
      exchange.refusal = "none";
      return node;
    },
    nextDead: (exchange) => policy.pick(exchange, isDead),
    release(node, outcome = Outcome.NONE, waitedMs = 0, status = 0) {
      node.inFlight--;
      policy.noteLoad?.(node);
      policy.observe?.(node, outcome, waitedMs, status);
    },
    noteReturn: (node) => slowStart.begin(node),
    update(next) {
      const known = new Set(members.map((node) => node.id));
      members = next;
      policy.update(next);
      slowStart.retain(next);
      for (const node of next) if (!known.has(node.id)) slowStart.begin(node);
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
