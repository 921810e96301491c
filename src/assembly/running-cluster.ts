import type { ClusterConfig, ClusterSettings, ProcessSettings } from "../config/config.js";
import type { NodeConfig } from "../config/node-address.js";
import type { BreakerState, CircuitBreaker } from "../core/breaker.js";
import { type Clock, sleep } from "../core/clock.js";
import { type Cluster, staticCluster } from "../core/cluster.js";
import { ClusterStats } from "../core/cluster-stats.js";
import { DeadHosts } from "../core/dead-hosts.js";
import type { Exchange } from "../core/exchange.js";
import { LoadWait } from "../core/load-wait.js";
import { createNode, type Node } from "../core/node.js";
import type { OutlierDetector } from "../core/outlier.js";
import type { Policy } from "../core/policies/policy.js";
import { createPolicy } from "../core/policies/table.js";
import { Rebalancer } from "../core/rebalancer.js";
import { RetryBudget } from "../core/retry.js";
import type { ClusterSnapshot } from "../core/snapshot.js";
import type { DialSecurity } from "../core/stream.js";
import { FnlbError } from "../errors.js";
import { type Ping, tcpPing } from "../health/ping.js";
import { runPingLoop } from "../health/ping-loop.js";
import { askOptions, runSilenceWatch } from "../health/silence-watch.js";
import { ResponseHead } from "../http1/response-head.js";
import type { ClusterContext, ProxyContext } from "../proxy/context.js";
import { FallbackRoundTripper } from "../proxy/fallback-round-tripper.js";
import { NodePool, type NodePoolEvents } from "../proxy/node-pool.js";
import { AddressBook, type Resolve } from "../system/address-book.js";
import { affinityOf } from "./affinity.js";
import { Checks, checkOf } from "./checks.js";
import { breakerOf, editsOf, outlierOf } from "./protection.js";

export interface RunningClusterDependencies {
  readonly context: ProxyContext;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  /** How a node is dialled that is spoken to in TLS. */
  readonly securityOf: (node: NodeConfig) => DialSecurity | undefined;
  /** Ends every loop. */
  readonly stopping: AbortSignal;
  /** Keeps a loop until it has ended, so that whoever closes can wait for it. */
  readonly keep: (loop: Promise<unknown>) => void;
}

export interface NodeState {
  readonly node: Node;
  readonly breaker: BreakerState["kind"];
  readonly connections: number;
  readonly idleConnections: number;
}

type Settings = ProcessSettings & ClusterSettings;

/** Settings from which what picks is made; a change of one makes it anew over the same nodes. */
const POLICY_FIELDS = [
  "policy",
  "hash",
  "balanceFactor",
  "spread",
  "maglevTableSize",
  "rebalance",
  "wrrMode",
  "slowStartMs",
  "loadHeader",
] as const satisfies readonly (keyof ClusterSettings)[];

/** Settings from which affinity is made. */
const AFFINITY_FIELDS = [
  "stickyCookie",
  "stickyHeader",
  "stickyCodecs",
  "stickySecrets",
  "stickyTtlMs",
  "stickyMaxAgeMs",
  "stickyPath",
  "stickyDomain",
  "stickySecure",
  "stickyHttpOnly",
  "stickySameSite",
] as const satisfies readonly (keyof ClusterSettings)[];

/** Settings from which outlier detection and breakers are made. */
const PROTECTION_FIELDS = [
  "outlierConsecutive",
  "outlierShareMax",
  "outlierWindowMs",
  "outlierVolumeMin",
  "outlierEjectionMs",
  "outlierEjectionMaxMs",
  "outlierEjectedShareMax",
  "panicShare",
  "breakerFaults",
  "breakerOpenMs",
  "breakerOpenMaxMs",
] as const satisfies readonly (keyof ClusterSettings)[];

const CHECK_FIELDS = [
  "checkPath",
  "checkIntervalMs",
  "checkTimeoutMs",
  "checkMethod",
  "checkHost",
  "checkStatuses",
  "checkBody",
  "checkMinVersion",
  "checkHealthyThreshold",
  "checkUnhealthyThreshold",
] as const satisfies readonly (keyof ClusterSettings)[];

