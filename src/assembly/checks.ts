import type { ClusterSettings } from "../config/config.js";
import { sleep } from "../core/clock.js";
import type { Node } from "../core/node.js";
import { type Stop, stopWith } from "../core/stop.js";
import { runCheckLoop } from "../health/check-loop.js";
import { type Check, type HttpCheckDependencies, httpCheck } from "../health/http-check.js";
import type { ClusterContext } from "../proxy/context.js";

const BODY_BYTES_MAX = 64 * 1024;
/** How long a start waits for the first verdicts. */
const FIRST_VERDICTS_MS = 2000;

/** The active check of a cluster's nodes, or undefined where that is off. Throws `ERR_OPTION`. */
export function checkOf(settings: ClusterSettings, dependencies: HttpCheckDependencies): Check | undefined {
  if (settings.checkPath === "") return undefined;
  return httpCheck(dependencies, {
    path: settings.checkPath,
    method: settings.checkMethod,
    host: settings.checkHost,
    timeoutMs: settings.checkTimeoutMs,
    statuses: settings.checkStatuses,
    bodyIncludes: settings.checkBody,
    bodyBytesMax: BODY_BYTES_MAX,
    minVersion: settings.checkMinVersion,
  });
}

export interface ChecksDependencies {
  readonly context: ClusterContext;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly keep: (loop: Promise<unknown>) => void;
  /** A node passes now, or fails. */
  readonly onChange: () => void;
}

/** The check loops of a cluster, one a node. */
export class Checks {
  readonly #dependencies: ChecksDependencies;
  readonly #loops = new Map<Node, Stop>();
  /** Nodes of the start, of which nothing is known yet. */
  readonly #awaited = new Set<Node>();
  #onVerdicts = () => {};

  constructor(dependencies: ChecksDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Starts the checks, as these settings or those of the cluster say; resolves once each node has its first verdict, or
   * a short time to get one.
   */
  async open(nodes: readonly Node[], settings: ClusterSettings = this.#dependencies.context.config): Promise<void> {
    this.#startThose(nodes, settings);
    for (const node of nodes) if (node.check === "unknown") this.#awaited.add(node);
    if (this.#awaited.size === 0) return;
    const { context, signal } = this.#dependencies;
    const known = stopWith(signal);
    this.#onVerdicts = () => known.abort();
    await sleep(context.clock, FIRST_VERDICTS_MS, known.signal);
    known.release();
    this.#awaited.clear();
  }

  /** Checks those that are new, if checks are on. */
  update(nodes: readonly Node[]): void {
    this.#startThose(nodes, this.#dependencies.context.config);
  }

  #startThose(nodes: readonly Node[], settings: ClusterSettings): void {
    const check = checkOf(settings, this.#dependencies.context);
    if (check === undefined) return;
    for (const node of nodes) if (!this.#loops.has(node)) this.#start(node, check, settings);
  }

  /** The checks themselves have changed: all begin anew. What is known counts until new answers say otherwise. */
  restart(nodes: readonly Node[]): void {
    for (const node of [...this.#loops.keys()]) this.stop(node);
    if (this.#dependencies.context.config.checkPath === "") for (const node of nodes) node.check = "off";
    else this.update(nodes);
  }

  /** The node is not checked any more. */
  stop(node: Node): void {
    this.#loops.get(node)?.abort();
    this.#loops.delete(node);
  }

  #start(node: Node, check: Check, settings: ClusterSettings): void {
    const { context, random, signal, keep, onChange } = this.#dependencies;
    const { clock, counters, log } = context;
    const stop = stopWith(signal);
    this.#loops.set(node, stop);
    const noteVerdict = () => {
      const isFirst = this.#awaited.delete(node);
      if (isFirst && this.#awaited.size === 0) this.#onVerdicts();
      return isFirst;
    };
    const naming = { cluster: context.name, node: node.id };
    keep(
      runCheckLoop(
        {
          clock,
          random,
          check,
          onCheck(passed) {
            counters.checks++;
            if (passed === false) counters.checksFailed++;
          },
          onPassing() {
            // At the start all are cold: who began with them does not come back to them.
            const isBack = !noteVerdict();
            node.check = "passing";
            log.info({ event: "node_passing", ...naming });
            if (isBack) context.cluster.noteReturn(node);
            onChange();
          },
          onFailing(_, reason) {
            noteVerdict();
            node.check = "failing";
            log.warn({ event: "node_failing", ...naming, reason });
            onChange();
          },
        },
        {
          intervalMs: settings.checkIntervalMs,
          healthyThreshold: settings.checkHealthyThreshold,
          unhealthyThreshold: settings.checkUnhealthyThreshold,
        },
        node,
        stop.signal,
      ),
    );
  }
}
