import type { Node } from "../core/node.js";
import { askOptions, checkMsOf, runSilenceWatch } from "../health/silence-watch.js";
import type { ClusterContext } from "../proxy/context.js";
import type { NodePool, NodePoolEvents } from "../proxy/node-pool.js";

export interface SuspicionDependencies {
  readonly context: ClusterContext;
  /** Nodes that the cluster has. */
  readonly nodes: () => readonly Node[];
  /** Nodes that have left, and are still waited for. */
  readonly retired: () => readonly Node[];
  /** Undefined for a node that has left with all of its connections. */
  readonly poolOf: (node: Node) => NodePool | undefined;
  /** A node is suspect now, or trusted again. */
  readonly onChange: () => void;
  readonly signal: AbortSignal;
}

/** Which nodes of a cluster accept and do not answer, and the loop that asks them whether they do. */
export class Suspicion implements NodePoolEvents {
  readonly #dependencies: SuspicionDependencies;

  constructor(dependencies: SuspicionDependencies) {
    this.#dependencies = dependencies;
  }

  onSuspect(node: Node, reason: string): void {
    if (node.suspect || !node.alive) return;
    const { context, poolOf, onChange } = this.#dependencies;
    node.suspect = true;
    onChange();
    context.counters.nodeSuspicions++;
    context.log.warn({ event: "node_suspect", cluster: context.name, node: node.id, reason });
    poolOf(node)?.releaseWaiting();
  }

  onTrusted(node: Node): void {
    if (!node.suspect) return;
    const { context, onChange } = this.#dependencies;
    node.suspect = false;
    onChange();
    context.cluster.noteReturn(node);
    context.log.info({ event: "node_trusted", cluster: context.name, node: node.id });
  }

  /** Asks those who keep exchanges waiting; ends with the signal. */
  run(): Promise<void> {
    const { context, nodes, retired, poolOf, signal } = this.#dependencies;
    const { clock, counters, dial, targetsOf, deadHosts } = context;
    const isSilent = (node: Node) => {
      const { silenceMs } = context.config;
      return silenceMs > 0 && poolOf(node)?.isSilent(silenceMs) === true;
    };
    const ask = askOptions({
      clock,
      dial,
      targetsOf,
      onAsk: () => counters.probes++,
      timeoutMs: () => context.config.pingTimeoutMs,
    });
    return runSilenceWatch(
      {
        clock,
        ask,
        isSilent,
        onAnswer: (node) => poolOf(node)?.noteByte(),
        onSilence: (node) => this.onSuspect(node, "silent"),
        onUnreachable: (node, code) => {
          if (nodes().includes(node)) deadHosts.mark(node, code);
        },
      },
      {
        get checkMs() {
          return checkMsOf(context.config.silenceMs);
        },
        get suspectIntervalMs() {
          return context.config.pingIntervalMs;
        },
      },
      // A node that has left may keep what waits for it as long as any.
      () => [...nodes(), ...retired()],
      signal,
    );
  }
}
