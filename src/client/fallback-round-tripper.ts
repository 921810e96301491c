import { Dispatcher, errors } from "undici";
import { parseNodes } from "../config/node-address.js";
import type { RetryOn } from "../config/retry-on.js";
import { badOption } from "../config/units.js";
import type { CircuitBreaker } from "../core/breaker.js";
import { type Clock, sleep } from "../core/clock.js";
import { type Cluster, staticCluster } from "../core/cluster.js";
import { DeadHosts } from "../core/dead-hosts.js";
import type { Log } from "../core/log.js";
import { createNode, type Node } from "../core/node.js";
import { checkRange } from "../core/option-range.js";
import type { OutlierDetector } from "../core/outlier.js";
import type { Policy } from "../core/policies/policy.js";
import { ringHash } from "../core/policies/ring-hash.js";
import { RetryBudget } from "../core/retry.js";
import { ErrNoFallbackNodeFound, FnlbError } from "../errors.js";
import { runPingLoop } from "../health/ping-loop.js";
import { checkMsOf, runSilenceWatch } from "../health/silence-watch.js";
import { systemClock } from "../system/clock.js";
import { ask } from "./ask.js";
import { Attempt, type AttemptContext } from "./attempt.js";
import { Call, type CallHandler } from "./call.js";
import { checkTls, NodeClient, type NodeTlsOptions } from "./node-client.js";
import { keyPathOf, withoutOrigin } from "./request-target.js";

