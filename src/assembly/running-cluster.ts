import type { ClusterConfig, ClusterSettings, ProcessSettings } from "../config/config.js";
import type { NodeConfig } from "../config/node-address.js";
import type { BreakerState, CircuitBreaker } from "../core/breaker.js";
import { sleep } from "../core/clock.js";
import { type Cluster, staticCluster } from "../core/cluster.js";
import { ClusterStats } from "../core/cluster-stats.js";
import { DeadHosts } from "../core/dead-hosts.js";
import type { Exchange } from "../core/exchange.js";
import { LoadWait } from "../core/load-wait.js";
import { createNode, type Node } from "../core/node.js";
import type { OutlierDetector } from "../core/outlier.js";
import type { Policy } from "../core/policies/policy.js";
import { Rebalancer } from "../core/rebalancer.js";
import { RetryBudget } from "../core/retry.js";
import type { ClusterSnapshot } from "../core/snapshot.js";
import type { DialSecurity } from "../core/stream.js";
import { type Ping, tcpPing } from "../health/ping.js";
import { runPingLoop } from "../health/ping-loop.js";
import { askOptions, runSilenceWatch } from "../health/silence-watch.js";
import { ResponseHead } from "../http1/response-head.js";
import type { AccessLog } from "../proxy/access-log.js";
import type { ClusterContext, ProxyContext } from "../proxy/context.js";
import { FallbackRoundTripper } from "../proxy/fallback-round-tripper.js";
import { NodePool, type NodePoolEvents } from "../proxy/node-pool.js";
import { AddressBook, type Resolve } from "../system/address-book.js";
import { affinityOf } from "./affinity.js";
import { Checks } from "./checks.js";
import { policyOf } from "./policy.js";
import { breakerOf, outlierOf, requestEditsOf, responseEditsOf } from "./protection.js";

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

/** Settings that are about to be taken over, and the nodes that they name: those that stay are the same objects. */
interface Staged {
  readonly config: Settings;
  readonly nodes: readonly Node[];
  readonly added: readonly Node[];
}

