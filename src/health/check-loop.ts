import { CheckState, type CheckThresholds } from "../core/check-state.js";
import { type Clock, sleep } from "../core/clock.js";
import type { Node } from "../core/node.js";
import type { Check } from "./http-check.js";

export interface CheckLoopDependencies {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly check: Check;
  /** Called for each check that has ended, so that it can be counted; undefined: it said nothing about the node. */
  readonly onCheck: (passed: boolean | undefined) => void;
  /** The node passes from now on. Once per flip. */
  readonly onPassing: (node: Node) => void;
  /** The node fails from now on; `reason` is that of the last check. Once per flip. */
  readonly onFailing: (node: Node, reason: string) => void;
}

export interface CheckLoopOptions extends CheckThresholds {
  /** Pause from the end of a check to the start of the next; each is moved by up to 20 % so that replicas do not check in step. */
  readonly intervalMs: number;
}

/**
 * Checks one node, dead or alive, until the signal ends it, from now on: what is unknown gets no traffic, so nothing
 * is gained by waiting. One loop a node: a slow one delays nobody else, and checks of one node never overlap, so that
 * an old result cannot overtake a new one. What a check says after the end is ignored.
 */
export async function runCheckLoop(
  { clock, random, check, onCheck, onPassing, onFailing }: CheckLoopDependencies,
  { intervalMs, ...thresholds }: CheckLoopOptions,
  node: Node,
  signal: AbortSignal,
): Promise<void> {
  // What checks have said before counts: one lost answer behind a reload takes out nobody that passed.
  const state = new CheckState(thresholds, node.check === "off" ? "unknown" : node.check);
  do {
    const result = await check(node, signal);
    if (signal.aborted) return;
    onCheck(result.passed);
    if (result.passed === undefined) continue;
    const flip = state.record(result.passed);
    if (flip === undefined) continue;
    if (result.passed) onPassing(node);
    else onFailing(node, result.reason);
  } while (await sleep(clock, intervalMs * (0.8 + 0.4 * random()), signal));
}
