import type { ClusterSettings } from "../config/config.js";
import type { Affinity } from "../core/affinity/affinity.js";
import type { CircuitBreaker } from "../core/breaker.js";
import { type Cluster, staticCluster } from "../core/cluster.js";
import type { Exchange } from "../core/exchange.js";
import { LoadWait } from "../core/load-wait.js";
import type { Node } from "../core/node.js";
import type { OutlierDetector } from "../core/outlier.js";
import type { Policy } from "../core/policies/policy.js";
import { Rebalancer } from "../core/rebalancer.js";
import type { ProxyContext } from "../proxy/context.js";
import { BREAKER_FIELDS, OUTLIER_FIELDS, POLICY_FIELDS } from "./part-fields.js";
import { policyOf } from "./policy.js";
import { breakerOf, outlierOf } from "./protection.js";

export interface ClusterPartsDependencies {
  readonly context: ProxyContext;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Name of the cluster. */
  readonly name: string;
  /** The affinity of the cluster as it is now. */
  readonly affinity: () => Affinity | undefined;
  /** See `ClusterDependencies`. */
  readonly onRoom: () => void;
  /** A node that was kept out may serve again. */
  readonly onReturn: (node: Node) => void;
}

/** What decides which node of a cluster gets a request, and what keeps nodes from it. Each part outlives changes of the others. */
export class ClusterParts {
  readonly #dependencies: ClusterPartsDependencies;
  /** Shared by a cluster and the one that takes its place. */
  readonly #total = { inFlight: 0 };
  #policy: Policy;
  #loadWait: LoadWait | undefined;
  #outlier: OutlierDetector | undefined;
  #breaker: CircuitBreaker | undefined;

  /** Throws `ERR_OPTION`. */
  constructor(dependencies: ClusterPartsDependencies, settings: ClusterSettings) {
    this.#dependencies = dependencies;
    this.#policy = this.#makePolicy(settings);
    this.#loadWait = this.#makeLoadWait(settings);
    this.#outlier = this.#makeOutlier(settings);
    this.#breaker = this.#makeBreaker(settings);
  }

  get outlier(): OutlierDetector | undefined {
    return this.#outlier;
  }

  get breaker(): CircuitBreaker | undefined {
    return this.#breaker;
  }

  /** Exchanges and tunnels at the nodes of the cluster, those that have left it included. */
  get inFlight(): number {
    return this.#total.inFlight;
  }

  /** Makes those anew whose settings have changed; true: the cluster must be put together again. */
  remake(
    changed: (...fields: readonly (keyof ClusterSettings)[]) => boolean,
    settings: ClusterSettings,
    nodes: readonly Node[],
  ): boolean {
    const isNewPolicy = changed(...POLICY_FIELDS);
    const isNewLoadWait = changed("loadHeader");
    const isNewOutlier = changed(...OUTLIER_FIELDS);
    const isNewBreaker = changed(...BREAKER_FIELDS);
    if (isNewPolicy) this.#policy = this.#makePolicy(settings);
    if (isNewLoadWait) this.#loadWait = this.#makeLoadWait(settings);
    if (isNewOutlier) {
      for (const node of nodes) node.ejected = false;
      this.#outlier = this.#makeOutlier(settings);
    }
    if (isNewBreaker) this.#breaker = this.#makeBreaker(settings);
    return isNewPolicy || isNewLoadWait || isNewOutlier || isNewBreaker || changed("slowStartMs");
  }

  /** A cluster over the parts as they are. */
  clusterOf(settings: ClusterSettings, nodes: readonly Node[]): Cluster {
    const { context, random, affinity, onRoom } = this.#dependencies;
    const { clock } = context;
    const hasAffinity = settings.stickyCookie !== "" || settings.stickyHeader !== "";
    const find = (exchange: Exchange, members: readonly Node[]) => affinity()?.find(exchange, members);
    return staticCluster(
      {
        policy: this.#policy,
        now: () => clock.now(),
        random,
        affinity: hasAffinity ? find : undefined,
        outlier: this.#outlier,
        breaker: this.#breaker,
        loadWait: this.#loadWait,
        total: this.#total,
        onRoom,
      },
      settings,
      nodes,
    );
  }

  #makePolicy(settings: ClusterSettings): Policy {
    const { random, context } = this.#dependencies;
    const { clock, log } = context;
    const policy = policyOf(settings, { clock, random });
    const onMove = (node: Node, weight: number) => log.info({ event: "weight_moved", ...this.#naming(node), weight });
    return settings.rebalance ? new Rebalancer(policy, { clock, onMove }) : policy;
  }

  #makeLoadWait({ loadHeader }: ClusterSettings): LoadWait | undefined {
    const { random, context } = this.#dependencies;
    const { clock, counters } = context;
    if (loadHeader === "") return undefined;
    return new LoadWait({ now: () => clock.now(), random, onForgotten: () => counters.loadWaitsForgotten++ });
  }

  #makeOutlier(settings: ClusterSettings): OutlierDetector | undefined {
    const { context, name: cluster, onReturn } = this.#dependencies;
    const { clock, log, counters } = context;
    return outlierOf(settings, {
      clock,
      onEjected: (node, reason, ejectedMs) => {
        counters.nodesEjected++;
        log.warn({ event: "node_ejected", ...this.#naming(node), reason, ejectedMs });
      },
      onReturned: (node) => {
        log.info({ event: "node_returned", ...this.#naming(node) });
        onReturn(node);
      },
      onSpared: () => counters.ejectionsSpared++,
      onPanic: (isPanic) => log.warn({ event: isPanic ? "panic_began" : "panic_ended", cluster }),
    });
  }

  #makeBreaker(settings: ClusterSettings): CircuitBreaker | undefined {
    const { context, random, onReturn } = this.#dependencies;
    const { clock, log, counters } = context;
    return breakerOf(settings, {
      clock,
      random,
      onOpened: (node, openMs, trips) => {
        counters.breakersOpened++;
        log.warn({ event: "breaker_opened", ...this.#naming(node), openMs: Math.round(openMs), trips });
      },
      onClosed: (node) => {
        log.info({ event: "breaker_closed", ...this.#naming(node) });
        onReturn(node);
      },
    });
  }

  /** How events name a node. */
  #naming(node: Node): { readonly cluster: string; readonly node: string } {
    return { cluster: this.#dependencies.name, node: node.id };
  }
}
