import type { BreakerState, CircuitBreaker } from "./breaker.js";
import type { Exchange, Refusal } from "./exchange.js";
import type { LoadWait } from "./load-wait.js";
import type { Node } from "./node.js";
import { type NodeStateName, nodeStates } from "./node-states.js";
import type { Eligible, Policy } from "./policies/policy.js";

/** What may speak against a node for one request: its states, and what follows from the request and its key. */
export const HOLD_REASONS = [
  "dead",
  "suspect",
  "failing",
  "unchecked",
  "ejected",
  "breaker-open",
  "breaker-half-open",
  "draining",
  "disabled",
  /** Takes no new keys. */
  "no-weight",
  /** Has as many exchanges as one node may. */
  "full",
  /** Carries more than its bound: the key overflows to the next. */
  "over-load",
  /** Has just come back, and not this key yet. */
  "slow-start",
  /** Lets calls of this key wait, and therefore turns most of them down. */
  "load-wait",
] as const;
export type HoldReason = (typeof HOLD_REASONS)[number];

/** Where a preview ends: each attempt is a pick, and picks of a policy may look at all of ten thousand nodes. */
export const ATTEMPTS_MAX = 32;

/** One node as an exchange sees it. */
export interface NodePreview {
  readonly node: Node;
  readonly states: readonly NodeStateName[];
  readonly reasons: readonly HoldReason[];
}

/** What would become of an exchange. */
export interface Preview {
  /** The first of `nodes` is where the client stays by what it sent. */
  readonly stays: boolean;
  /** The policy picks by key. */
  readonly isKeyed: boolean;
  /** The same exchange gets the same node as long as nothing changes. */
  readonly isFixed: boolean;
  /**
   * Who would get it, and then, each time the last one could not be dialled, who next; `ATTEMPTS_MAX` at most. Ends
   * where turns or chance decide.
   */
  readonly attempts: readonly Node[];
  /** Why nobody would get it; else "none". */
  readonly refusal: Refusal;
  /** All: where the client stays, then by the policy's order for the key, then the rest in the order of the list. */
  readonly nodes: readonly NodePreview[];
}

/** What decides in a cluster, all of it without a trace. */
export interface PreviewDependencies {
  readonly members: readonly Node[];
  readonly policy: Policy;
  readonly breaker: CircuitBreaker | undefined;
  readonly loadWait: LoadWait | undefined;
  readonly nodeConnectionsMax: number;
  /** The whole cluster has no place. */
  readonly isFull: boolean;
  /** Ejection does not count against this node. */
  readonly isKept: (node: Node) => boolean;
  readonly isEligible: Eligible;
  /** The same for those who are better than nobody. */
  readonly isActive: Eligible;
  /** Which eligible nodes are passed over because they have just come back. */
  readonly coldFor: (exchange: Exchange) => (node: Node) => boolean;
  /** The node that affinity gives. */
  readonly stay: (exchange: Exchange) => Node | undefined;
  /** The pick itself; `isBusy` says who must leave the exchange to others because calls wait there. */
  readonly choose: (exchange: Exchange, isBusy: Eligible) => Node | undefined;
  readonly refusalOf: (exchange: Exchange) => Refusal;
}

/**
 * What a cluster would do with an exchange, by the same code that does it. A policy that picks by key is asked again
 * and again, with those that would have been tried taken out: its picks leave no trace. One that takes turns or draws
 * lots is not asked at all: the answer would have been somebody's turn.
 */
export function previewOf(dependencies: PreviewDependencies, exchange: Exchange): Preview {
  const { members, policy, isFull, isActive, stay, refusalOf } = dependencies;
  const staying = isFull ? undefined : stay(exchange);
  const reasonsFor = reasonsIn(dependencies, exchange);
  const nodes = inOrder(dependencies, exchange, staying).map((node) => ({
    node,
    states: nodeStates({ ...node, breaker: breakerOf(dependencies, node) }),
    reasons: node === staying ? [] : reasonsFor(node),
  }));
  // Before those that are tried in turn are taken out.
  const hasAnybody = staying !== undefined || members.some((node) => node.weight > 0 && isActive(node, exchange));
  const refusal = hasAnybody && !isFull ? "none" : refusalOf(exchange);
  const { attempts, isOpen } = attemptsOf(dependencies, exchange, staying);
  const { isKeyed = false } = policy;
  const isFixed = attempts.length > 0 || (isKeyed && !isOpen);
  return { stays: staying !== undefined, isKeyed, isFixed, attempts, refusal, nodes };
}

function attemptsOf(
  { members, policy, loadWait, choose }: PreviewDependencies,
  exchange: Exchange,
  staying: Node | undefined,
): { readonly attempts: readonly Node[]; readonly isOpen: boolean } {
  // Whoever stays on a node may fall back to turns.
  if (policy.isKeyed !== true) return { attempts: staying === undefined ? [] : [staying], isOpen: true };
  const attempts: Node[] = [];
  let isOpen = false;
  const isBusy: Eligible = (node) => {
    if (loadWait !== undefined && !loadWait.isCalm(node, exchange.keyHash)) isOpen = true;
    return false;
  };
  while (attempts.length < Math.min(members.length, ATTEMPTS_MAX)) {
    const node = choose(exchange, isBusy);
    if (node === undefined || isOpen) break;
    attempts.push(node);
    exchange.tried.add(node.index);
  }
  for (const { index } of attempts) exchange.tried.delete(index);
  return { attempts, isOpen };
}

function inOrder({ members, policy }: PreviewDependencies, { keyHash }: Exchange, staying: Node | undefined): Node[] {
  const ordered = policy.isKeyed === true ? (policy.order?.(keyHash) ?? []) : [];
  // Those without a weight have no place in the order of a key.
  return [...new Set([...(staying === undefined ? [] : [staying]), ...ordered, ...members])];
}

/** What speaks against a node now; what the others carry is measured once for all of them. */
function reasonsIn(dependencies: PreviewDependencies, exchange: Exchange): (node: Node) => readonly HoldReason[] {
  const { policy, breaker, loadWait, nodeConnectionsMax, isKept, isEligible, coldFor } = dependencies;
  const isOverLoad = policy.overLoad?.(exchange, isEligible);
  const isCold = coldFor(exchange);
  return (node) => {
    const isLetThrough = breaker?.mayPass(node) ?? true;
    const reasons: HoldReason[] = nodeStates({
      ...node,
      ejected: !isKept(node),
      breaker: isLetThrough ? "closed" : breakerOf(dependencies, node),
    }).filter((state) => state !== "serving");
    if (node.inFlight >= nodeConnectionsMax) reasons.push("full");
    // Only those who are left are asked whether they carry too much.
    if (reasons.length > 0) return reasons;
    if (isOverLoad?.(node) === true) reasons.push("over-load");
    if (isCold(node)) reasons.push("slow-start");
    if (loadWait !== undefined && !loadWait.isCalm(node, exchange.keyHash)) reasons.push("load-wait");
    return reasons;
  };
}

function breakerOf({ breaker }: PreviewDependencies, node: Node): BreakerState["kind"] {
  return breaker?.stateOf(node)?.kind ?? "closed";
}
