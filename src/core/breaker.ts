// Hot path: `mayPass` is asked for every candidate of every pick; while a breaker is closed nothing here reads the clock or allocates.
import type { Clock } from "./clock.js";
import { isServerError, judge, Verdict, type VerdictCode } from "./fault.js";
import type { IsErrorStatus } from "./meter.js";
import type { Node } from "./node.js";
import { NodeMap } from "./node-map.js";
import { checkRange } from "./option-range.js";
import type { OutcomeCode } from "./policies/policy.js";

export interface CircuitBreakerDependencies {
  readonly clock: Pick<Clock, "now">;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** A breaker has opened, or opened again after a probe: nothing passes for `openMs`. `trips` counts openings in a row. */
  readonly onOpened?: (node: Node, openMs: number, trips: number) => void;
  /** A breaker has closed, by a probe or by `reset`. Once per transition. */
  readonly onClosed?: (node: Node) => void;
}

export interface CircuitBreakerOptions {
  /** Faults one after the other that open a breaker; any good answer begins the count anew. 0 = never. Default 10. */
  readonly consecutiveFaults?: number;
  /** How long it is open for the first time, ± 50 %, in milliseconds; half as long again after each failed probe. Default 500. */
  readonly openMs?: number;
  /**
   * Upper limit of that, before the ± 50 %, in milliseconds; also how long a probe may go without an outcome before
   * another is let through. Default 60,000.
   */
  readonly openMaxMs?: number;
  /** Which statuses are faults. Default `isServerError`: 500 to 599. */
  readonly isFault?: IsErrorStatus;
}

/** Where the breaker of one node stands. Open and past its time, it waits for somebody to be its probe. */
export type BreakerState =
  | { readonly kind: "closed"; faults: number }
  | { readonly kind: "open"; readonly untilMs: number; readonly trips: number }
  | { readonly kind: "half-open"; readonly lapsesMs: number; readonly trips: number };

/** How much longer each failed probe keeps a breaker open. */
const BACKOFF_FACTOR = 1.5;

/** The stamp of an acquisition that a breaker learns nothing from. */
const UNHEARD = 0;

interface Circuit {
  node: Node;
  state: BreakerState;
  /** Changes with every state, so that what was acquired in an earlier one is told apart when it ends. */
  stamp: number;
}

/**
 * One circuit breaker for each node: opens after faults in a row, and then lets single probes through, further and
 * further apart, until one succeeds.
 *
 * `mayPass` only asks. `noteAcquired` takes the place of the probe, and its stamp goes back with the outcome: an
 * exchange that was in flight when the breaker opened, or got past it, neither opens nor closes it.
 */
export class CircuitBreaker {
  readonly #dependencies: CircuitBreakerDependencies;
  readonly #options: Required<CircuitBreakerOptions>;
  readonly #isFault: IsErrorStatus;
  readonly #circuits = new NodeMap<Circuit>((node) => ({ node, state: { kind: "closed", faults: 0 }, stamp: 1 }));

  /** Throws `ERR_OPTION` for an option out of range. */
  constructor(dependencies: CircuitBreakerDependencies, options: CircuitBreakerOptions = {}) {
    const complete = { consecutiveFaults: 10, openMs: 500, openMaxMs: 60_000, isFault: isServerError, ...options };
    checkRange("consecutiveFaults", complete.consecutiveFaults, { from: 0 });
    checkRange("openMs", complete.openMs, { from: 1 });
    checkRange("openMaxMs", complete.openMaxMs, { from: complete.openMs });
    this.#dependencies = dependencies;
    this.#options = complete;
    this.#isFault = complete.isFault;
  }

  /** The membership changed. Breakers of nodes that stay, which are those with the same id, stay as they are. */
  update(nodes: readonly Node[]): void {
    this.#circuits.update(nodes);
  }

  /** For snapshots; `undefined` for a node of another cluster. */
  stateOf(node: Node): Readonly<BreakerState> | undefined {
    return this.#circuits.of(node)?.state;
  }

  /** May the next exchange go to this node? Asked as often as you like: the answer changes nothing. */
  mayPass(node: Node): boolean {
    const state = this.#circuits.of(node)?.state;
    if (state === undefined || state.kind === "closed") return true;
    return this.#isProbeDue(state);
  }

