// Hot path: `acquire` and `release` run for every attempt and allocate nothing.
import type { CircuitBreaker } from "./breaker.js";
import type { Exchange, Refusal } from "./exchange.js";
import type { LoadWait } from "./load-wait.js";
import { type Node, passesChecks } from "./node.js";
import { NodeSet } from "./node-set.js";
import type { OutlierDetector } from "./outlier.js";
import { type Load, measureLoad } from "./policies/bounded-load.js";
import { type Arcs, type Eligible, Outcome, type OutcomeCode, type Policy } from "./policies/policy.js";
import { type Preview, previewOf } from "./preview.js";
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
  /** As many exchanges and tunnels are in flight in the whole cluster as there may be. */
  readonly isFull: boolean;
  /** At once. Counts the node in flight in the same tick; else says why in `exchange.refusal`. */
  acquire(exchange: Exchange): Node | undefined;
  /**
   * For one more attempt of an exchange that still holds its last node, and no two places of the cluster. Only a node
   * without reserve: a suspect or ejected one is no better than what the exchange has.
   */
  acquireNext(exchange: Exchange): Node | undefined;
  /** What would become of an exchange now; changes nothing, neither here nor in the exchange. */
  preview(exchange: Exchange): Preview;
  /** See `Policy.arcs`. */
  arcs(sectors: number): Arcs | undefined;
  /** The next node in the policy's order that may be dialled although it is dead; not counted in flight. */
  nextDead(exchange: Exchange): Node | undefined;
  /** The same, acquired: counted in flight, and to be released like any other. */
  acquireDead(exchange: Exchange): Node | undefined;
  /** The head of a response is in; `stamp` is what `exchange.stamp` was after `acquire`. */
  noteAnswered(node: Node, stamp: number, status: number): void;
  /** A response to the exchange's key said how long it had waited for a place at the node. */
  noteLoadWait(node: Node, exchange: Exchange, waitMs: number): void;
  /** Instead of `release`: the node could not be dialled, which speaks against it. Before the dead-host set hears of it. */
  releaseUndialled(node: Node, stamp: number): void;
  /** How an attempt ended whose place stays taken: it has become a tunnel. Of its `release` nobody learns anything then. */
  observe(node: Node, stamp: number, outcome: OutcomeCode, waitedMs: number, status: number): void;
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

  const mayPass = (node: Node) => breaker === undefined || breaker.mayPass(node);
  const isFree = (node: Node) => node.inFlight < options.nodeConnectionsMax && mayPass(node);
  const isActive = (node: Node, exchange: Exchange) =>
    node.alive && node.mode === "active" && passesChecks(node) && !exchange.tried.has(node.index) && isFree(node);
  const isKept = (node: Node) => !node.ejected || outlier === undefined || outlier.isPanic;
  const isEligible = (node: Node, exchange: Exchange) => !node.suspect && isKept(node) && isActive(node, exchange);
  const isWarm = (node: Node, exchange: Exchange) => !heldBack.has(node.index) && isEligible(node, exchange);
  const keepsWaiting = (node: Node, exchange: Exchange) => loadWait?.holdsBack(node, exchange.keyHash) ?? false;
  const isDead = (node: Node, exchange: Exchange) =>
    !node.alive && node.mode === "active" && passesChecks(node) && !exchange.tried.has(node.index);

  /** The first pick is a node in its slow start or with a queue. If it and everybody else must hold back, it serves all the same. */
  function pickWarm(first: Node, exchange: Exchange, isBusy: Eligible): Node {
    measureLoad(load, members, exchange, isEligible);
    heldBack.clear();
    let node: Node | undefined = first;
    for (let turn = 0; turn < HELD_BACK_MAX && node !== undefined; turn++) {
      const isHeldBack =
        (slowStart.isGrowing(node) && slowStart.holdsBack(node, exchange, isKeyed, load)) || isBusy(node, exchange);
      if (!isHeldBack) return node;
      heldBack.add(node.index);
      node = policy.pick(exchange, isWarm);
    }
    return node ?? first;
  }

  /** Is this eligible node passed over because it grows into its share? By key only, where no chance is asked. */
  function isColdFor(node: Node, exchange: Exchange): boolean {
    if (!isKeyed || !slowStart.isGrowing(node)) return false;
    measureLoad(load, members, exchange, isEligible);
    return slowStart.holdsBack(node, exchange, isKeyed, load);
  }

  function isFullBeside(held: number): boolean {
    const { clusterConnectionsMax = 0 } = options;
    return clusterConnectionsMax > 0 && total.inFlight - held >= clusterConnectionsMax;
  }

  /** The node that the client stays on now. */
  function stay(exchange: Exchange): Node | undefined {
    const home = affinity?.(exchange, members);
    return home !== undefined && isKept(home) && isFree(home) ? home : undefined;
  }

  function pick(exchange: Exchange, isBusy: Eligible): Node | undefined {
    const home = stay(exchange);
    if (home !== undefined) return home;
    const node = policy.pick(exchange, isEligible);
    if (node === undefined) return undefined;
    return slowStart.isUnderWay || loadWait?.isUnderWay === true ? pickWarm(node, exchange, isBusy) : node;
  }

  function choose(exchange: Exchange, isBusy: Eligible): Node | undefined {
    // A suspect or ejected node may be slow rather than gone: better than nobody.
    return isFullBeside(0) ? undefined : (pick(exchange, isBusy) ?? policy.pick(exchange, isActive));
  }

  function take(node: Node, exchange: Exchange): Node {
    node.inFlight++;
    total.inFlight++;
    policy.noteLoad?.(node);
    if (breaker !== undefined) exchange.stamp = breaker.noteAcquired(node);
    exchange.refusal = "none";
    return node;
  }

  /** Why nobody was picked: who may serve has no place, is kept out by a check or a breaker, dead, or not asked at all. */
  function refusalOf(exchange: Exchange): Refusal {
    const home = affinity?.(exchange, members);
    if (home !== undefined && isKept(home) && mayPass(home)) return "full";
    if (members.length === 0) return "empty";
    let refusal: Refusal = "drained";
    for (const node of members) {
      if (node.mode !== "active" || node.weight === 0) continue;
      const isReachable = node.alive && !exchange.tried.has(node.index);
      if (isReachable && passesChecks(node) && mayPass(node)) return "full";
      if (isReachable) refusal = "unhealthy";
      else if (refusal === "drained") refusal = "offline";
    }
    return refusal;
  }

  function giveBack(node: Node): void {
    node.inFlight--;
    total.inFlight--;
    policy.noteLoad?.(node);
  }

  function observe(node: Node, stamp: number, outcome: OutcomeCode, waitedMs: number, status: number): void {
    policy.observe?.(node, outcome, waitedMs, status);
    outlier?.observe(node, outcome, waitedMs, status);
    breaker?.observe(node, stamp, outcome, status);
  }

  return {
    get nodes() {
      return members;
    },
    observes: policy.observe !== undefined || outlier !== undefined || breaker !== undefined,
    get isFull() {
      return isFullBeside(0);
    },
    acquire(exchange) {
      const node = choose(exchange, keepsWaiting);
      if (node !== undefined) return take(node, exchange);
      exchange.refusal = refusalOf(exchange);
      return undefined;
    },
    acquireNext(exchange) {
      const node = isFullBeside(1) ? undefined : pick(exchange, keepsWaiting);
      return node === undefined ? undefined : take(node, exchange);
    },
    preview: (exchange) => {
      const { nodeConnectionsMax } = options;
      const isFull = isFullBeside(0);
      const given = { members, policy, breaker, loadWait, nodeConnectionsMax, isFull };
      return previewOf({ ...given, isKept, isEligible, isActive, stay, choose, refusalOf, isColdFor }, exchange);
    },
    arcs: (sectors) => policy.arcs?.(sectors),
    nextDead: (exchange) => policy.pick(exchange, isDead),
    acquireDead(exchange) {
      const node = isFullBeside(0) ? undefined : policy.pick(exchange, isDead);
      return node === undefined ? undefined : take(node, exchange);
    },
    noteAnswered: (node, stamp, status) => breaker?.noteAnswered(node, stamp, status),
    noteLoadWait: (node, { keyHash }, waitMs) => loadWait?.note(node, keyHash, waitMs),
    releaseUndialled(node, stamp) {
      giveBack(node);
      outlier?.noteDialFailed(node);
      breaker?.noteDialFailed(node, stamp);
      onRoom?.();
    },
    observe,
    release(node, stamp, outcome = Outcome.NONE, waitedMs = 0, status = 0) {
      giveBack(node);
      observe(node, stamp, outcome, waitedMs, status);
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
