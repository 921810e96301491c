import { setMaxListeners } from "node:events";
import type { ClusterConfig, ClusterSettings, ProcessSettings } from "../config/config.js";
import type { NodeConfig } from "../config/node-address.js";
import type { BreakerState } from "../core/breaker.js";
import { sleep } from "../core/clock.js";
import { ClusterStats } from "../core/cluster-stats.js";
import { DeadHosts } from "../core/dead-hosts.js";
import type { OpenLookup } from "../core/lookup.js";
import { canServe, createNode, type Node } from "../core/node.js";
import type { ChangeResult, EditCondition } from "../core/operations.js";
import type { Edited, NodeChange, Registry } from "../core/registry.js";
import type { ClusterSnapshot, NodeOrigin } from "../core/snapshot.js";
import { type Stop, stopWith } from "../core/stop.js";
import type { DialSecurity } from "../core/stream.js";
import { tcpPing } from "../health/ping.js";
import { ResponseHead } from "../http1/response-head.js";
import type { AccessLog } from "../proxy/access-log.js";
import type { ClusterContext, ProxyContext } from "../proxy/context.js";
import { FallbackRoundTripper } from "../proxy/fallback-round-tripper.js";
import { NodePool } from "../proxy/node-pool.js";
import type { Store } from "../store/store.js";
import { AddressBook, type Resolve } from "../system/address-book.js";
import { affinityOf } from "./affinity.js";
import { Checks } from "./checks.js";
import { ClusterParts } from "./cluster-parts.js";
import { DiscoveredNodes } from "./discovered-nodes.js";
import { EditedNodes } from "./edited-nodes.js";
import { AFFINITY_FIELDS, CHECK_FIELDS } from "./part-fields.js";
import { Pings } from "./pings.js";
import { requestEditsOf, responseEditsOf, retryBudgetOf } from "./protection.js";
import { Suspicion } from "./suspicion.js";

export interface RunningClusterDependencies {
  readonly context: ProxyContext;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  /** Asks DNS for nodes. */
  readonly openLookup: OpenLookup;
  /** Where operators say what they want of nodes. */
  readonly store: Store;
  /** How a node is dialled that is spoken to in TLS. */
  readonly securityOf: (node: NodeConfig) => DialSecurity | undefined;
  /** Ends every loop. */
  readonly stopping: AbortSignal;
  /** Keeps a loop until it has ended, so that whoever closes can wait for it. */
  readonly keep: (loop: Promise<unknown>) => void;
}

export interface NodeState {
  readonly node: Node;
  readonly origin: NodeOrigin;
  readonly breaker: BreakerState["kind"];
  readonly connections: number;
  readonly idleConnections: number;
}

type Settings = ProcessSettings & ClusterSettings;

/** The nodes that there should be. */
interface Wish {
  /** By config and discovery. */
  readonly named: readonly NodeConfig[];
  /** As operators want them: what nodes are made of, one by one. */
  readonly given: readonly Edited<NodeConfig>[];
}

/** Nodes that are about to be taken over: those that stay are the same objects. */
interface Prepared extends Wish {
  readonly nodes: readonly Node[];
  readonly added: readonly Node[];
}

/** Settings that are about to be taken over, and the nodes that they lead to. */
interface Staged extends Prepared {
  readonly config: Settings;
}

/** How often ejected nodes are asked whether their time is over. */
const OUTLIER_LOOP_MS = 250;
/** How long whoever edits a node waits for the cluster to take it over: names that are looked up, a reload. */
const SETTLE_MS = 5000;

/** One cluster at work: its nodes and policy, their connections, the dead-host set and the loops that watch them. */
export class RunningCluster {
  readonly name: string;
  readonly roundTripper: FallbackRoundTripper;
  readonly #dependencies: RunningClusterDependencies;
  readonly #context: { -readonly [Field in keyof ClusterContext]: ClusterContext[Field] };
  readonly #addressBook: AddressBook;
  readonly #pools: NodePool[] = [];
  readonly #retired = new Set<NodePool>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #suspicion: Suspicion;
  readonly #pings: Pings;
  readonly #checks: Checks;
  readonly #discovered: DiscoveredNodes;
  readonly #edited: EditedNodes;
  /** How each node is spoken to in TLS. */
  readonly #tlsTexts = new WeakMap<Node, string | undefined>();
  readonly #securities = new WeakMap<Node, DialSecurity>();
  readonly #parts: ClusterParts;
  /** What the nodes were made of. */
  #wish: Wish;
  #nodes: readonly Node[];
  /** What a reload prepares. */
  #staged: Staged | undefined;
  /** What was found and is prepared; never beside a reload, which takes it along. */
  #joining: Prepared | undefined;
  /** Who waits for the nodes to be those that there should be. */
  readonly #settling = new Set<Stop>();
  /** Before the cluster runs no node is younger than others. */
  #isRunning = false;

