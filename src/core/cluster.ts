// Hot path: `acquire` and `release` run for every attempt and allocate nothing.
import type { CircuitBreaker } from "./breaker.js";
import type { Exchange, Refusal } from "./exchange.js";
import type { LoadWait } from "./load-wait.js";
import { type Node, passesChecks } from "./node.js";
import { NodeSet } from "./node-set.js";
import type { OutlierDetector } from "./outlier.js";
import { type Load, measureLoad } from "./policies/bounded-load.js";
import { Outcome, type OutcomeCode, type Policy } from "./policies/policy.js";
import { SlowStart, type SlowStartDependencies } from "./slow-start.js";

export interface ClusterDependencies extends SlowStartDependencies {
  readonly policy: Policy;
  /** The node that the client should stay on, if it may; asked before the policy, for each attempt. */
  readonly affinity?: ((exchange: Exchange, members: readonly Node[]) => Node | undefined) | undefined;
  readonly outlier?: OutlierDetector | undefined;
  readonly breaker?: CircuitBreaker | undefined;
  readonly loadWait?: LoadWait | undefined;
  /** What is in flight in the whole cluster, for one that takes the place of another. Default: nothing. */
  readonly total?: { inFlight: number } | undefined;
  /** A node has been released, or is back: somebody who waits may be served now. */
  readonly onRoom?: (() => void) | undefined;
}

/** Read anew for each attempt, but for the slow start. */
export interface ClusterOptions {
  /** Exchanges and tunnels that one node may have at once. */
  readonly nodeConnectionsMax: number;
  /** Exchanges and tunnels that the cluster may have at once; 0 = no limit. Default 0. */
  readonly clusterConnectionsMax?: number;
  /** Time in which a node that came or came back grows into its share; 0 = off. */
  readonly slowStartMs: number;
}

/** A named group of nodes with one policy. What the data path sees of it. */
export interface Cluster {
  readonly nodes: readonly Node[];
  /** Somebody goes by how attempts end: whoever releases a node should say how, and how long it took. */
  readonly observes: boolean;
  /** At once. Counts the node in flight in the same tick; else says why in `exchange.refusal`. */
  acquire(exchange: Exchange): Node | undefined;
  /** The next node in the policy's order that may be dialled although it is dead; not counted in flight. */
  nextDead(exchange: Exchange): Node | undefined;
  /** The head of a response is in; `stamp` is what `exchange.stamp` was after `acquire`. */
  noteAnswered(node: Node, stamp: number, status: number): void;
  /** A response to the exchange's key said how long it had waited for a place at the node. */
  noteLoadWait(node: Node, exchange: Exchange, waitMs: number): void;
  /** Instead of `release`: the node could not be dialled, which speaks against it. Before the dead-host set hears of it. */
  releaseUndialled(node: Node, stamp: number): void;
  /** Exactly once per acquired node, whatever happened. `waitedMs`: from the complete request to the outcome. */
  release(node: Node, stamp: number, outcome?: OutcomeCode, waitedMs?: number, status?: number): void;
  /** A node is back from the dead, from an ejection or a failed check, or answers again after a silence. */
  noteReturn(node: Node): void;
  /** Membership or weights changed. Nodes that were not there before start slowly. */
  update(nodes: readonly Node[]): void;
}

/** Picks in one acquisition that a node may turn down: if everybody holds back, somebody must serve. */
const HELD_BACK_MAX = 8;