/** Settings from which the policy is made; a change of one makes it anew over the same nodes. */
const POLICY_FIELDS = [
  "policy",
  "hash",
  "balanceFactor",
  "spread",
  "maglevTableSize",
  "rebalance",
  "wrrMode",
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

/** Settings from which outlier detection is made. */
const OUTLIER_FIELDS = [
  "outlierConsecutive",
  "outlierShareMax",
  "outlierWindowMs",
  "outlierVolumeMin",
  "outlierEjectionMs",
  "outlierEjectionMaxMs",
  "outlierEjectedShareMax",
  "panicShare",
] as const satisfies readonly (keyof ClusterSettings)[];

const BREAKER_FIELDS = [
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
  #policy: Policy;
  #loadWait: LoadWait | undefined;
  #outlier: OutlierDetector | undefined;
  #breaker: CircuitBreaker | undefined;
  #nodes: readonly Node[];
  #staged: Staged | undefined;

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
    this.#policy = this.#makePolicy(config);
    this.#loadWait = this.#makeLoadWait(config);
    this.#outlier = this.#makeOutlier(config);
    this.#breaker = this.#makeBreaker(config);
    this.#context = {
      ...context,
      requestEdits: requestEditsOf(config, config),
      responseEdits: responseEditsOf(config),
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
      onChange: () => {
        this.#outlier?.noteHealth();
        this.roundTripper.onRoom();
      },
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
   * Prepares other settings without a change of any: looks the names of new nodes up, and asks checks what they say of
   * them first. Resolves when that is known, or a short time has passed; then `commit` or `unstage`.
   */
  async stage(process: ProcessSettings, { name: _, ...settings }: ClusterConfig): Promise<void> {
    const config: Settings = { ...this.#context.config, ...process, ...settings };
    const nodes = this.#stageNodes(config);
    const known = new Set(this.#nodes);
    const added = nodes.filter((node) => !known.has(node));
    this.#staged = { config, nodes, added };
    if (added.length === 0) return;
    this.#updateAddresses();
    await this.#addressBook.open(this.#signal);
    await this.#checks.open(added, config);
  }

  /** The settings that were prepared are not wanted. */
  unstage(): void {
    if (this.#staged === undefined) return;
    for (const node of this.#staged.added) this.#checks.stop(node);
    this.#staged = undefined;
    this.#updateAddresses();
  }

  /**
   * Takes the settings that were prepared over, at once and from the next request on. Nodes that stay keep everything:
   * their connections, what is known of them, and their places in the order of a policy that is the same as before.
   */
  commit({ accessLog, isTrusted }: ProxyContext): void {
    const staged = this.#staged;
    if (staged === undefined) return;
    this.#staged = undefined;
    const context = this.#context;
    const { config } = context;
    const before = { ...config };
    // In place: connections and loops hold on to the object.
    Object.assign(config, staged.config);
    context.accessLog = accessLog;
    context.isTrusted = isTrusted;
    const changed = (...fields: readonly (keyof Settings)[]) =>
      fields.some((field) => JSON.stringify(before[field]) !== JSON.stringify(config[field]));
    context.requestEdits = requestEditsOf(config, config);
    context.responseEdits = responseEditsOf(config);
    if (changed("retryBudget", "retryReserve")) context.retryBudget = retryBudgetOf(config);
    if (changed("responseHeadBytesMax")) context.responseHead = new ResponseHead(config);
    if (changed("pingIntervalMs", "pingTimeoutMs"))
      for (const node of [...this.#pingLoops.keys()]) this.#keepPinging(node);
    if (this.#remakeParts(changed)) context.cluster = this.#makeCluster(config);
    if (changed("nodes")) this.#adoptNodes(staged);
    if (changed(...CHECK_FIELDS)) this.#checks.restart(this.#nodes);
    else this.#checks.update(this.#nodes);
    // Limits may have grown.
    this.roundTripper.onRoom();
  }

  /** Makes those parts of the cluster anew whose settings have changed; true: the cluster must be put together again. */
  #remakeParts(changed: (...fields: readonly (keyof Settings)[]) => boolean): boolean {
    const context = this.#context;
    const { config, clock } = context;
    const isNewPolicy = changed(...POLICY_FIELDS);
    const isNewLoadWait = changed("loadHeader");
    const isNewOutlier = changed(...OUTLIER_FIELDS);
    const isNewBreaker = changed(...BREAKER_FIELDS);
    const isNewAffinity = changed(...AFFINITY_FIELDS);
    if (isNewPolicy) this.#policy = this.#makePolicy(config);
    if (isNewLoadWait) this.#loadWait = this.#makeLoadWait(config);
    if (isNewOutlier) {
      for (const node of this.#nodes) node.ejected = false;
      this.#outlier = this.#makeOutlier(config);
    }
    if (isNewBreaker) this.#breaker = this.#makeBreaker(config);
    if (isNewAffinity) context.affinity = affinityOf(config, clock);
    return isNewPolicy || isNewLoadWait || isNewOutlier || isNewBreaker || isNewAffinity || changed("slowStartMs");
  }

  /** The nodes that a config names; new ones have a place and a pool, but get nothing yet. */
  #stageNodes(config: Settings): readonly Node[] {
    // One that is spoken to in another way is another node.
    const known = new Map(this.#nodes.map((node) => [`${node.id} ${this.#tlsTexts.get(node)}`, node]));
    // The index of a node that leaves, or still finishes something, is not given to another.
    const taken = new Set([...this.#nodes, ...[...this.#retired].map(({ node }) => node)].map(({ index }) => index));
    let free = 0;
    return config.nodes.map((named) => {
      const stays = known.get(`${named.id} ${JSON.stringify(named.tls)}`);
      if (stays !== undefined) return stays;
      while (taken.has(free)) free++;
      taken.add(free);
      const added = this.#makeNode(named, free, config);
      this.#pools[free] = new NodePool(added, this.#context, this.#poolEvents);
      return added;
    });
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

  #adoptNodes({ nodes, added }: Staged): void {
    const { log, cluster, config } = this.#context;
    const staying = new Set(nodes);
    const leaving = this.#nodes.filter((node) => !staying.has(node));
    this.#nodes = nodes;
    for (const [place, node] of nodes.entries()) node.weight = config.nodes[place].weight;
    for (const node of leaving) this.#dependencies.keep(this.#retire(node));
    for (const node of added) log.info({ event: "node_added", ...this.#naming(node) });
    this.#updateAddresses();
    cluster.update(nodes);
    // Another cluster may be offline another time.
    if (added.length > 0) this.roundTripper.onNodeAlive();
  }

  /** Of those that are there, are about to come or still finish something. */
  #updateAddresses(): void {
    const added = this.#staged?.added ?? [];
    this.#addressBook.update([...this.#nodes, ...added, ...[...this.#retired].map(({ node }) => node)]);
  }

  /** Where lines of the access log go from now on: the old file is closed. */
  useAccessLog(accessLog: AccessLog | undefined): void {
    this.#context.accessLog = accessLog;
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
    this.#updateAddresses();
  }

  /**
   * The cluster is gone from the config: its loops end, and no connection is kept. What runs may finish, on another of
   * its nodes if need be. Resolves when nothing does any more.
   */
  async retire(): Promise<void> {
    this.#stop.abort();
    for (const node of this.#nodes) this.#context.log.info({ event: "node_removed", ...this.#naming(node) });
    // While one pool is waited for, a request may fall back to a node whose pool was empty.
    do await Promise.all(this.#allPools().map((pool) => pool.retire()));
    while (this.#allPools().some((pool) => !pool.isEmpty));
  }

  #allPools(): NodePool[] {
    return [...this.#nodes.map((node) => this.#pools[node.index]), ...this.#retired];
  }

  /** Ends every connection now; resolves when the last one has closed. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#allPools().map((pool) => pool.destroy()));
  }

  #makePolicy(config: Settings): Policy {
    const { random, context } = this.#dependencies;
    const { clock, log } = context;
    const policy = policyOf(config, { clock, random });
    const onMove = (node: Node, weight: number) => log.info({ event: "weight_moved", ...this.#naming(node), weight });
    return config.rebalance ? new Rebalancer(policy, { clock, onMove }) : policy;
  }

  #makeLoadWait({ loadHeader }: Settings): LoadWait | undefined {
    const { random, context } = this.#dependencies;
    const { clock, counters } = context;
    if (loadHeader === "") return undefined;
    return new LoadWait({ now: () => clock.now(), random, onForgotten: () => counters.loadWaitsForgotten++ });
  }

  /** Over the parts and nodes as they are. */
  #makeCluster(config: Settings): Cluster {
    const { random, context } = this.#dependencies;
    const { clock } = context;
    const affinity = (exchange: Exchange, members: readonly Node[]) => this.#context.affinity?.find(exchange, members);
    const hasAffinity = config.stickyCookie !== "" || config.stickyHeader !== "";
    return staticCluster(
      {
        policy: this.#policy,
        now: () => clock.now(),
        random,
        affinity: hasAffinity ? affinity : undefined,
        outlier: this.#outlier,
        breaker: this.#breaker,
        loadWait: this.#loadWait,
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
      onSpared: () => counters.ejectionsSpared++,
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
    if (node.mode !== "disabled") this.#keepPinging(node);
  }

  /** In place of the loop that pings it already, if there is one. */
  #keepPinging(node: Node): void {
    this.#pingLoops.get(node)?.abort();
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

/** A tenth of what can be saved up is there from the start: a balancer that has just started may still repeat. */
function retryBudgetOf({ retryBudget, retryReserve }: ClusterSettings): RetryBudget {
  return new RetryBudget({
    tokensPerRequest: retryBudget,
    tokensInitial: Math.ceil(retryReserve / 10),
    tokensMax: retryReserve,
  });
}
