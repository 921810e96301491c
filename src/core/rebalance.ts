import { checkRange } from "./option-range.js";

/** What is known of one node when weights are decided. */
export interface NodeSample {
  /** The operator's word, see `Node.weight`. 0: the node takes no part. */
  readonly weight: number;
  /** False for a node that takes no new keys at present (dead, suspect, ejected, draining): it is neither judged nor compared with. */
  readonly isJudged: boolean;
  /** The meter of the node has watched for a whole window. */
  readonly isReady: boolean;
  /** Requests behind the figures; 0: nothing is known, or no longer. */
  readonly requests: number;
  /** Share of the requests that failed, 0 to 1. */
  readonly errorRatio: number;
  /** Mean latency in milliseconds; 0: not known. */
  readonly latencyMs: number;
}

export interface RebalanceSample {
  /** On a clock that never goes back. */
  readonly nowMs: number;
  readonly nodes: readonly NodeSample[];
}

export interface RebalanceState {
  /** Moved weights, in the order of the sample. */
  readonly weights: readonly number[];
  /** No move before this has passed. */
  readonly heldUntilMs: number;
}

export type RebalanceDecision =
  | { readonly kind: "move"; readonly state: RebalanceState }
  | { readonly kind: "keep"; readonly reason: "few-nodes" | "not-ready" | "back-off" | "settled" };

export interface RebalanceOptions {
  /** Factor between two steps of a weight. */
  readonly growthFactor: number;
  /** No weight above it (`grow`); no two nodes further apart from their originals than by this factor (`shrink`). */
  readonly weightMax: number;
  /** Time between two moves in milliseconds, so that one shows its effect before the next. */
  readonly backoffMs: number;
  /**
   * `shrink` lowers the weights of bad nodes and leaves those of good ones alone, so that no key moves between
   * good nodes of a hash ring. `grow` raises those of good nodes in whole numbers, as oxy does.
   */
  readonly movement: "shrink" | "grow";
  /**
   * What an error ratio is compared with. `best`: the best node, so that a bad majority is seen. `median`: the
   * median plus the median absolute deviation, a zero added to an even number of ratios (oxy).
   */
  readonly reference: "best" | "median";
  /** How many times the reference an error ratio must be to be bad. */
  readonly outlierFactor: number;
  /** Requests behind a verdict; without so many the node stays where it is. */
  readonly requestsMin: number;
  /**
   * Standard deviations that an error ratio must lie above what is still good: three errors in twenty requests are
   * chance at a node that fails one in a hundred. 0 = take the ratio as it is.
   */
  readonly deviations: number;
  /** Absolute floor: a smaller error ratio is never bad. */
  readonly errorRatioMin: number;
  /** How many times the latency of the quickest node is bad; 0 = latency does not matter. */
  readonly latencyFactor: number;
  /** Absolute floor: a smaller latency is never bad, in milliseconds. */
  readonly latencyMsMin: number;
  /** Part of what would be bad that a node must come down to before it rises again; between them it stays. */
  readonly returnFactor: number;
  /** Part of its original weight that a bad node keeps at least, and that shows when it has recovered (`shrink`). */
  readonly probeShare: number;
}

/**
 * What fnlb does: compares with the best node, by 20 requests or more, above 5 % errors or three times the
 * latency, and keeps 1/64 of a bad node's weight as its probe.
 */
export const REBALANCE_DEFAULTS: RebalanceOptions = Object.freeze({
  growthFactor: 4,
  weightMax: 4096,
  backoffMs: 10_000,
  movement: "shrink",
  reference: "best",
  outlierFactor: 3,
  requestsMin: 20,
  deviations: 2.5,
  errorRatioMin: 0.05,
  latencyFactor: 3,
  latencyMsMin: 20,
  returnFactor: 0.5,
  probeShare: 1 / 64,
});

/**
 * What oxy does: errors only, split at (median + deviation) × 1.5, by any number of requests and without a floor.
 *
 * @see vulcand/oxy, roundrobin/rebalancer.go and memmetrics/anomaly.go
 */
export const REBALANCE_OXY: RebalanceOptions = Object.freeze({
  ...REBALANCE_DEFAULTS,
  movement: "grow",
  reference: "median",
  outlierFactor: 1.5,
  requestsMin: 0,
  deviations: 0,
  errorRatioMin: 0,
  latencyFactor: 0,
  latencyMsMin: 0,
  returnFactor: 1,
  probeShare: 1 / 4096,
});