  constructor(dependencies: RunningClusterDependencies, { name, ...settings }: ClusterConfig) {
    const { context, random, resolve, stopping } = dependencies;
    const { clock, log, dial } = context;
    this.name = name;
    this.#dependencies = dependencies;
    this.#signal = AbortSignal.any([this.#stop.signal, stopping]);
    // Each loop listens to it: many nodes are no leak.
    setMaxListeners(0, this.#signal);
    const config: Settings = { ...context.config, ...settings };
    const { store } = dependencies;
    this.#edited = new EditedNodes({ store, signal: this.#signal, onChange: () => this.#follow() }, name);
    this.#wish = { named: settings.nodes, given: this.#edited.appliedTo(settings.nodes, settings) };
    this.#nodes = settings.nodes.map((node, index) => this.#makeNode(node, index, config));
    const securityOf = (node: Node) => this.#securities.get(node);
    this.#addressBook = new AddressBook({ clock, log, resolve, securityOf }, config, this.#nodes);
    const { targetsOf, doubt } = this.#addressBook;
    this.#parts = new ClusterParts(
      {
        context,
        random,
        name,
        affinity: () => this.#context.affinity,
        onRoom: () => this.roundTripper.onRoom(),
        onReturn: (node) => this.#context.cluster.noteReturn(node),
      },
      config,
    );
    this.#context = {
      ...context,
      requestEdits: requestEditsOf(config, config),
      responseEdits: responseEditsOf(config),
      name,
      config,
      cluster: this.#parts.clusterOf(config, this.#nodes),
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
    this.#suspicion = new Suspicion({
      context: this.#context,
      nodes: () => this.#nodes,
      retired: () => [...this.#retired].map(({ node }) => node),
      poolOf: (node) => this.#poolOf(node),
      onChange: () => this.#parts.outlier?.noteHealth(),
      signal: this.#signal,
    });
    for (const node of this.#nodes) this.#pools.push(new NodePool(node, this.#context, this.#suspicion));
    this.#pings = new Pings({
      context: this.#context,
      random,
      ping: tcpPing({ clock, dial, targetsOf }),
      signal: this.#signal,
      keep: dependencies.keep,
    });
    this.roundTripper = new FallbackRoundTripper(this.#context, this.#pools);
    this.#checks = new Checks({
      context: this.#context,
      random,
      signal: this.#signal,
      keep: dependencies.keep,
      onChange: () => {
        this.#parts.outlier?.noteHealth();
        this.roundTripper.onRoom();
      },
    });
    this.#discovered = new DiscoveredNodes({
      context: this.#context,
      random,
      openLookup: dependencies.openLookup,
      signal: this.#signal,
      keep: dependencies.keep,
      onChange: () => this.#follow(),
    });
  }

  get context(): ClusterContext {
    return this.#context;
  }

  get nodes(): readonly NodeState[] {
    const listed = new Set(this.#context.config.nodes.map(({ id }) => id));
    const named = new Set(this.#wish.named.map(({ id }) => id));
    return this.#nodes.map((node) => {
      const { connectionCount, idleCount } = this.#pools[node.index];
      const breaker = this.#parts.breaker?.stateOf(node)?.kind ?? "closed";
      const origin = listed.has(node.id) ? "config" : named.has(node.id) ? "discovered" : "operator";
      return { node, origin, breaker, connections: connectionCount, idleConnections: idleCount };
    });
  }

  snapshot(): ClusterSnapshot {
    const { stats, config, retryBudget } = this.#context;
    const { queueMax, clusterConnectionsMax, nodeConnectionsMax, nodeIdleConnectionsMax, retryReserve } = config;
    return {
      name: this.name,
      policy: config.policy,
      discovery: this.#discovered.view,
      registryVersion: this.#edited.registry.version,
      canServe: this.#nodes.some(canServe),
      stats: stats.copy(),
      queued: this.roundTripper.queued,
      inFlight: this.#parts.inFlight,
      retryTokens: retryBudget.tokens,
      isPanic: this.#parts.outlier?.isPanic ?? false,
      limits: {
        queueMax,
        clusterConnectionsMax,
        nodeConnectionsMax,
        nodeIdleConnectionsMax,
        retryTokensMax: retryReserve,
      },
    };
  }

  /** Looks for nodes, names and what operators have said; resolves when each has had its first answer, or a short time to get one. */
  async open(): Promise<void> {
    await Promise.all([this.#addressBook.open(this.#signal), this.#discovered.open(), this.#edited.open()]);
    // What was found may have names, too.
    await this.#addressBook.open(this.#signal);
  }

  /** Starts the loops; resolves when what checks say first is known, or a short time has passed. */
  async run(): Promise<void> {
    const { keep } = this.#dependencies;
    keep(this.#addressBook.run(this.#signal));
    keep(this.#suspicion.run());
    keep(this.#runOutlier());
    this.#isRunning = true;
    await this.#checks.open(this.#nodes);
  }

  async #runOutlier(): Promise<void> {
    while (await sleep(this.#context.clock, OUTLIER_LOOP_MS, this.#signal)) this.#parts.outlier?.advance();
  }

  /**
   * Prepares other settings without a change of any: looks the names of new nodes up, and asks checks what they say of
   * them first. Resolves when that is known, or a short time has passed; then `commit` or `unstage`.
   */
  async stage(process: ProcessSettings, { name: _, ...settings }: ClusterConfig): Promise<void> {
    const config: Settings = { ...this.#context.config, ...process, ...settings };
    this.#joining = undefined;
    const prepared = this.#prepareNodes(this.#wishFor(config), config);
    const { added } = prepared;
    this.#staged = { ...prepared, config };
    if (added.length === 0) return;
    this.#updateAddresses();
    await this.#addressBook.open(this.#signal, added);
    await this.#checks.open(added, config);
  }

  /** The settings that were prepared are not wanted. */
  unstage(): void {
    if (this.#staged === undefined) return;
    for (const node of this.#staged.added) this.#checks.stop(node);
    this.#staged = undefined;
    this.#updateAddresses();
    this.#follow();
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
    if (changed("pingIntervalMs", "pingTimeoutMs")) this.#pings.restart();
    const isNewAffinity = changed(...AFFINITY_FIELDS);
    if (isNewAffinity) context.affinity = affinityOf(config, context.clock);
    if (this.#parts.remake(changed, config, this.#nodes) || isNewAffinity) {
      context.cluster = this.#parts.clusterOf(config, this.#nodes);
    }
    if (changed("discover")) this.#discovered.restart(this.#wish.named);
    this.#adoptNodes(staged);
    if (changed(...CHECK_FIELDS)) this.#checks.restart(this.#nodes);
    else this.#checks.update(this.#nodes);
    // Limits may have grown.
    this.roundTripper.onRoom();
    this.#follow();
  }

  #wishFor(config: Settings): Wish {
    const named = this.#discovered.joinedTo(config, this.#wish.named);
    return { named, given: this.#edited.appliedTo(named, config) };
  }

  /**
   * Says something about a node, see `Operations.editNode`. Resolves when the cluster has taken over all that was said, or
   * after a short time to do so.
   */
  async edit(change: NodeChange, condition: EditCondition): Promise<ChangeResult> {
    const result = await this.#edited.edit(change, condition, () => this.#wishFor(this.#context.config).named);
    const settled = stopWith(this.#signal);
    this.#settling.add(settled);
    const isOver = sleep(this.#context.clock, SETTLE_MS, settled.signal);
    this.#follow();
    await isOver;
    this.#settling.delete(settled);
    settled.release();
    return result;
  }

  /** See `Operations.registry`. */
  get registry(): Registry {
    return this.#edited.registry;
  }

  /** See `Operations.resetNode`. */
  resetNode(node: Node): ChangeResult {
    const { outlier, breaker } = this.#parts;
    const wasSuspect = node.suspect;
    // As if it had just answered: one more early close, or who has waited in vain, does not make it suspect again at once.
    if (wasSuspect) this.#pools[node.index].noteByte();
    const isReset = [breaker?.reset(node), outlier?.reset(node), wasSuspect].includes(true);
    return isReset ? "applied" : "unchanged";
  }

  /** See `Operations.markAlive`. */
  markAlive(node: Node): ChangeResult {
    if (node.alive) return "unchanged";
    this.#context.deadHosts.revive(node);
    return "applied";
  }

  /** Takes over what was found, or said by operators. */
  #follow(): void {
    // A reload that is under way comes back here.
    if (this.#staged !== undefined || this.#joining !== undefined) return;
    const { config } = this.#context;
    const wish = this.#wishFor(config);
    if (!this.#differs(wish)) {
      for (const settled of this.#settling) settled.abort();
      return;
    }
    const prepared = this.#prepareNodes(wish, config);
    if (this.#isRunning) this.#dependencies.keep(this.#join(prepared));
    else this.#adoptNodes(prepared);
  }

  async #join(prepared: Prepared): Promise<void> {
    this.#joining = prepared;
    this.#updateAddresses();
    // Whoever dialled a name before it has an address would call it dead.
    await this.#addressBook.open(this.#signal, prepared.added);
    if (this.#joining !== prepared || this.#signal.aborted) return;
    this.#joining = undefined;
    this.#adoptNodes(prepared);
    this.#checks.update(this.#nodes);
    this.roundTripper.onRoom();
    // More may have been found meanwhile.
    this.#follow();
  }

  #differs({ named, given }: Wish): boolean {
    return JSON.stringify([named, given]) !== JSON.stringify([this.#wish.named, this.#wish.given]);
  }

  /** New ones have a place and a pool, but get nothing yet. */
  #prepareNodes({ named, given }: Wish, config: Settings): Prepared {
    // One that is spoken to in another way is another node.
    const known = new Map(this.#nodes.map((node) => [`${node.id} ${this.#tlsTexts.get(node)}`, node]));
    // The index of a node that leaves, or still finishes something, is not given to another.
    const taken = new Set([...this.#nodes, ...[...this.#retired].map(({ node }) => node)].map(({ index }) => index));
    let free = 0;
    const added: Node[] = [];
    const nodes = given.map((wished) => {
      const stays = known.get(`${wished.id} ${JSON.stringify(wished.tls)}`);
      if (stays !== undefined) return stays;
      while (taken.has(free)) free++;
      taken.add(free);
      const node = this.#makeNode(wished, free, config);
      this.#pools[free] = new NodePool(node, this.#context, this.#suspicion);
      added.push(node);
      return node;
    });
    return { named, given, nodes, added };
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

  #adoptNodes(prepared: Prepared): void {
    if (!this.#differs(prepared)) return;
    const { given, nodes, added } = prepared;
    const { log, cluster, config } = this.#context;
    const staying = new Set(nodes);
    const leaving = this.#nodes.filter((node) => !staying.has(node));
    this.#wish = prepared;
    this.#nodes = nodes;
    for (const node of added) log.info({ event: "node_added", ...this.#naming(node) });
    for (const [place, { weight, mode }] of given.entries()) {
      const node = nodes[place];
      node.weight = weight;
      if (node.mode === mode) continue;
      node.mode = mode;
      log.info({ event: "node_mode_changed", ...this.#naming(node), mode });
    }
    for (const node of leaving) this.#dependencies.keep(this.#retire(node));
    this.#updateAddresses();
    if (this.#isRunning) cluster.update(nodes);
    else this.#context.cluster = this.#parts.clusterOf(config, this.#nodes);
    // Another cluster may be offline another time.
    if (added.length > 0) this.roundTripper.onNodeAlive();
  }

  /** Of those that are there, are about to come or still finish something. */
  #updateAddresses(): void {
    const { added } = this.#staged ?? this.#joining ?? { added: [] };
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
    this.#pings.stop(node);
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

  /** Undefined for a node that has left with all of its connections: its index may be another's by now. */
  #poolOf(node: Node): NodePool | undefined {
    const pool = this.#pools[node.index];
    return pool.node === node ? pool : undefined;
  }

  #allPools(): NodePool[] {
    return [...this.#nodes.map((node) => this.#pools[node.index]), ...this.#retired];
  }

  /** Ends every connection now; resolves when the last one has closed. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#allPools().map((pool) => pool.destroy()));
  }

  #onDead(node: Node, code: string): void {
    const { counters, log } = this.#context;
    counters.nodeDeaths++;
    this.#parts.outlier?.noteHealth();
    log.warn({ event: "node_dead", ...this.#naming(node), code });
    const pool = this.#pools[node.index];
    pool.closeIdle();
    pool.failDials(code);
    // One that has left is nobody's any more; one that is disabled may be asked for again.
    if (this.#nodes.includes(node)) this.#pings.start(node);
  }

  #onAlive(node: Node): void {
    const { counters, log, cluster } = this.#context;
    counters.nodeRevivals++;
    this.#parts.outlier?.noteHealth();
    log.info({ event: "node_alive", ...this.#naming(node) });
    this.#pings.stop(node);
    cluster.noteReturn(node);
    this.roundTripper.onNodeAlive();
  }

  /** How events name a node. */
  #naming(node: Node): { readonly cluster: string; readonly node: string } {
    return { cluster: this.name, node: node.id };
  }
}