/** How often ejected nodes are asked whether their time is over. */
const OUTLIER_LOOP_MS = 250;
const SILENCE_CHECK_MS_MIN = 25;
const SILENCE_CHECK_MS_MAX = 250;

/** One cluster at work: its nodes and policy, their connections, the dead-host set and the loops that watch them. */
export class RunningCluster {
  readonly name: string;
  readonly roundTripper: FallbackRoundTripper;
  readonly #dependencies: RunningClusterDependencies;
  readonly #context: { -readonly [Field in keyof ClusterContext]: ClusterContext[Field] };
  readonly #addressBook: AddressBook;
  readonly #pools: NodePool[] = [];
  readonly #retired = new Set<NodePool>();
  readonly #pingLoops = new Map<Node, AbortController>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #poolEvents: NodePoolEvents;
  readonly #ping: Ping;
  readonly #checks: Checks;
  /** How each node is spoken to in TLS. */
  readonly #tlsTexts = new WeakMap<Node, string | undefined>();
  readonly #securities = new WeakMap<Node, DialSecurity>();
  /** Shared by a cluster and the one that takes its place when the policy changes. */
  readonly #total = { inFlight: 0 };
  #outlier: OutlierDetector | undefined;
  #breaker: CircuitBreaker | undefined;
  #nodes: readonly Node[];

  constructor(dependencies: RunningClusterDependencies, { name, ...settings }: ClusterConfig) {
    const { context, resolve, stopping } = dependencies;
    const { clock, log, counters, dial } = context;
    this.name = name;
    this.#dependencies = dependencies;
    this.#signal = AbortSignal.any([this.#stop.signal, stopping]);
    const config: Settings = { ...context.config, ...settings };
    this.#nodes = settings.nodes.map((node, index) => this.#makeNode(node, index, config));
    const securityOf = (node: Node) => this.#securities.get(node);
    this.#addressBook = new AddressBook({ clock, log, resolve, securityOf }, config, this.#nodes);
    const { targetsOf, doubt } = this.#addressBook;
    this.#outlier = this.#makeOutlier(config);
    this.#breaker = this.#makeBreaker(config);
    this.#context = {
      ...context,
      ...editsOf(config, config),
      name,
      config,
      cluster: this.#makeCluster(config),
      stats: new ClusterStats(),
      affinity: affinityOf(config, clock),
      deadHosts: new DeadHosts({
        onDead: (node, code) => this.#onDead(node, code),
        onAlive: (node) => this.#onAlive(node),
      }),
      retryBudget: retryBudgetOf(config),
      responseHead: new ResponseHead(config),
      targetsOf,
      onNameDoubted: doubt,
    };
    this.#poolEvents = {
      onSuspect: (node, reason) => {
        if (node.suspect || !node.alive) return;
        node.suspect = true;
        this.#outlier?.noteHealth();
        counters.nodeSuspicions++;
        log.warn({ event: "node_suspect", ...this.#naming(node), reason });
        this.#pools[node.index].releaseWaiting();
      },
      onTrusted: (node) => {
        if (!node.suspect) return;
        node.suspect = false;
        this.#outlier?.noteHealth();
        this.#context.cluster.noteReturn(node);
        log.info({ event: "node_trusted", ...this.#naming(node) });
      },
    };
    for (const node of this.#nodes) this.#pools.push(new NodePool(node, this.#context, this.#poolEvents));
    this.#ping = tcpPing({ clock, dial, targetsOf });
    this.roundTripper = new FallbackRoundTripper(this.#context, this.#pools);
    this.#checks = new Checks({
      context: this.#context,
      random: dependencies.random,
      signal: this.#signal,
      keep: dependencies.keep,
      onChange: () => this.#outlier?.noteHealth(),
    });
  }

  get context(): ClusterContext {
    return this.#context;
  }

  get nodes(): readonly NodeState[] {
    return this.#nodes.map((node) => {
      const { connectionCount, idleCount } = this.#pools[node.index];
      const breaker = this.#breaker?.stateOf(node)?.kind ?? "closed";
      return { node, breaker, connections: connectionCount, idleConnections: idleCount };
    });
  }

