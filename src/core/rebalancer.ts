// Hot path: `pick` and `record` allocate nothing; a decision is made once in `intervalMs` at most.
import type { Clock } from "./clock.js";
import type { Exchange } from "./exchange.js";
import { type IsErrorStatus, type Meter, SlidingMeter } from "./meter.js";
import { type Node, type NodeAddress, type NodeCheck, type NodeMode, passesChecks } from "./node.js";
import type { NodeStats } from "./node-stats.js";
import { checkRange } from "./option-range.js";
import { type Arcs, type Eligible, Outcome, type OutcomeCode, type Policy } from "./policies/policy.js";
import {
  decideRebalance,
  type NodeSample,
  originalState,
  type RebalanceDecision,
  type RebalanceOptions,
  type RebalanceState,
  rebalanceOptions,
} from "./rebalance.js";

export interface RebalancerDependencies {
  readonly clock: Pick<Clock, "now">;
  /** Makes the meter of a node that joins. Default: a `SlidingMeter` with `isError` and `requestsMin`. */
  readonly meter?: (node: Node) => Meter;
  /** A weight has moved; once per node and move. */
  readonly onMove?: (node: Node, weight: number) => void;
}

export interface RebalancerOptions extends Partial<RebalanceOptions> {
  /** Which statuses speak against a node. Default `isNodeError`: 500 to 504. */
  readonly isError?: IsErrorStatus;
  /** Time between two decisions in milliseconds. Default 1,000; 0 decides after every response. */
  readonly intervalMs?: number;
}

/**
 * Moves weight away from nodes that fail or are slow and back when they have recovered. Wraps any policy that
 * heeds weights: it is handed views of the nodes with the moved weights, and `node.weight` stays what the
 * operator said. Affinity above a rebalancer is not moved.
 */
export class Rebalancer implements Policy {
  readonly #policy: Policy;
  readonly #dependencies: RebalancerDependencies;
  readonly #options: RebalanceOptions;
  readonly #intervalMs: number;
  readonly #meterOf: (node: Node) => Meter;
  /** In the order of the cluster's list. */
  #members: readonly Member[] = [];
  /** By `node.index`. */
  #byIndex: (Member | undefined)[] = [];
  #state: RebalanceState = originalState([]);
  #dueMs = Number.NEGATIVE_INFINITY;
  /** The question of the pick that runs, put to the real node of a view. */
  #eligible: Eligible = () => false;
  readonly #eligibleView: Eligible = (view, exchange) => this.#eligible(this.#byIndex[view.index]!.node, exchange);

  /** Throws `ERR_OPTION` for an option out of range. */
  constructor(policy: Policy, dependencies: RebalancerDependencies, options: RebalancerOptions = {}) {
    const { isError, intervalMs = 1000, ...rebalance } = options;
    checkRange("intervalMs", intervalMs, { from: 0 });
    const { clock, meter } = dependencies;
    this.#policy = policy;
    this.#dependencies = dependencies;
    this.#options = rebalanceOptions(rebalance);
    this.#intervalMs = intervalMs;
    const { requestsMin } = this.#options;
    this.#meterOf = meter ?? (() => new SlidingMeter(clock, { requestsMin, ...(isError && { isError }) }));
  }

  get isKeyed(): boolean {
    return this.#policy.isKeyed === true;
  }

  /**
   * Membership or weights changed: every weight is its original at once. A list that says what the last one
   * said, as a reload does, changes nothing. The meters of nodes that stay go on.
   */
  update(nodes: readonly Node[]): void {
    const isSame =
      nodes.length === this.#members.length &&
      nodes.every(({ id, weight }, position) => {
        const member = this.#members[position];
        return member.node.id === id && member.original === weight;
      });
    this.#adopt(nodes);
    if (isSame) this.#apply(this.#state);
    else this.#reset();
  }

  /** Adds a node or replaces the one with its id; every weight is its original at once. */
  upsert(node: Node): void {
    const nodes = this.#members.map((member) => member.node);
    const position = nodes.findIndex(({ id }) => id === node.id);
    this.#adopt(position < 0 ? [...nodes, node] : nodes.with(position, node));
    this.#reset();
  }

  /** Takes a node out; every weight is its original at once. False when there is none with this id. */
  remove(id: string): boolean {
    const nodes = this.#members.map((member) => member.node);
    const rest = nodes.filter((node) => node.id !== id);
    if (rest.length === nodes.length) return false;
    this.#adopt(rest);
    this.#reset();
    return true;
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    this.#eligible = eligible;
    const view = this.#policy.pick(exchange, this.#eligibleView);
    return view === undefined ? undefined : this.#byIndex[view.index]?.node;
  }