/** Completes options with the defaults. Throws `ERR_OPTION` for one out of range. */
export function rebalanceOptions(options: Partial<RebalanceOptions> = {}): RebalanceOptions {
  const complete = { ...REBALANCE_DEFAULTS, ...options };
  checkRange("growthFactor", complete.growthFactor, { from: 1.1 });
  checkRange("weightMax", complete.weightMax, { from: 1 });
  checkRange("backoffMs", complete.backoffMs, { from: 0 });
  checkRange("outlierFactor", complete.outlierFactor, { from: 1 });
  checkRange("requestsMin", complete.requestsMin, { from: 0 });
  checkRange("deviations", complete.deviations, { from: 0 });
  checkRange("errorRatioMin", complete.errorRatioMin, { from: 0, to: 1 });
  // Between 0, which is off, and 1 every node but the quickest would be slow.
  if (complete.latencyFactor !== 0) checkRange("latencyFactor", complete.latencyFactor, { from: 1 });
  checkRange("latencyMsMin", complete.latencyMsMin, { from: 0 });
  checkRange("returnFactor", complete.returnFactor, { from: 0, to: 1 });
  checkRange("probeShare", complete.probeShare, { from: 1 / 4096, to: 1 });
  return complete;
}

/** The weights that the operator gave, and nothing to wait for. */
export function originalState(weights: readonly number[]): RebalanceState {
  return { weights: [...weights], heldUntilMs: Number.NEGATIVE_INFINITY };
}

/**
 * Where the weights go next. The same sample, state and options give the same answer; the caller applies it.
 *
 * The order of the checks is the contract: fewer than two nodes, or one whose meter is not ready, or a move not
 * long enough ago, and nothing changes.
 */
export function decideRebalance(
  sample: RebalanceSample,
  state: RebalanceState,
  options: RebalanceOptions,
): RebalanceDecision {
  const judged = sample.nodes.filter(isJudged);
  if (judged.length < 2) return { kind: "keep", reason: "few-nodes" };
  if (!judged.every((node) => node.isReady)) return { kind: "keep", reason: "not-ready" };
  if (sample.nowMs <= state.heldUntilMs) return { kind: "keep", reason: "back-off" };
  const verdicts = judge(sample.nodes, options);
  const weights =
    options.movement === "grow"
      ? grow(sample.nodes, state.weights, verdicts, options)
      : shrink(sample.nodes, state.weights, verdicts, options);
  if (weights === undefined) return { kind: "keep", reason: "settled" };
  return { kind: "move", state: { weights, heldUntilMs: sample.nowMs + options.backoffMs } };
}

/** `held`: too little is known, or too close to bad, to move the node up or down. */
type Verdict =
  | { readonly kind: "good" | "held" }
  /** How many times the limit its error ratio is, or the quickest node's its latency. */
  | { readonly kind: "failing" | "slow"; readonly excess: number };

const GOOD: Verdict = { kind: "good" };
const HELD: Verdict = { kind: "held" };

function isJudged(node: NodeSample): boolean {
  return node.isJudged && node.weight > 0;
}

function isBad(verdict: Verdict): boolean {
  return verdict.kind === "failing" || verdict.kind === "slow";
}

function judge(nodes: readonly NodeSample[], options: RebalanceOptions): readonly Verdict[] {
  const isKnown = (node: NodeSample) => isJudged(node) && node.requests >= options.requestsMin;
  // Nobody has asked it for so long that its meter forgot: the only way to learn is to ask.
  const isForgotten = (node: NodeSample) => isJudged(node) && node.requests === 0 && options.requestsMin > 0;
  const known = nodes.filter(isKnown);
  // Alone, a node is its own best and would be good whatever it does.
  if (known.length < 2) return nodes.map((node) => (isForgotten(node) ? GOOD : HELD));
  const errorLimit = Math.max(options.errorRatioMin, errorRatioLimit(known, options));
  // Not below the best nodes themselves: they would never rise.
  const errorReturn = Math.max(errorLimit * options.returnFactor, Math.min(...known.map((node) => node.errorRatio)));
  // A node that fails at once is quick: it must not make the others look slow.
  const quickest = quickestMs(known.filter((node) => node.errorRatio <= errorLimit));
  const latencyLimit = Math.max(options.latencyMsMin, options.latencyFactor * quickest);
  const latencyReturn = Math.max(latencyLimit * options.returnFactor, quickest);

  return nodes.map((node): Verdict => {
    if (isForgotten(node)) return GOOD;
    if (!isKnown(node)) return HELD;
    if (surelyAtLeast(node.errorRatio, node.requests, options.deviations) > errorLimit) {
      return { kind: "failing", excess: node.errorRatio / errorLimit };
    }
    const isTimed = options.latencyFactor > 0 && quickest > 0;
    if (isTimed && node.latencyMs > latencyLimit) return { kind: "slow", excess: node.latencyMs / quickest };
    if (node.errorRatio > errorReturn) return HELD;
    return isTimed && node.latencyMs > latencyReturn ? HELD : GOOD;
  });
}