  snapshot(): ClusterSnapshot {
    const { stats, config, retryBudget } = this.#context;
    const { queueMax, clusterConnectionsMax, nodeConnectionsMax, nodeIdleConnectionsMax, retryReserve } = config;
    return {
      name: this.name,
      stats: stats.copy(),
      queued: this.roundTripper.queued,
      inFlight: this.#total.inFlight,
      retryTokens: retryBudget.tokens,
      isPanic: this.#outlier?.isPanic ?? false,
      limits: {
        queueMax,
        clusterConnectionsMax,
        nodeConnectionsMax,
        nodeIdleConnectionsMax,
        retryTokensMax: retryReserve,
      },
    };
  }

  /** Looks the names up; resolves when every one has had its first answer, or a short time to get one. */
  open(): Promise<void> {
    return this.#addressBook.open(this.#signal);
  }

  /** Starts the loops; resolves when what checks say first is known, or a short time has passed. */
  async run(): Promise<void> {
    const { keep } = this.#dependencies;
    const { clock, counters, dial, targetsOf, config } = this.#context;
    keep(this.#addressBook.run(this.#signal));
    const ask = askOptions({
      clock,
      dial,
      targetsOf,
      onAsk: () => counters.probes++,
      timeoutMs: () => config.pingTimeoutMs,
    });
    keep(
      runSilenceWatch(
        {
          clock,
          ask,
          isSilent: (node) => config.silenceMs > 0 && this.#pools[node.index].isSilent(config.silenceMs),
          onAnswer: (node) => this.#pools[node.index].noteByte(),
          onSilence: (node) => this.#poolEvents.onSuspect(node, "silent"),
        },
        {
          get checkMs() {
            return Math.min(SILENCE_CHECK_MS_MAX, Math.max(SILENCE_CHECK_MS_MIN, config.silenceMs / 4));
          },
          get suspectIntervalMs() {
            return config.pingIntervalMs;
          },
        },
        () => this.#nodes,
        this.#signal,
      ),
    );
    keep(this.#runOutlier());
    await this.#checks.open(this.#nodes);
  }

  async #runOutlier(): Promise<void> {
    while (await sleep(this.#context.clock, OUTLIER_LOOP_MS, this.#signal)) this.#outlier?.advance();
  }

  /**
   * Takes new settings over, from the next request on. Nodes that stay keep everything: their connections, what is
   * known of them, and their places in the order of a policy that is the same as before.
   */
  update({ config: process, accessLog, isTrusted }: ProxyContext, { name: _, ...settings }: ClusterConfig): void {
    const context = this.#context;
    const before: ClusterSettings = { ...context.config };
    // In place: connections and loops hold on to the object.
    Object.assign(context.config, process, settings);
    context.accessLog = accessLog;
    context.isTrusted = isTrusted;
    const changed = (fields: readonly (keyof ClusterSettings)[]) =>
      fields.some((field) => JSON.stringify(before[field]) !== JSON.stringify(settings[field]));
    const isNewProtection = changed(PROTECTION_FIELDS);
    if (isNewProtection) {
      for (const node of this.#nodes) node.ejected = false;
      this.#outlier = this.#makeOutlier(context.config);
      this.#breaker = this.#makeBreaker(context.config);
    }
    const isNewAffinity = changed(AFFINITY_FIELDS);
    if (isNewAffinity) context.affinity = affinityOf(settings, context.clock);
    if (changed(["retryBudget", "retryReserve"])) context.retryBudget = retryBudgetOf(settings);
    Object.assign(context, editsOf(context.config, context.config));
    if (before.responseHeadBytesMax !== settings.responseHeadBytesMax) {
      context.responseHead = new ResponseHead(context.config);
    }
    if (changed(["nodes"])) this.#updateNodes(settings.nodes);
    if (changed(POLICY_FIELDS) || isNewProtection || isNewAffinity) {
      context.cluster = this.#makeCluster(context.config);
    } else if (changed(["nodes"])) context.cluster.update(this.#nodes);
    if (changed(CHECK_FIELDS)) this.#checks.restart(this.#nodes);
    else this.#checks.update(this.#nodes);
    // Limits may have grown.
    this.roundTripper.onRoom();
  }

  #updateNodes(next: readonly NodeConfig[]): void {
    const { log, config: settings } = this.#context;
    const known = new Map(this.#nodes.map((node) => [`${node.id} ${this.#tlsTexts.get(node)}`, node]));
    // One that is spoken to in another way is another node.
    const before = ({ id, tls }: NodeConfig) => known.get(`${id} ${JSON.stringify(tls)}`);
    const leaving = new Set(this.#nodes);
    const taken = new Set<number>([...this.#retired].map(({ node }) => node.index));
    for (const config of next) {
      const node = before(config);
      if (node === undefined) continue;
      leaving.delete(node);
      taken.add(node.index);
    }
    for (const node of leaving) {
      taken.add(node.index);
      this.#dependencies.keep(this.#retire(node));
    }
    let free = 0;
    this.#nodes = next.map((config) => {
      const node = before(config);
      if (node !== undefined) {
        node.weight = config.weight;
        return node;
      }
      // The index of a node that still finishes something is not given to another.
      while (taken.has(free)) free++;
      taken.add(free);
      const added = this.#makeNode(config, free, settings);
      this.#pools[free] = new NodePool(added, this.#context, this.#poolEvents);
      log.info({ event: "node_added", ...this.#naming(added) });
      return added;
    });
    this.#addressBook.update([...this.#nodes, ...[...this.#retired].map(({ node }) => node)]);
    this.#dependencies.keep(this.#addressBook.open(this.#signal));
  }

  #makeNode(config: NodeConfig, index: number, { checkPath }: ClusterSettings): Node {
    const { id, address, weight, tls } = config;
    const node = createNode(id, index, address, weight);
    // Where checks are on, a node gets nothing before its first passed one.
    if (checkPath !== "") node.check = "unknown";
    this.#tlsTexts.set(node, JSON.stringify(tls));
    const security = this.#dependencies.securityOf(config);
    if (security !== undefined) this.#securities.set(node, security);
    return node;
  }

  /** What runs at the node may finish; it gets nothing new. */
  async #retire(node: Node): Promise<void> {
    const pool = this.#pools[node.index];
    node.mode = "disabled";
    this.#pingLoops.get(node)?.abort();
    this.#pingLoops.delete(node);
    this.#checks.stop(node);
    this.#retired.add(pool);
    this.#context.log.info({ event: "node_removed", ...this.#naming(node) });
    await pool.retire();
    this.#retired.delete(pool);
  }

  /** The cluster is gone from the config: its loops end, what runs may finish. */
  async retire(): Promise<void> {
    this.#stop.abort();
    const retired = this.#nodes.map((node) => this.#retire(node));
    // Whoever waits for a place will not get one here.
    this.roundTripper.onRoom();
    await Promise.all(retired);
  }

  /** Ends every connection now; resolves when the last one has closed. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    const pools = new Set([...this.#nodes.map((node) => this.#pools[node.index]), ...this.#retired]);
    await Promise.all([...pools].map((pool) => pool.destroy()));
  }

  #makeCluster(config: Settings): Cluster {
    const { random, context } = this.#dependencies;
    const { clock, log, counters } = context;
    const now = () => clock.now();
    const policy = policyOf(config, { clock, random });
    const onMove = (node: Node, weight: number) => log.info({ event: "weight_moved", ...this.#naming(node), weight });
    const picking = config.rebalance ? new Rebalancer(policy, { clock, onMove }) : policy;
    const affinity = (exchange: Exchange, members: readonly Node[]) => this.#context.affinity?.find(exchange, members);
    const hasAffinity = config.stickyCookie !== "" || config.stickyHeader !== "";
    const onForgotten = () => counters.loadWaitsForgotten++;
    return staticCluster(
      {
        policy: picking,
        now,
        random,
        affinity: hasAffinity ? affinity : undefined,
        outlier: this.#outlier,
        breaker: this.#breaker,
        loadWait: config.loadHeader === "" ? undefined : new LoadWait({ now, random, onForgotten }),
        total: this.#total,
        onRoom: () => this.roundTripper.onRoom(),
      },
      config,
      this.#nodes,
    );
  }

  #makeOutlier(config: Settings): OutlierDetector | undefined {
    const { clock, log, counters } = this.#dependencies.context;
    return outlierOf(config, {
      clock,
      onEjected: (node, reason, ejectedMs) => {
        counters.nodesEjected++;
        log.warn({ event: "node_ejected", ...this.#naming(node), reason, ejectedMs });
      },
      onReturned: (node) => {
        log.info({ event: "node_returned", ...this.#naming(node) });
        this.#context.cluster.noteReturn(node);
      },
      onPanic: (isPanic) => log.warn({ event: isPanic ? "panic_began" : "panic_ended", cluster: this.name }),
    });
  }

  #makeBreaker(config: Settings): CircuitBreaker | undefined {
    const { context, random } = this.#dependencies;
    const { clock, log, counters } = context;
    return breakerOf(config, {
      clock,
      random,
      onOpened: (node, openMs, trips) => {
        counters.breakersOpened++;
        log.warn({ event: "breaker_opened", ...this.#naming(node), openMs: Math.round(openMs), trips });
      },
      onClosed: (node) => {
        log.info({ event: "breaker_closed", ...this.#naming(node) });
        this.#context.cluster.noteReturn(node);
      },
    });
  }

  #onDead(node: Node, code: string): void {
    const { counters, log } = this.#context;
    counters.nodeDeaths++;
    this.#outlier?.noteHealth();
    log.warn({ event: "node_dead", ...this.#naming(node), code });
    const pool = this.#pools[node.index];
    pool.closeIdle();
    pool.failDials(code);
    if (node.mode === "disabled") return;
    const stop = new AbortController();
    this.#pingLoops.set(node, stop);
    this.#dependencies.keep(this.#watchDead(node, AbortSignal.any([stop.signal, this.#signal])));
  }

  #onAlive(node: Node): void {
    const { counters, log, cluster } = this.#context;
    counters.nodeRevivals++;
    this.#outlier?.noteHealth();
    log.info({ event: "node_alive", ...this.#naming(node) });
    this.#pingLoops.get(node)?.abort();
    this.#pingLoops.delete(node);
    cluster.noteReturn(node);
    this.roundTripper.onNodeAlive();
  }

  async #watchDead(node: Node, signal: AbortSignal): Promise<void> {
    const { random } = this.#dependencies;
    const { clock, counters, config, deadHosts } = this.#context;
    const onPing = () => {
      counters.pings++;
      this.#addressBook.doubt(node);
    };
    const { pingIntervalMs: intervalMs, pingTimeoutMs: timeoutMs } = config;
    const outcome = await runPingLoop(
      { clock, random, ping: this.#ping, onPing },
      { intervalMs, timeoutMs },
      node,
      signal,
    );
    if (outcome === "alive") deadHosts.revive(node);
  }

  /** How events name a node. */
  #naming(node: Node): { readonly cluster: string; readonly node: string } {
    return { cluster: this.name, node: node.id };
  }
}

interface Chance {
  readonly clock: Clock;
  readonly random: () => number;
}

function policyOf(settings: ClusterSettings, { clock, random }: Chance): Policy {
  const { wrrMode: mode, maglevTableSize: tableSize } = settings;
  return createPolicy(settings.policy, { ...settings, mode, tableSize, now: () => clock.now(), random });
}

/** A tenth of what can be saved up is there from the start: a balancer that has just started may still repeat. */
function retryBudgetOf({ retryBudget, retryReserve }: ClusterSettings): RetryBudget {
  return new RetryBudget({
    tokensPerRequest: retryBudget,
    tokensInitial: Math.ceil(retryReserve / 10),
    tokensMax: retryReserve,
  });
}

/** Throws `ERR_OPTION` for settings that no cluster can be made of, before anything has changed. */
export function proveCluster(process: ProcessSettings, { name, ...settings }: ClusterConfig, chance: Chance): void {
  try {
    policyOf(settings, chance);
    affinityOf(settings, chance.clock);
    outlierOf(settings, chance);
    breakerOf(settings, chance);
    editsOf(process, settings);
    checkOf(settings, { clock: chance.clock, dial: () => () => {}, targetsOf: () => [] });
  } catch (error) {
    if (!(error instanceof FnlbError)) throw error;
    throw new FnlbError(error.code, `cluster "${name}": ${error.message}`, { cause: error });
  }
}