/** Times are in milliseconds; where nothing else is said, they mean what the program's options of that name mean. */
export interface FallbackRoundTripperOptions {
  /** The nodes as `--nodes` takes them: a comma-separated list, or its items. */
  readonly nodes: string | readonly string[];
  /**
   * For nodes with `https://`: options of `tls.connect`, such as `ca`, `cert` and `key`. Default: public authorities, and
   * the node's own host as the name that its certificate must be for.
   */
  readonly tls?: NodeTlsOptions;
  /** What chooses the node. Default: the path without its query. */
  readonly key?: (request: Dispatcher.DispatchOptions) => string;
  /** One of its own: it holds the state of these nodes. Default: `ringHash()`. */
  readonly policy?: Policy;
  /** Keeps out nodes that answer badly. One of its own. Default: none. */
  readonly outlier?: OutlierDetector;
  /** Opens for nodes that fail again and again. One of its own. Default: none. */
  readonly breaker?: CircuitBreaker;
  /** For each dial. Default 2,000. */
  readonly connectTimeoutMs?: number;
  /** What the dials of one search for a node share. Default 5,000. */
  readonly dialDeadlineMs?: number;
  /** From the request to the head of its response; then the request fails, and is not repeated. 0 = no limit. Default 60,000. */
  readonly responseTimeoutMs?: number;
  /** Between two parts of a body. 0 = no limit. Default 60,000. */
  readonly bodyIdleTimeoutMs?: number;
  /** A node that has kept requests waiting for so long, and sent nothing to anybody, is asked whether it answers. 0 = off. Default 1,000. */
  readonly silenceMs?: number;
  /** Default 1,000, give or take 20 %. */
  readonly pingIntervalMs?: number;
  /** Also for the question to a silent node. Default 1,000. */
  readonly pingTimeoutMs?: number;
  /** Nodes that one request may reach; failed dials do not count. Default 3. */
  readonly attemptsMax?: number;
  /**
   * What a request is repeated for, if it may be: its node `closed` before it answered, has fallen `silent`, or
   * answered with one of `statuses`. Default: the first two.
   */
  readonly retryOn?: Partial<RetryOn>;
  /** Repetitions of requests that have reached a node, for each request. Default 0.2. */
  readonly retryBudget?: number;
  /** Repetitions that can be saved up; a tenth of them is there from the start. Default 100. */
  readonly retryReserve?: number;
  /** Requests at one node at once. Default 1,024. */
  readonly nodeConnectionsMax?: number;
  /**
   * Hears of `node_dead`, `node_alive`, `node_suspect`, `node_trusted` and `no_fallback_node_found`, as they are in
   * `docs/operations.md`. Default: nobody.
   */
  readonly log?: Log;
  readonly clock?: Clock;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** How often ejected nodes are asked whether their time is over. */
const OUTLIER_LOOP_MS = 250;

/**
 * An undici `Dispatcher` that sends each URL to one node of a consistent-hash ring, whatever its origin says, and
 * falls back along the ring: `fetch(url, { dispatcher })` is then balanced, and so is everything after
 * `setGlobalDispatcher`. The host of the URL stays the request's Host; how a node is spoken to is the list's matter, not that of the URL.
 *
 * A request that did not reach a node goes to the next one, whatever its method, with its body untouched. One that
 * did is repeated only if its method may be asked twice (or undici's option `idempotent` says so), its body is no
 * stream, and nothing was answered. `fetch` makes a stream of every body.
 *
 * Fails with `ErrNoFallbackNodeFound` when every node is dead, with `ERR_AT_CAPACITY`, `ERR_NO_ACTIVE_NODE` or
 * `ERR_NO_HEALTHY_NODE` when none may be used, and otherwise with undici's errors and those of the system.
 * `dispatch` never asks to wait for `drain`: a request has a place at once, or none.
 *
 * After the first request timers look after the nodes, which do not keep the process alive, until `close` or
 * `destroy`. An upgraded socket is the caller's; neither waits for it nor ends it.
 *
 * @see iron-io/functions, `fnlb`: `FallbackRoundTripper`
 */
export class FallbackRoundTripper extends Dispatcher {
  readonly #options: Completed;
  readonly #nodes: readonly Node[];
  readonly #cluster: Cluster;
  readonly #outlier: OutlierDetector | undefined;
  readonly #clients: readonly NodeClient[];
  readonly #deadHosts: DeadHosts;
  readonly #budget: RetryBudget;
  readonly #context: AttemptContext;
  readonly #calls = new Set<Call>();
  readonly #pings = new Map<Node, AbortController>();
  readonly #loops = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();
  /** `#begin` for handlers of both of undici's interfaces. */
  readonly #dispatch: Dispatcher.Dispatch;
  #state: "open" | "closed" | "destroyed" = "open";
  #isWatching = false;
  #isOffline = false;
  #onIdle = () => {};
  #closing: Promise<void> | undefined;
  #destroying: Promise<void> | undefined;