function errorRatioLimit(nodes: readonly NodeSample[], { reference, outlierFactor }: RebalanceOptions): number {
  const ratios = nodes.map((node) => node.errorRatio);
  if (reference === "median") {
    // Without the zero two nodes would both lie at the edge of their own middle, and none outside of it.
    if (ratios.length % 2 === 0) ratios.push(0);
    const middle = median(ratios);
    return (middle + median(ratios.map((ratio) => Math.abs(ratio - middle)))) * outlierFactor;
  }
  const best = Math.min(...ratios);
  // Three times 40 % is more than everything: there, half the way to failing everything is bad.
  return Math.min(best * outlierFactor, (best + 1) / 2);
}

/**
 * The least true ratio that a measured one is compatible with.
 *
 * @see Wilson: Probable Inference, the Law of Succession, and Statistical Inference, 1927
 */
function surelyAtLeast(ratio: number, requests: number, deviations: number): number {
  if (deviations === 0) return ratio;
  const spread = deviations ** 2 / requests;
  const margin = Math.sqrt(spread * (ratio * (1 - ratio) + spread / 4));
  return (ratio + spread / 2 - margin) / (1 + spread);
}

/** The middle one of an odd number of values. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function quickestMs(nodes: readonly NodeSample[]): number {
  const latencies = nodes.map((node) => node.latencyMs).filter((latencyMs) => latencyMs > 0);
  return latencies.length === 0 ? 0 : Math.min(...latencies);
}

/** Every weight is its original, lowered by a whole number of steps. Undefined: nothing moves. */
function shrink(
  nodes: readonly NodeSample[],
  weights: readonly number[],
  verdicts: readonly Verdict[],
  { growthFactor, weightMax, probeShare }: RebalanceOptions,
): readonly number[] | undefined {
  const stepsOf = (factor: number) => Math.log(factor) / Math.log(growthFactor);
  // 1/64 is three steps of 4, not the two and a bit that rounding may make of it.
  const stepsMax = Math.floor(stepsOf(Math.min(weightMax, 1 / probeShare)) + 1e-9);
  let isMoved = false;
  const moved = nodes.map(({ weight }, index) => {
    if (weight === 0) return 0;
    const step = Math.round(stepsOf(weight / weights[index]));
    const target = Math.min(targetStep(verdicts[index], step, stepsOf), stepsMax);
    if (target === step) return weights[index];
    isMoved = true;
    return weight / growthFactor ** (step + Math.sign(target - step));
  });
  return isMoved ? moved : undefined;
}

/** How far a node is to be lowered in the end. */
function targetStep(verdict: Verdict, step: number, stepsOf: (factor: number) => number): number {
  switch (verdict.kind) {
    case "good":
      return 0;
    case "held":
      return step;
    case "failing":
      // Never up: what few probes say of how bad it is swings too far. Only a good node rises.
      return Math.max(step, Math.round(stepsOf(verdict.excess)) + 1);
    case "slow": {
      // A node of a quarter of the speed is worth a quarter of its weight, not none. Rounded one way on the way
      // down and the other way up, or a slowness between two steps would move it to and fro.
      const steps = stepsOf(verdict.excess);
      return Math.min(Math.max(step, Math.round(steps)), Math.ceil(steps));
    }
    default:
      return verdict satisfies never;
  }
}

/** Raises good nodes while some are bad, lowers all towards their originals otherwise. Undefined: nothing moves. */
function grow(
  nodes: readonly NodeSample[],
  weights: readonly number[],
  verdicts: readonly Verdict[],
  { growthFactor, weightMax }: RebalanceOptions,
): readonly number[] | undefined {
  const isAnyBad = verdicts.some(isBad);
  const next = weights.map((weight, index) => {
    if (isAnyBad) return grown(weight, verdicts[index], growthFactor, weightMax);
    const original = nodes[index].weight;
    // Never below the original, not even where a common divisor has brought it there.
    return weight === original ? weight : Math.max(Math.floor(weight / growthFactor), original);
  });
  if (next.every((weight, index) => weight === weights[index])) return undefined;
  // The originals are the end of the way back, whatever divisor they have in common.
  return next.every((weight, index) => weight === nodes[index].weight) ? next : withoutCommonDivisor(next);
}

function grown(weight: number, verdict: Verdict, growthFactor: number, weightMax: number): number {
  return !isBad(verdict) && weight * growthFactor <= weightMax ? weight * growthFactor : weight;
}

function withoutCommonDivisor(weights: readonly number[]): readonly number[] {
  if (!weights.every(Number.isInteger)) return weights;
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  return divisor > 1 ? weights.map((weight) => weight / divisor) : weights;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