/** A cluster whose nodes are given to it. Those of the start are warm. */
export function staticCluster(
  { policy, affinity, outlier, breaker, loadWait, onRoom, total = { inFlight: 0 }, ...chance }: ClusterDependencies,
  options: ClusterOptions,
  nodes: readonly Node[],
): Cluster {
  let members = nodes;
  const slowStart = new SlowStart(chance, options.slowStartMs);
  const heldBack = new NodeSet();
  const load: Load = { inFlight: 0, weight: 0 };
  const { isKeyed = false } = policy;
  policy.update(members);
  outlier?.update(members);
  breaker?.update(members);

  const isFree = (node: Node) =>
    node.inFlight < options.nodeConnectionsMax && (breaker === undefined || breaker.mayPass(node));
  const isActive = (node: Node, exchange: Exchange) =>
    node.alive && node.mode === "active" && passesChecks(node) && !exchange.tried.has(node.index) && isFree(node);
  const isKept = (node: Node) => !node.ejected || outlier === undefined || outlier.isPanic;
  const isEligible = (node: Node, exchange: Exchange) => !node.suspect && isKept(node) && isActive(node, exchange);
  const isWarm = (node: Node, exchange: Exchange) => !heldBack.has(node.index) && isEligible(node, exchange);
  const isDead = (node: Node, exchange: Exchange) =>
    !node.alive && node.mode === "active" && passesChecks(node) && !exchange.tried.has(node.index);

  /** The first pick is a node in its slow start or with a queue. If it and everybody else must hold back, it serves all the same. */
  function pickWarm(first: Node, exchange: Exchange): Node {
    measureLoad(load, members, exchange, isEligible);
    heldBack.clear();
    let node: Node | undefined = first;
    for (let turn = 0; turn < HELD_BACK_MAX && node !== undefined; turn++) {
      const isHeldBack =
        (slowStart.isGrowing(node) && slowStart.holdsBack(node, exchange, isKeyed, load)) ||
        (loadWait?.holdsBack(node, exchange.keyHash) ?? false);
      if (!isHeldBack) return node;
      heldBack.add(node.index);
      node = policy.pick(exchange, isWarm);
    }
    return node ?? first;
  }

  function isFull(): boolean {
    const { clusterConnectionsMax = 0 } = options;
    return clusterConnectionsMax > 0 && total.inFlight >= clusterConnectionsMax;
  }

  function pick(exchange: Exchange): Node | undefined {
    const home = affinity?.(exchange, members);
    if (home !== undefined && isKept(home) && isFree(home)) return home;
    const node = policy.pick(exchange, isEligible);
    // A suspect or ejected node may be slow rather than gone: better than nobody.
    if (node === undefined) return policy.pick(exchange, isActive);
    return slowStart.isUnderWay || loadWait?.isUnderWay === true ? pickWarm(node, exchange) : node;
  }

  function giveBack(node: Node): void {
    node.inFlight--;
    total.inFlight--;
    policy.noteLoad?.(node);
  }

  return {
    get nodes() {
      return members;
    },
    observes: policy.observe !== undefined || outlier !== undefined || breaker !== undefined,
    acquire(exchange) {
      if (isFull()) {
        exchange.refusal = "full";
        return undefined;
      }
      const node = pick(exchange);
      if (node === undefined) {
        exchange.refusal = refusalOf(members, exchange, options.nodeConnectionsMax);
        return undefined;
      }
      node.inFlight++;
      total.inFlight++;
      policy.noteLoad?.(node);
      if (breaker !== undefined) exchange.stamp = breaker.noteAcquired(node);
      exchange.refusal = "none";
      return node;
    },
    nextDead: (exchange) => policy.pick(exchange, isDead),
    noteAnswered: (node, stamp, status) => breaker?.noteAnswered(node, stamp, status),
    noteLoadWait: (node, { keyHash }, waitMs) => loadWait?.note(node, keyHash, waitMs),
    releaseUndialled(node, stamp) {
      giveBack(node);
      outlier?.noteDialFailed(node);
      breaker?.noteDialFailed(node, stamp);
      onRoom?.();
    },
    release(node, stamp, outcome = Outcome.NONE, waitedMs = 0, status = 0) {
      giveBack(node);
      policy.observe?.(node, outcome, waitedMs, status);
      outlier?.observe(node, outcome, waitedMs, status);
      breaker?.observe(node, stamp, outcome, status);
      onRoom?.();
    },
    noteReturn(node) {
      slowStart.begin(node);
      onRoom?.();
    },
    update(next) {
      const known = new Set(members.map((node) => node.id));
      members = next;
      policy.update(next);
      outlier?.update(next);
      breaker?.update(next);
      slowStart.retain(next);
      loadWait?.retain(next);
      for (const node of next) if (!known.has(node.id)) slowStart.begin(node);
      onRoom?.();
    },
  };
}

/** Why nobody was picked: who has a place to become free, is reachable but kept out, dead, or not asked at all. */
function refusalOf(nodes: readonly Node[], exchange: Exchange, nodeConnectionsMax: number): Refusal {
  let refusal: Refusal = "drained";
  for (const node of nodes) {
    if (node.mode !== "active" || node.weight === 0) continue;
    const isReachable = node.alive && !exchange.tried.has(node.index);
    if (isReachable && passesChecks(node) && node.inFlight >= nodeConnectionsMax) return "full";
    // Alive and not full: a check or a breaker keeps it out.
    if (isReachable) refusal = "unhealthy";
    else if (refusal === "drained") refusal = "offline";
  }
  return refusal;
}
