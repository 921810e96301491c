// Hot path: `observe` runs for every attempt; for a good answer it reads no clock and allocates nothing.
import type { Clock } from "./clock.js";
import { isServerError, judge, Verdict } from "./fault.js";
import { FaultWindow, SLICES } from "./fault-window.js";
import type { IsErrorStatus } from "./meter.js";
import { canServe, type Node, takesNewKeys } from "./node.js";
import { NodeMap } from "./node-map.js";
import { checkRange } from "./option-range.js";
import type { OutcomeCode } from "./policies/policy.js";

/** Too many faults one after the other, or too many among the answers of the window. */
export type EjectionReason = "consecutive-faults" | "fault-share";

export interface OutlierDependencies {
  /** The one that times ejections and moves the window on. */
  readonly clock: Pick<Clock, "now">;
  /** A node is out, for `ejectedMs`. Once per transition. */
  readonly onEjected?: (node: Node, reason: EjectionReason, ejectedMs: number) => void;
  /** Its time is over, or `reset` ended it: it takes new keys again. Once per transition; not for a node that has left the cluster. */
  readonly onReturned?: (node: Node) => void;
  /** A node that should be out stays in, because as many as may be are out. Once per node and time. */
  readonly onSpared?: (node: Node) => void;
  /** Panic has begun or ended. Once per transition. */
  readonly onPanic?: (isPanic: boolean) => void;
}

export interface OutlierOptions {
  /** Faults one after the other that eject a node; any good answer begins the count anew. 0 = off. Default 5. */
  readonly consecutiveFaults?: number;
  /**
   * Share of faults among the answers of the window that ejects a node, 0 to 1; 0 = off. Default 0.5. Absolute, because
   * a comparison of the nodes finds a worst one in a good cluster, and nobody when most are bad.
   */
  readonly faultShareMax?: number;
  /** Answers in the window without which its share says nothing. Default 50. */
  readonly volumeMin?: number;
  /** Length of the window in milliseconds. Default 10,000. */
  readonly windowMs?: number;
  /** How long a node is out, times the number of its ejections in a row, in milliseconds. Default 30,000. */
  readonly ejectionMs?: number;
  /** Never out for longer, in milliseconds. Default 300,000. */
  readonly ejectionMaxMs?: number;
  /** Share of the serving nodes that may be out at once, see `ejectedNodesMax`. Default 0.5; 0 ejects nobody. */
  readonly ejectedShareMax?: number;
  /** Below this share of healthy nodes ejection is ignored, see `isPanic`. Default 0.5; 0 = never. */
  readonly panicShare?: number;
  /** Which statuses are faults. Default `isServerError`: 500 to 599. */
  readonly isFault?: IsErrorStatus;
}

interface Watch {
  node: Node;
  faultsInRow: number;
  readonly window: FaultWindow;
  /** Ejections in a row: each period in which the node stays in takes one off. */
  ejections: number;
  /** While it is out: when it comes back. While it is in: when an ejection is forgotten. */
  dueMs: number;
  /** It would be out if there were room. */
  isSpared: boolean;
  /** When it came back last: what was sent before says nothing of it any more. */
  returnedMs: number;
}

/**
 * Keeps nodes out for a while that answer badly: passively, by the traffic that they get anyway. Sets `node.ejected`.
 *
 * @see Envoy, outlier detection: consecutive 5xx and failure percentage
 */
export class OutlierDetector {
  readonly #dependencies: OutlierDependencies;
  readonly #options: Required<OutlierOptions>;
  readonly #isFault: IsErrorStatus;
  readonly #watches: NodeMap<Watch>;
  readonly #sliceMs: number;
  #sliceEndsMs: number;
  #isPanic = false;
  #ejectionsSpared = 0;

