import type { NodeConfig } from "../config/node-address.js";
import { type Clock, sleep } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import type { Log } from "../core/log.js";
import { orderedNodes } from "./ordered-nodes.js";

/** A place where nodes are listed, and which is asked again and again. */
export interface Discovery {
  /** As log lines name it. */
  readonly name: string;
  /** Never rejects: what went wrong is part of the answer. Settles soon after the signal has aborted. */
  find(signal: AbortSignal): Promise<DiscoveryAnswer>;
}

export interface DiscoveryAnswer {
  /** In any order. None: nobody is there. `undefined`: nothing new is known, and what was found last stays. */
  readonly nodes: readonly NodeConfig[] | undefined;
  /** How long it holds; `undefined` where that is not known, and then waits grow. */
  readonly validMs: number | undefined;
  /** What could not be found out, for the operator; there may be nodes all the same. */
  readonly fault: string | undefined;
}

export interface DiscoveryDependencies {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly counters: Pick<Counters, "discoveries" | "discoveriesFailed" | "discoveriesEmpty" | "discoveriesOverLimit">;
  /** Other nodes from now on, sorted by id. Not called for an answer that says what the last one said. */
  readonly onNodes: (nodes: readonly NodeConfig[]) => void;
  /** After each answer that has been dealt with: what is wrong with what is known, for operators; undefined: nothing. */
  readonly onAnswer: (trouble: string | undefined) => void;
}

/** Read anew for each answer. */
export interface DiscoveryOptions {
  /** Name of the cluster, for log lines. */
  readonly cluster: string;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
  /** May an answer without nodes take away all that were found? */
  readonly allowsEmpty: boolean;
  readonly nodesMax: number;
}

/** Asks a source for nodes again and again until the signal ends it; nothing of it is in flight then. */
export async function runDiscovery(
  { clock, random, log, counters, onNodes, onAnswer }: DiscoveryDependencies,
  options: DiscoveryOptions,
  source: Discovery,
  signal: AbortSignal,
): Promise<void> {
  const naming = { cluster: options.cluster, source: source.name };
  /** What was told last; undefined while nothing is wrong. */
  let toldFault: string | undefined;
  let isEmpty = false;
  let isOverLimit = false;
  let fruitless = 0;
  /** Nothing yet, and not nobody: whoever asks may hold nodes of another source until the first answer. */
  let inForce = "";
  let seen: Pick<DiscoveryAnswer, "nodes"> & Partial<Pick<DiscoveryOptions, "allowsEmpty" | "nodesMax">> = {
    nodes: undefined,
  };

  function noteFault(fault: string): void {
    counters.discoveriesFailed++;
    // Whoever has mended what the log says, and is not heard of again, believes that all is well.
    if (toldFault !== fault) log.warn({ event: "discovery_failed", ...naming, reason: fault });
    toldFault = fault;
  }

  function troubleOf(): string | undefined {
    if (toldFault !== undefined) return toldFault;
    if (isEmpty) return "it names no node, which is ignored";
    return isOverLimit ? `it names more than ${options.nodesMax} nodes, the first of which are taken` : undefined;
  }

  function take(nodes: readonly NodeConfig[]): void {
    const { allowsEmpty, nodesMax } = options;
    // Ten thousand lines that nobody has touched are not sorted every second.
    if (seen.nodes === nodes && seen.allowsEmpty === allowsEmpty && seen.nodesMax === nodesMax) return;
    seen = { nodes, allowsEmpty, nodesMax };
    if (nodes.length === 0 && !allowsEmpty) {
      counters.discoveriesEmpty++;
      if (!isEmpty) log.warn({ event: "discovery_empty", ...naming });
      isEmpty = true;
      return;
    }
    isEmpty = false;
    const ordered = orderedNodes(nodes);
    if (ordered.length > nodesMax) {
      counters.discoveriesOverLimit++;
      if (!isOverLimit) log.warn({ event: "discovery_over_limit", ...naming, nodes: ordered.length, limit: nodesMax });
    }
    isOverLimit = ordered.length > nodesMax;
    const taken = ordered.slice(0, nodesMax);
    const text = JSON.stringify(taken);
    if (text === inForce) return;
    inForce = text;
    onNodes(taken);
  }

  let waitMs = 0;
  do {
    const { nodes, validMs, fault } = await source.find(signal);
    if (signal.aborted) return;
    counters.discoveries++;
    if (fault !== undefined) noteFault(fault);
    else if (nodes !== undefined && toldFault !== undefined) {
      toldFault = undefined;
      log.info({ event: "discovery_recovered", ...naming });
    }
    if (nodes !== undefined) take(nodes);
    onAnswer(troubleOf());
    fruitless = validMs === undefined ? fruitless + 1 : 0;
    waitMs = decideWait({ validMs, fruitless, chance: random() }, options);
  } while (await sleep(clock, waitMs, signal));
}

/** What is known when the next question is planned. */
export interface WaitSample {
  readonly validMs: number | undefined;
  /** Answers in a row of which nobody knows how long they hold, this one included. */
  readonly fruitless: number;
  /** A number in [0, 1). */
  readonly chance: number;
}

/**
 * How long to wait before the next question: as long as the answer holds, within the limits, and up to a fifth less, so
 * that replicas do not ask in step and none uses what has expired. Without an answer twice as long each time.
 */
export function decideWait(
  { validMs, fruitless, chance }: WaitSample,
  { intervalMinMs, intervalMaxMs }: Pick<DiscoveryOptions, "intervalMinMs" | "intervalMaxMs">,
): number {
  const wishedMs = validMs ?? intervalMinMs * 2 ** Math.min(fruitless - 1, DOUBLINGS_MAX);
  const boundedMs = Math.min(intervalMaxMs, Math.max(intervalMinMs, wishedMs));
  return Math.max(intervalMinMs, boundedMs * (1 - EARLIER_SHARE_MAX * chance));
}

const EARLIER_SHARE_MAX = 0.2;
/** From the shortest interval to the longest there is, a day, in less than that. */
const DOUBLINGS_MAX = 30;