  /**
   * Somebody has acquired the node, whether it might pass or not, and hands the stamp back when the attempt ends. If the
   * breaker waits for a probe, this is the probe.
   */
  noteAcquired(node: Node): number {
    const circuit = this.#circuits.of(node);
    if (circuit === undefined) return UNHEARD;
    const { state } = circuit;
    if (state.kind === "closed") return circuit.stamp;
    if (!this.#isProbeDue(state)) return UNHEARD;
    const lapsesMs = this.#dependencies.clock.now() + this.#options.openMaxMs;
    const probed: BreakerState = { kind: "half-open", lapsesMs, trips: state.trips };
    // Under the stamp of the probe that lapsed: where answers take longer than that, it is the first that comes back.
    if (state.kind === "half-open") circuit.state = probed;
    else enter(circuit, probed);
    return circuit.stamp;
  }

  /** An attempt ended. `stamp` is what `noteAcquired` gave for it; `status` that of the response, 0 without one. */
  observe(node: Node, stamp: number, outcome: OutcomeCode, status: number): void {
    const circuit = this.#circuits.of(node);
    if (circuit === undefined || stamp !== circuit.stamp) return;
    this.#apply(circuit, judge(outcome, status, this.#isFault));
  }

  /**
   * A dial has failed for a reason that speaks against the node (`isDialFault`), instead of `observe`. To be called
   * before the dead-host set hears of it: of many dials that fail together the first counts, and that of a probe.
   */
  noteDialFailed(node: Node, stamp: number): void {
    const circuit = this.#circuits.of(node);
    if (circuit === undefined || stamp !== circuit.stamp) return;
    if (node.alive || circuit.state.kind === "half-open") this.#apply(circuit, Verdict.FAULT);
  }

  /**
   * The head of a response is in. Enough to judge a probe by: a stream of an hour must not keep its node out so long.
   * Others are judged when they end.
   */
  noteAnswered(node: Node, stamp: number, status: number): void {
    const circuit = this.#circuits.of(node);
    if (circuit === undefined || stamp !== circuit.stamp || circuit.state.kind !== "half-open") return;
    this.#apply(circuit, this.#isFault(status) ? Verdict.FAULT : Verdict.GOOD);
  }

  /** Closes the breaker on the operator's word. False when it was closed. */
  reset(node: Node): boolean {
    const circuit = this.#circuits.of(node);
    if (circuit === undefined) return false;
    const wasClosed = circuit.state.kind === "closed";
    enter(circuit, { kind: "closed", faults: 0 });
    if (!wasClosed) this.#dependencies.onClosed?.(node);
    return !wasClosed;
  }

  #isProbeDue(state: Exclude<BreakerState, { kind: "closed" }>): boolean {
    return this.#dependencies.clock.now() >= (state.kind === "open" ? state.untilMs : state.lapsesMs);
  }

  #apply(circuit: Circuit, verdict: VerdictCode): void {
    const { state, node } = circuit;
    switch (state.kind) {
      case "closed": {
        const { consecutiveFaults } = this.#options;
        if (verdict === Verdict.GOOD) state.faults = 0;
        else if (verdict === Verdict.FAULT && ++state.faults >= consecutiveFaults && consecutiveFaults > 0) {
          this.#open(circuit, 1);
        }
        return;
      }
      case "half-open":
        if (verdict === Verdict.FAULT) this.#open(circuit, state.trips + 1);
        else if (verdict === Verdict.GOOD) {
          enter(circuit, { kind: "closed", faults: 0 });
          this.#dependencies.onClosed?.(node);
        } else {
          // It said nothing either way: the place is free at once, and the next one is the probe.
          enter(circuit, { kind: "open", untilMs: this.#dependencies.clock.now(), trips: state.trips });
        }
        return;
      case "open":
        // Nobody holds the stamp of an open breaker.
        return;
      default:
        state satisfies never;
    }
  }

  #open(circuit: Circuit, trips: number): void {
    const { openMs, openMaxMs } = this.#options;
    const backoffMs = Math.min(openMs * BACKOFF_FACTOR ** (trips - 1), openMaxMs);
    // Drawn once: drawn again at each look, the time would be over for one who asks and not for the next.
    const jitteredMs = backoffMs * (0.5 + this.#dependencies.random());
    enter(circuit, { kind: "open", untilMs: this.#dependencies.clock.now() + jitteredMs, trips });
    this.#dependencies.onOpened?.(circuit.node, jitteredMs, trips);
  }
}

function enter(circuit: Circuit, state: BreakerState): void {
  circuit.state = state;
  circuit.stamp++;
}