  /** Throws `ERR_OPTION` for an option out of range. */
  constructor(dependencies: OutlierDependencies, options: OutlierOptions = {}) {
    const complete = {
      consecutiveFaults: 5,
      faultShareMax: 0.5,
      volumeMin: 50,
      windowMs: 10_000,
      ejectionMs: 30_000,
      ejectionMaxMs: 300_000,
      ejectedShareMax: 0.5,
      panicShare: 0.5,
      isFault: isServerError,
      ...options,
    };
    checkRange("consecutiveFaults", complete.consecutiveFaults, { from: 0 });
    checkRange("faultShareMax", complete.faultShareMax, { from: 0, to: 1 });
    checkRange("volumeMin", complete.volumeMin, { from: 1 });
    checkRange("windowMs", complete.windowMs, { from: 1 });
    checkRange("ejectionMs", complete.ejectionMs, { from: 1 });
    checkRange("ejectionMaxMs", complete.ejectionMaxMs, { from: complete.ejectionMs });
    checkRange("ejectedShareMax", complete.ejectedShareMax, { from: 0, to: 1 });
    checkRange("panicShare", complete.panicShare, { from: 0, to: 1 });
    this.#dependencies = dependencies;
    this.#options = complete;
    this.#isFault = complete.isFault;
    this.#watches = new NodeMap((node) => ({
      node,
      faultsInRow: 0,
      window: new FaultWindow(),
      ejections: 0,
      dueMs: 0,
      isSpared: false,
      returnedMs: Number.NEGATIVE_INFINITY,
    }));
    this.#sliceMs = complete.windowMs / SLICES;
    this.#sliceEndsMs = dependencies.clock.now() + this.#sliceMs;
  }

  /** Ejection is to be ignored: `eligible` is `!node.ejected || detector.isPanic`. */
  get isPanic(): boolean {
    return this.#isPanic;
  }

  /** How often a node that should be out stayed in, because as many as may be were out. Once per node and time. */
  get ejectionsSpared(): number {
    return this.#ejectionsSpared;
  }

  /** Membership or weights changed. Nodes that stay, stay in or out; those that leave are forgotten. */
  update(nodes: readonly Node[]): void {
    const wasOut = new Set(this.#watches.records.filter(({ node }) => node.ejected).map(({ node }) => node.id));
    for (const { node } of this.#watches.records) node.ejected = false;
    this.#watches.update(nodes);
    for (const node of nodes) node.ejected = wasOut.has(node.id);
    this.noteHealth();
  }

  /**
   * An attempt at a node ended; takes what `Policy.observe` takes. A node that is out is not judged: its count begins
   * anew when it is back, without what was sent to it before (`waitedMs` tells).
   */
  observe(node: Node, outcome: OutcomeCode, waitedMs: number, status = 0): void {
    const watch = this.#watches.of(node);
    if (watch === undefined || node.ejected) return;
    const verdict = judge(outcome, status, this.#isFault);
    if (verdict === Verdict.GOOD) {
      watch.faultsInRow = 0;
      watch.window.answers++;
    } else if (verdict === Verdict.FAULT) this.#noteFault(watch, waitedMs);
  }

  /**
   * A dial has failed for a reason that speaks against the node (`isDialFault`). To be called before the dead-host set
   * hears of it: of many dials that fail together the first counts, the rest finds the node dead and says nothing new.
   */
  noteDialFailed(node: Node): void {
    const watch = this.#watches.of(node);
    if (watch !== undefined && node.alive && !node.ejected) this.#noteFault(watch, 0);
  }

  /**
   * Brings back whose time is over, and judges the others again: time changes their shares and makes room. From a loop,
   * every 250 ms or so; without it nobody comes back.
   */
  advance(): void {
    const nowMs = this.#dependencies.clock.now();
    this.#roll(nowMs);
    for (const watch of this.#watches.records) {
      if (!watch.node.ejected) this.#forgive(watch, nowMs);
      else if (nowMs >= watch.dueMs) this.#bringBack(watch, nowMs);
    }
    // After the returns: they make room.
    for (const watch of this.#watches.records) if (!watch.node.ejected) this.#judge(watch, nowMs);
    // Also heals what nobody has told us of.
    this.noteHealth();
  }

  /** A node died, came back, fell silent or changed its mode: panic may begin or end. */
  noteHealth(): void {
    const nodes = this.#watches.records.map(({ node }) => node);
    const isNow = isPanic(nodes, this.#options.panicShare);
    if (isNow === this.#isPanic) return;
    this.#isPanic = isNow;
    this.#dependencies.onPanic?.(isNow);
  }

  /** Brings a node back and forgets what spoke against it, on the operator's word. False when it was not out. */
  reset(node: Node): boolean {
    const watch = this.#watches.of(node);
    if (watch === undefined) return false;
    const wasOut = node.ejected;
    const nowMs = this.#dependencies.clock.now();
    forget(watch, nowMs);
    watch.ejections = 0;
    watch.isSpared = false;
    if (!wasOut) return false;
    this.#admit(watch);
    this.noteHealth();
    return true;
  }

  #noteFault(watch: Watch, waitedMs: number): void {
    const nowMs = this.#dependencies.clock.now();
    // Requests that hung in a node when it was ejected time out after it is back, and would eject it again.
    if (nowMs - waitedMs < watch.returnedMs) return;
    this.#roll(nowMs);
    watch.faultsInRow++;
    watch.window.answers++;
    watch.window.faults++;
    this.#judge(watch, nowMs);
  }

  #judge(watch: Watch, nowMs: number): void {
    const reason = this.#reasonAgainst(watch);
    const { node } = watch;
    // A node that takes no new keys anyway would only use up a place among those that may be out.
    const isCandidate = reason !== undefined && canServe(node);
    const isSpared = isCandidate && !this.#mayEjectOneMore();
    if (isSpared && !watch.isSpared) {
      this.#ejectionsSpared++;
      this.#dependencies.onSpared?.(node);
    }
    watch.isSpared = isSpared;
    if (isCandidate && !isSpared) this.#eject(watch, reason, nowMs);
  }

  #reasonAgainst({ faultsInRow, window }: Watch): EjectionReason | undefined {
    const { consecutiveFaults, faultShareMax, volumeMin } = this.#options;
    if (consecutiveFaults > 0 && faultsInRow >= consecutiveFaults) return "consecutive-faults";
    if (faultShareMax > 0 && window.answers >= volumeMin && window.faultShare >= faultShareMax) return "fault-share";
    return undefined;
  }

  #eject(watch: Watch, reason: EjectionReason, nowMs: number): void {
    this.#forgive(watch, nowMs);
    watch.ejections++;
    const ejectedMs = Math.min(this.#options.ejectionMs * watch.ejections, this.#options.ejectionMaxMs);
    watch.dueMs = nowMs + ejectedMs;
    watch.node.ejected = true;
    this.#dependencies.onEjected?.(watch.node, reason, ejectedMs);
    this.noteHealth();
  }

  #mayEjectOneMore(): boolean {
    let serving = 0;
    let ejected = 0;
    for (const { node } of this.#watches.records) {
      if (!canServe(node)) continue;
      serving++;
      if (node.ejected) ejected++;
    }
    return ejected < ejectedNodesMax(serving, this.#options.ejectedShareMax);
  }

  #bringBack(watch: Watch, nowMs: number): void {
    forget(watch, nowMs);
    watch.dueMs = nowMs + this.#options.ejectionMs;
    this.#admit(watch);
  }

  #admit({ node }: Watch): void {
    node.ejected = false;
    this.#dependencies.onReturned?.(node);
  }

  #forgive(watch: Watch, nowMs: number): void {
    while (watch.ejections > 0 && nowMs >= watch.dueMs) {
      watch.ejections--;
      watch.dueMs += this.#options.ejectionMs;
    }
  }

  #roll(nowMs: number): void {
    if (nowMs < this.#sliceEndsMs) return;
    const slices = 1 + Math.floor((nowMs - this.#sliceEndsMs) / this.#sliceMs);
    this.#sliceEndsMs += slices * this.#sliceMs;
    for (const { window } of this.#watches.records) window.roll(slices);
  }
}

/** What was sent to a node before now says nothing of it any more. */
function forget(watch: Watch, nowMs: number): void {
  watch.faultsInRow = 0;
  watch.window.clear();
  watch.returnedMs = nowMs;
}

/**
 * How many of so many serving nodes (active, alive, passing their checks, of some weight) may be out at once: the share of them in whole
 * nodes, one at least where there are two, and never the only one.
 */
export function ejectedNodesMax(serving: number, shareMax: number): number {
  if (serving < 2 || shareMax === 0) return 0;
  // 0.29 of 100 is 28.999999999999996.
  return Math.max(1, Math.floor(shareMax * serving + 1e-9));
}

/**
 * Are fewer than this share of the active nodes healthy: alive, answering, passing their checks and not ejected? Then
 * what is left would break under the load of all, and a bad node is better than none. A node that waits for its first
 * check is nobody yet, in either number.
 *
 * @see Envoy, panic threshold
 */
export function isPanic(nodes: readonly Node[], panicShare: number): boolean {
  let active = 0;
  let healthy = 0;
  for (const node of nodes) {
    if (!takesNewKeys(node) || node.check === "unknown") continue;
    active++;
    if (canServe(node) && !node.suspect && !node.ejected) healthy++;
  }
  return healthy < panicShare * active;
}
