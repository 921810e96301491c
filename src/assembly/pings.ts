import type { Node } from "../core/node.js";
import { type Stop, stopWith } from "../core/stop.js";
import type { Ping } from "../health/ping.js";
import { runPingLoop } from "../health/ping-loop.js";
import type { ClusterContext } from "../proxy/context.js";

export interface PingsDependencies {
  readonly context: ClusterContext;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly ping: Ping;
  readonly signal: AbortSignal;
  readonly keep: (loop: Promise<unknown>) => void;
}

/** The ping loops of a cluster, one for each dead node. */
export class Pings {
  readonly #dependencies: PingsDependencies;
  readonly #loops = new Map<Node, Stop>();

  constructor(dependencies: PingsDependencies) {
    this.#dependencies = dependencies;
  }

  /** In place of the loop that pings the node already, if there is one. */
  start(node: Node): void {
    const { signal, keep } = this.#dependencies;
    this.stop(node);
    const stop = stopWith(signal);
    this.#loops.set(node, stop);
    keep(this.#pingUntilAlive(node, stop.signal));
  }

  /** As the settings say now. */
  restart(): void {
    for (const node of [...this.#loops.keys()]) this.start(node);
  }

  stop(node: Node): void {
    this.#loops.get(node)?.abort();
    this.#loops.delete(node);
  }

  async #pingUntilAlive(node: Node, signal: AbortSignal): Promise<void> {
    const { context, random, ping } = this.#dependencies;
    const { clock, counters, config, deadHosts, onNameDoubted } = context;
    const onPing = () => {
      counters.pings++;
      onNameDoubted(node);
    };
    const { pingIntervalMs: intervalMs, pingTimeoutMs: timeoutMs } = config;
    const outcome = await runPingLoop({ clock, random, ping, onPing }, { intervalMs, timeoutMs }, node, signal);
    if (outcome === "alive") deadHosts.revive(node);
  }
}