  order(keyHash: number): readonly Node[] {
    return (this.#policy.order?.(keyHash) ?? []).map((view) => this.#byIndex[view.index]!.node);
  }

  isOverLoad(node: Node, exchange: Exchange, eligible: Eligible): boolean {
    const member = this.#memberOf(node);
    if (member === undefined) return false;
    this.#eligible = eligible;
    return this.#policy.isOverLoad?.(member.view, exchange, this.#eligibleView) ?? false;
  }

  arcs(sectors: number): Arcs | undefined {
    return this.#policy.arcs?.(sectors);
  }

  noteLoad(node: Node): void {
    const member = this.#memberOf(node);
    if (member !== undefined) this.#policy.noteLoad?.(member.view);
  }

  observe(node: Node, outcome: OutcomeCode, waitedMs: number, status = 0): void {
    const member = this.#memberOf(node);
    if (member === undefined) return;
    this.#policy.observe?.(member.view, outcome, waitedMs, status);
    if (outcome === Outcome.ANSWERED && status > 0) this.record(node, status, waitedMs);
    // A client that leaves is no error, but the time that it waited in vain counts.
    else if (outcome === Outcome.LEFT) this.record(node, 499, waitedMs);
    // Reached, and no response. A failed dial waited for none: that is the dead-host set's to know.
    else if (outcome === Outcome.FAILED && waitedMs > 0) this.record(node, 502, waitedMs);
  }

  /**
   * One response of a node: its status (502 or 504 where none came) and the time to its head in milliseconds.
   * What comes late from a node that has left is ignored. Then moves weights if it is time to.
   */
  record(node: Node, status: number, latencyMs: number): void {
    const member = this.#memberOf(node);
    if (member === undefined) return;
    member.meter.record(status, latencyMs);
    if (this.#dependencies.clock.now() >= this.#dueMs) this.rebalance();
  }

  /** Decides now, as `record` does once in `intervalMs`; for loops that go on while no response comes. */
  rebalance(): RebalanceDecision {
    const nowMs = this.#dependencies.clock.now();
    this.#dueMs = nowMs + this.#intervalMs;
    const nodes = this.#members.map(sampleOf);
    const decision = decideRebalance({ nowMs, nodes }, this.#state, this.#options);
    if (decision.kind === "move") this.#apply(decision.state);
    return decision;
  }

  /** The weight that the policy heeds, moved or not; `undefined` for a node of another cluster. */
  weightOf(node: Node): number | undefined {
    return this.#memberOf(node)?.view.weight;
  }

  /** By identity: a node that has left may have had the index of another. */
  #memberOf(node: Node): Member | undefined {
    const member = this.#byIndex[node.index];
    return member?.node === node ? member : undefined;
  }

  #adopt(nodes: readonly Node[]): void {
    const before = new Map(this.#members.map((member) => [member.node.id, member]));
    this.#members = nodes.map((node) => {
      const stayed = before.get(node.id);
      // A policy may know its nodes by identity: the view of a node that stays is the same object.
      const view = stayed?.view ?? new NodeView(node);
      view.node = node;
      return { node, original: node.weight, view, meter: stayed?.meter ?? this.#meterOf(node) };
    });
    this.#byIndex = [];
    for (const member of this.#members) this.#byIndex[member.node.index] = member;
  }

  #reset(): void {
    this.#apply(originalState(this.#members.map((member) => member.original)));
  }

  #apply(state: RebalanceState): void {
    this.#state = state;
    for (const [position, { node, view }] of this.#members.entries()) {
      const weight = state.weights[position];
      if (view.weight === weight) continue;
      view.weight = weight;
      this.#dependencies.onMove?.(node, weight);
    }
    this.#policy.update(this.#members.map((member) => member.view));
  }
}

interface Member {
  readonly node: Node;
  /** The weight that the operator gave, as it was at the last update. */
  readonly original: number;
  readonly view: NodeView;
  readonly meter: Meter;
}

function sampleOf({ node, original, meter }: Member): NodeSample {
  const isJudged = node.alive && !node.suspect && !node.ejected && node.mode === "active" && passesChecks(node);
  return { weight: original, isJudged, ...meter.read() };
}

/** A node as the wrapped policy sees it: all its own but the weight. */
class NodeView implements Node {
  node: Node;
  weight: number;

  constructor(node: Node) {
    this.node = node;
    this.weight = node.weight;
  }

  get id(): string {
    return this.node.id;
  }
  get index(): number {
    return this.node.index;
  }
  get address(): NodeAddress {
    return this.node.address;
  }
  get mode(): NodeMode {
    return this.node.mode;
  }
  set mode(mode: NodeMode) {
    this.node.mode = mode;
  }
  get alive(): boolean {
    return this.node.alive;
  }
  set alive(alive: boolean) {
    this.node.alive = alive;
  }
  get suspect(): boolean {
    return this.node.suspect;
  }
  set suspect(suspect: boolean) {
    this.node.suspect = suspect;
  }
  get check(): NodeCheck {
    return this.node.check;
  }
  set check(check: NodeCheck) {
    this.node.check = check;
  }
  get ejected(): boolean {
    return this.node.ejected;
  }
  set ejected(ejected: boolean) {
    this.node.ejected = ejected;
  }
  get inFlight(): number {
    return this.node.inFlight;
  }
  set inFlight(inFlight: number) {
    this.node.inFlight = inFlight;
  }
  get stats(): NodeStats {
    return this.node.stats;
  }
}