  /** Throws `ERR_OPTION` for nodes that are none, numbers out of range and bad PEM texts. Opens nothing before the first request. */
  constructor(given: FallbackRoundTripperOptions) {
    super();
    const { nodes, outlier, breaker, retryOn, ...rest } = given;
    const list = typeof nodes === "string" ? nodes : nodes.join(",");
    const parsed = parseNodes(list);
    if ("reason" in parsed) throw badOption('option "nodes"', `a list of nodes, but it ${parsed.reason}`, list);
    const options = complete(rest);
    const { clock, random, policy, attemptsMax, retryReserve } = options;
    this.#options = options;
    this.#nodes = parsed.map(({ id, address, weight }, index) => createNode(id, index, address, weight));
    this.#outlier = outlier;
    this.#cluster = staticCluster(
      { policy, now: () => clock.now(), random, outlier, breaker },
      { nodeConnectionsMax: options.nodeConnectionsMax, slowStartMs: 0 },
      this.#nodes,
    );
    this.#clients = this.#nodes.map((node) => this.#open(node));
    this.#budget = new RetryBudget({
      tokensPerRequest: options.retryBudget,
      tokensInitial: Math.ceil(retryReserve / 10),
      tokensMax: retryReserve,
    });
    this.#deadHosts = new DeadHosts({
      onDead: (node, code) => this.#onDead(node, code),
      onAlive: (node) => this.#onAlive(node),
    });
    this.#context = {
      clock,
      cluster: this.#cluster,
      deadHosts: this.#deadHosts,
      budget: this.#budget,
      attemptsMax,
      retryOn: { closed: true, silent: true, statuses: [], ...retryOn },
      next: (call) => this.#pick(call),
      search: (call) => this.#search(call),
      moveTo: (call, node) => {
        this.#startClock(call);
        this.#dispatchTo(call, node);
      },
      onByte: (client) => this.#onByte(client),
      onSuspicion: (client, reason) => this.#onSuspicion(client, reason),
    };
    // An interceptor is given handlers of the present interface, whatever the caller's is.
    const { dispatch } = super.compose(() => (request, handler) => this.#begin(request, handler as CallHandler));
    this.#dispatch = dispatch;
    // What `compose` returns calls them on a proxy, which has no private fields.
    this.close = this.close.bind(this);
    this.destroy = this.destroy.bind(this);
  }

  /** The nodes as they are now, in the order of the list. */
  get nodes(): readonly Readonly<Node>[] {
    return this.#nodes;
  }

  /** Takes no new requests. */
  get closed(): boolean {
    return this.#state !== "open";
  }

  get destroyed(): boolean {
    return this.#state === "destroyed";
  }

  /** Throws undici's `InvalidArgumentError` for a handler that could not be told of an error. */
  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (typeof handler?.onResponseError !== "function" && typeof handler?.onError !== "function")
      throw new errors.InvalidArgumentError("handler must have a method onResponseError or onError");
    return this.#dispatch(options, handler);
  }

  #begin(options: Dispatcher.DispatchOptions, handler: CallHandler): boolean {
    this.#budget.earn();
    const call = new Call(options, handler, { onOver: () => this.#onOver(call) });
    this.#calls.add(call);
    try {
      if (this.#state === "destroyed") throw new errors.ClientDestroyedError();
      if (this.#state === "closed") throw new errors.ClientClosedError();
      call.begin(this.#options.key(options), withoutOrigin(options));
      this.#watchNodes();
      if (!call.isOver) this.#search(call);
    } catch (error) {
      // Not thrown on: interceptors dispatch from timers, where nobody would catch it.
      this.#refuse(call, error as Error);
    }
    return true;
  }

  #onOver(call: Call): void {
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#onIdle();
  }

  /** Never within the call to `dispatch`: whoever dispatched is not ready to hear of it yet. */
  #refuse(call: Call, error: Error): void {
    setImmediate(() => call.fail(error));
  }

  #search(call: Call): void {
    this.#startClock(call);
    this.#pick(call);
  }

  /** From now on dials share the deadline. */
  #startClock(call: Call): void {
    call.dialDeadlineMs = this.#options.clock.now() + this.#options.dialDeadlineMs;
  }

  #pick(call: Call): void {
    const isLate = this.#options.clock.now() >= call.dialDeadlineMs;
    const node = isLate ? undefined : (this.#cluster.acquire(call) ?? this.#acquireDead(call));
    if (node === undefined) this.#refuse(call, this.#errorOf(call));
    else this.#dispatchTo(call, node);
  }

  /** Nobody is alive: a fresh dial is a ping. Each node once per request. */
  #acquireDead(call: Call): Node | undefined {
    return call.refusal === "offline" ? this.#cluster.acquireDead(call) : undefined;
  }

  #dispatchTo(call: Call, node: Node): void {
    const client = this.#clients[node.index];
    client.dispatch(call.options, new Attempt(this.#context, call, client));
  }

  #errorOf(call: Call): Error {
    switch (call.refusal) {
      case "full":
        return new FnlbError("ERR_AT_CAPACITY", "every node is at its limit");
      case "empty":
        return new FnlbError("ERR_NO_NODE", "the cluster has no nodes");
      case "drained":
        return new FnlbError("ERR_NO_ACTIVE_NODE", "no node is active");
      case "unhealthy":
        return new FnlbError("ERR_NO_HEALTHY_NODE", "checks or breakers keep every node out");
      default:
        // Nobody is left to repeat it: what the node that it reached did is the news, not that the others are gone.
        return call.repeatedFor ?? this.#offline();
    }
  }

  #offline(): ErrNoFallbackNodeFound {
    const error = new ErrNoFallbackNodeFound();
    // A request that has tried every node says nothing about the cluster while one of them is alive.
    if (!this.#isOffline && this.#nodes.every(({ alive }) => !alive)) {
      this.#isOffline = true;
      this.#options.log.error({ event: "no_fallback_node_found", code: error.code }, error.message);
    }
    return error;
  }

  #open(node: Node): NodeClient {
    const client = new NodeClient(this.#options.clock, node, this.#options);
    client.pool.on("connect", (origin, targets) => this.emit("connect", origin, [this, ...targets]));
    client.pool.on("disconnect", (origin, targets, error) =>
      this.emit("disconnect", origin, [this, ...targets], error),
    );
    client.pool.on("connectionError", (origin, targets, error) =>
      this.emit("connectionError", origin, [this, ...targets], error),
    );
    return client;
  }

  #onDead(node: Node, code: string): void {
    this.#outlier?.noteHealth();
    this.#options.log.warn({ event: "node_dead", node: node.id, code });
    this.#keep(this.#ping(node));
  }

  #onAlive(node: Node): void {
    this.#isOffline = false;
    this.#outlier?.noteHealth();
    this.#options.log.info({ event: "node_alive", node: node.id });
    this.#pings.get(node)?.abort();
    this.#pings.delete(node);
    this.#cluster.noteReturn(node);
  }

  #onSuspicion(client: NodeClient, reason: string): void {
    const { node } = client;
    if (node.suspect || !node.alive) return;
    node.suspect = true;
    this.#outlier?.noteHealth();
    this.#options.log.warn({ event: "node_suspect", node: node.id, reason });
    client.releaseWaiting();
  }

  #onByte(client: NodeClient): void {
    const { node } = client;
    client.noteByte();
    if (!node.suspect) return;
    node.suspect = false;
    this.#outlier?.noteHealth();
    this.#options.log.info({ event: "node_trusted", node: node.id });
    this.#cluster.noteReturn(node);
  }

  /** From the first request on. */
  #watchNodes(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { clock, silenceMs, pingTimeoutMs, pingIntervalMs, tls } = this.#options;
    const clientOf = (node: Node) => this.#clients[node.index];
    this.#keep(
      runSilenceWatch(
        {
          clock,
          ask: ask(clock, pingTimeoutMs, tls),
          isSilent: (node) => silenceMs > 0 && clientOf(node).isSilent(silenceMs),
          onAnswer: (node) => this.#onByte(clientOf(node)),
          onSilence: (node) => this.#onSuspicion(clientOf(node), "silent"),
          onUnreachable: (node, code) => this.#deadHosts.mark(node, code),
        },
        {
          checkMs: checkMsOf(silenceMs),
          suspectIntervalMs: pingIntervalMs,
        },
        () => this.#nodes,
        this.#stopping.signal,
      ),
    );
    if (this.#outlier !== undefined) this.#keep(this.#runOutlier(this.#outlier));
  }

  async #runOutlier(outlier: OutlierDetector): Promise<void> {
    while (await sleep(this.#options.clock, OUTLIER_LOOP_MS, this.#stopping.signal)) outlier.advance();
  }

  async #ping(node: Node): Promise<void> {
    const stop = new AbortController();
    this.#pings.set(node, stop);
    const { clock, random, pingIntervalMs: intervalMs, pingTimeoutMs: timeoutMs } = this.#options;
    const outcome = await runPingLoop(
      { clock, random, ping: (dead, ...given) => this.#clients[dead.index].ping(...given), onPing: () => {} },
      { intervalMs, timeoutMs },
      node,
      AbortSignal.any([stop.signal, this.#stopping.signal]),
    );
    if (outcome === "alive") this.#deadHosts.revive(node);
  }

  /** Keeps a loop until it has ended, so that `close` can wait for it. */
  #keep(loop: Promise<unknown>): void {
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
  }

  /** Resolves when what runs has ended, over as many nodes as that takes; new requests fail. Twice is fine. */
  override close(): Promise<void>;
  override close(callback: () => void): void;
  override close(callback?: () => void): Promise<void> | undefined {
    if (this.#state === "open") this.#state = "closed";
    this.#closing ??= this.#closeNow();
    return settle(this.#closing, callback);
  }

  async #closeNow(): Promise<void> {
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#stopping.abort();
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#loops);
  }

  /** Ends everything now: what runs fails with `error`, by default undici's `ClientDestroyedError`. Twice is fine. */
  override destroy(error?: Error | null): Promise<void>;
  override destroy(callback: () => void): void;
  override destroy(error: Error | null, callback: () => void): void;
  override destroy(first?: Error | null | (() => void), second?: () => void): Promise<void> | undefined {
    const [error, callback] = typeof first === "function" ? [null, first] : [first, second];
    this.#state = "destroyed";
    this.#destroying ??= this.#destroyNow(error ?? new errors.ClientDestroyedError());
    this.#closing ??= this.#destroying;
    return settle(this.#destroying, callback);
  }

  async #destroyNow(error: Error): Promise<void> {
    this.#stopping.abort();
    // First of all: what is over does not go on to the next node.
    for (const call of [...this.#calls]) call.fail(error);
    await Promise.all(this.#clients.map((client) => client.destroy(error)));
    await Promise.all(this.#loops);
  }
}

type Completed = Required<Omit<FallbackRoundTripperOptions, "nodes" | "outlier" | "breaker" | "retryOn">>;

function complete({
  tls = {},
  key = keyPathOf,
  policy = ringHash(),
  connectTimeoutMs = 2000,
  dialDeadlineMs = 5000,
  responseTimeoutMs = 60_000,
  bodyIdleTimeoutMs = 60_000,
  silenceMs = 1000,
  pingIntervalMs = 1000,
  pingTimeoutMs = 1000,
  attemptsMax = 3,
  retryBudget = 0.2,
  retryReserve = 100,
  nodeConnectionsMax = 1024,
  log = silent,
  clock = systemClock,
  random = Math.random,
}: Omit<FallbackRoundTripperOptions, "nodes">): Completed {
  const times = { connectTimeoutMs, dialDeadlineMs, responseTimeoutMs, bodyIdleTimeoutMs, silenceMs, pingIntervalMs };
  const limits = { pingTimeoutMs, attemptsMax, retryBudget, retryReserve, nodeConnectionsMax };
  const options = { tls, key, policy, ...times, ...limits, log, clock, random };
  checkTls(tls);
  for (const [option, from] of LOWEST) checkRange(option, options[option], { from });
  return options;
}

/** What numbers begin with. */
const LOWEST = [
  ["connectTimeoutMs", 1],
  ["dialDeadlineMs", 1],
  ["responseTimeoutMs", 0],
  ["bodyIdleTimeoutMs", 0],
  ["silenceMs", 0],
  ["pingIntervalMs", 1],
  ["pingTimeoutMs", 1],
  ["attemptsMax", 1],
  ["retryBudget", 0],
  ["retryReserve", 0],
  ["nodeConnectionsMax", 1],
] as const satisfies readonly (readonly [keyof Completed, number])[];

function settle(done: Promise<void>, callback: (() => void) | undefined): Promise<void> | undefined {
  if (callback === undefined) return done;
  void done.then(callback);
  return undefined;
}
