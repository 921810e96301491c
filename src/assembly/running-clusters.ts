import type { ClusterConfig, Config } from "../config/config.js";
import type { ClusterSnapshot, NodeSnapshot } from "../core/snapshot.js";
import type { ProxyContext } from "../proxy/context.js";
import { RunningCluster, type RunningClusterDependencies } from "./running-cluster.js";

export type RunningClustersDependencies = Omit<RunningClusterDependencies, "context">;

/** What has been prepared for another config, until it is either put to use or given up. */
export interface StagedClusters {
  /** At once and without a failure: what is new begins, what stays changes, what is gone finishes what runs. */
  commit(context: ProxyContext): void;
  discard(): Promise<void>;
}

/** The clusters of a balancer, over all its configs. */
export class RunningClusters {
  readonly #dependencies: RunningClustersDependencies;
  #byName: ReadonlyMap<string, RunningCluster>;
  /** Gone from the config, but not done yet. */
  readonly #retired = new Set<RunningCluster>();

  /** Opens nothing. */
  constructor(dependencies: RunningClustersDependencies, context: ProxyContext, configs: readonly ClusterConfig[]) {
    this.#dependencies = dependencies;
    this.#byName = new Map(configs.map((config) => [config.name, this.#make(context, config)]));
  }

  #make(context: ProxyContext, config: ClusterConfig): RunningCluster {
    return new RunningCluster({ ...this.#dependencies, context }, config);
  }

  /** In the order of the config. */
  get byName(): ReadonlyMap<string, RunningCluster> {
    return this.#byName;
  }

  /** Requests that wait for a place. */
  get queued(): number {
    return [...this.#byName.values()].reduce((sum, { roundTripper }) => sum + roundTripper.queued, 0);
  }

  /** See `RunningCluster.open`. */
  async open(): Promise<void> {
    await Promise.all([...this.#byName.values()].map((cluster) => cluster.open()));
  }

  /** See `RunningCluster.run`. */
  async run(): Promise<void> {
    await Promise.all([...this.#byName.values()].map((cluster) => cluster.run()));
  }

  /** Prepares all that takes time or may fail. `context` is what it will be; when this rejects nothing has changed. */
  async stage(next: Config, context: ProxyContext): Promise<StagedClusters> {
    const before = this.#byName;
    const staged = new Map(
      next.clusters.map((config) => [config.name, before.get(config.name) ?? this.#make(context, config)]),
    );
    const added = [...staged.values()].filter(({ name }) => !before.has(name));
    const discard = async () => {
      for (const cluster of before.values()) cluster.unstage();
      await Promise.all(added.map((cluster) => cluster.destroy()));
    };
    try {
      await Promise.all([
        ...next.clusters.map((config) => before.get(config.name)?.stage(next, config)),
        ...added.map(async (cluster) => {
          await cluster.open();
          await cluster.run();
        }),
      ]);
    } catch (error) {
      await discard();
      throw error;
    }
    return { commit: (adopted) => this.#commit(staged, adopted), discard };
  }

  #commit(staged: ReadonlyMap<string, RunningCluster>, context: ProxyContext): void {
    for (const [name, cluster] of this.#byName) {
      if (staged.has(name)) cluster.commit(context);
      else this.#retire(cluster);
    }
    // Their old file is closed as well.
    for (const cluster of this.#retired) cluster.useAccessLog(context.accessLog);
    this.#byName = staged;
  }

  #retire(cluster: RunningCluster): void {
    this.#retired.add(cluster);
    this.#dependencies.keep(cluster.retire().then(() => this.#retired.delete(cluster)));
  }

  /** Ends every connection now; resolves when the last one has closed. */
  async destroy(): Promise<void> {
    await Promise.all([...this.#byName.values(), ...this.#retired].map((cluster) => cluster.destroy()));
  }

  snapshots(): readonly ClusterSnapshot[] {
    return [...this.#byName.values()].map((cluster) => cluster.snapshot());
  }

  nodeSnapshots(): readonly NodeSnapshot[] {
    return [...this.#byName.values()].flatMap((cluster) =>
      cluster.nodes.map(({ node, ...state }) => ({
        cluster: cluster.name,
        id: node.id,
        alive: node.alive,
        suspect: node.suspect,
        ejected: node.ejected,
        check: node.check,
        mode: node.mode,
        weight: node.weight,
        inFlight: node.inFlight,
        stats: node.stats.copy(),
        ...state,
      })),
    );
  }
}
