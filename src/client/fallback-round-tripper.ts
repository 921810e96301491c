import { DecoratorHandler, Dispatcher, type Pool } from "undici";
import { parseNodes } from "../config/node-address.js";
import { badOption } from "../config/units.js";
import type { Clock } from "../core/clock.js";
import { type Cluster, staticCluster } from "../core/cluster.js";
import { DeadHosts, isDialFault } from "../core/dead-hosts.js";
import type { Exchange, Refusal } from "../core/exchange.js";
import { hashString } from "../core/hash.js";
import type { Log } from "../core/log.js";
import { createNode, type Node } from "../core/node.js";
import { NodeSet } from "../core/node-set.js";
import type { Policy } from "../core/policies/policy.js";
import { ringHash } from "../core/policies/ring-hash.js";
import { decideRepeat, isIdempotent, RetryBudget } from "../core/retry.js";
import { ErrNoFallbackNodeFound, FnlbError } from "../errors.js";
import { runPingLoop } from "../health/ping-loop.js";
import { systemClock } from "../system/clock.js";
import { nodeClient, originOf } from "./node-client.js";
import { ping } from "./ping.js";

export interface FallbackRoundTripperOptions {
  /** The nodes as `--nodes` takes them: a comma-separated list, or its items. */
  readonly nodes: string | readonly string[];
  /** What chooses the node. Default: the path without its query. */
  readonly key?: (request: Dispatcher.DispatchOptions) => string;
  /** Default: `ringHash()`. */
  readonly policy?: Policy;
  /** Default 2,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Default 1,000 ms, give or take 20 %. */
  readonly pingIntervalMs?: number;
  /** Default 1,000 ms. */
  readonly pingTimeoutMs?: number;
  /** Nodes that one request may reach; failed dials do not count. Default 3. */
  readonly attemptsMax?: number;
  /** Requests at one node at once. Default 1,024. */
  readonly nodeConnectionsMax?: number;
  /** Hears of nodes that die and come back. Default: nobody. */
  readonly log?: Log;
  readonly clock?: Clock;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * An undici `Dispatcher` that sends each URL to one node of a consistent-hash ring, whatever its origin says, and
 * falls back along the ring: `fetch(url, { dispatcher })` is then balanced, and so is everything after
 * `setGlobalDispatcher`. The host of the URL stays the request's Host.
 *
 * A request that did not reach a node goes to the next one, whatever its method, with its body untouched. One that
 * did is repeated only if its method may be asked twice, its body is no stream, and nothing was answered. Fails with
 * `ErrNoFallbackNodeFound` when every node is dead; other errors are undici's.
 */
export class FallbackRoundTripper extends Dispatcher {
  readonly #options: Required<Omit<FallbackRoundTripperOptions, "nodes">>;
  readonly #nodes: readonly Node[];
  readonly #cluster: Cluster;
  readonly #pools: readonly Pool[];
  readonly #deadHosts: DeadHosts;
  readonly #budget = new RetryBudget();
  readonly #pings = new Map<Node, AbortController>();
  readonly #stopping = new AbortController();

  /** Throws `ERR_OPTION` for nodes that are none. Opens nothing before the first request. */
  constructor(options: FallbackRoundTripperOptions) {
    super();
    const {
      nodes,
      key = pathOf,
      policy = ringHash(),
      connectTimeoutMs = 2000,
      pingIntervalMs = 1000,
      pingTimeoutMs = 1000,
      attemptsMax = 3,
      nodeConnectionsMax = 1024,
      log = silent,
      clock = systemClock,
      random = Math.random,
    } = options;
    const list = typeof nodes === "string" ? nodes : nodes.join(",");
    const parsed = parseNodes(list);
    if ("reason" in parsed) throw badOption('option "nodes"', `a list of nodes, but it ${parsed.reason}`, list);
    this.#options = {
      key,
      policy,
      connectTimeoutMs,
      pingIntervalMs,
      pingTimeoutMs,
      attemptsMax,
      nodeConnectionsMax,
      log,
      clock,
      random,
    };
    this.#nodes = parsed.map(({ id, address, weight }, index) => createNode(id, index, address, weight));
    const dependencies = { policy, now: () => clock.now(), random };
    this.#cluster = staticCluster(dependencies, { nodeConnectionsMax, slowStartMs: 0 }, this.#nodes);
    this.#pools = this.#nodes.map((node) =>
      nodeClient(clock, node, { connectTimeoutMs, connectionsMax: nodeConnectionsMax }),
    );
    this.#deadHosts = new DeadHosts({
      onDead: (node, code) => {
        log.warn({ event: "node_dead", node: node.id, code });
        void this.#watch(node);
      },
      onAlive: (node) => {
        log.info({ event: "node_alive", node: node.id });
        this.#pings.get(node)?.abort();
        this.#pings.delete(node);
      },
    });
  }

  /** The nodes as they are now, in the order of the list. */
  get nodes(): readonly Readonly<Node>[] {
    return this.#nodes;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#budget.earn();
    const key = this.#options.key(options);
    const call: Call = {
      keyHash: hashString(key),
      key: () => key,
      tried: new NodeSet(),
      refusal: "none",
      stamp: 0,
      options,
      // Speaks to handlers of every version of undici's interface.
      handler: new DecoratorHandler(handler) as unknown as Handler,
      isRepeatable:
        options.body === undefined ||
        options.body === null ||
        typeof options.body === "string" ||
        Buffer.isBuffer(options.body),
      attempts: 0,
      lastError: undefined,
    };
    return this.#attempt(call);
  }

  #attempt(call: Call): boolean {
    const node = this.#cluster.acquire(call) ?? this.#acquireDead(call);
    if (node === undefined) {
      const error = call.lastError ?? errorOf(call.refusal);
      // Never within the call: whoever dispatched is not ready to hear of it yet.
      setImmediate(() => call.handler.onResponseError(ENDED, error));
      return true;
    }
    const { options } = call;
    const toNode = {
      ...options,
      origin: originOf(node),
      path: `${node.address.basePath}${options.path}`,
      headers: withHost(options),
    };
    return this.#pools[node.index].dispatch(toNode, this.#follow(call, node));
  }

  /** Nobody is alive: a fresh dial is a ping. Each node once per request. */
  #acquireDead(call: Call): Node | undefined {
    const node = call.refusal === "offline" ? this.#cluster.nextDead(call) : undefined;
    if (node !== undefined) node.inFlight++;
    return node;
  }

  /** Follows one attempt, and decides what comes after it when it fails. */
  #follow(call: Call, node: Node): Dispatcher.DispatchHandler {
    const { handler } = call;
    let isReached = false;
    let isAnswered = false;
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      this.#cluster.release(node, 0);
    };
    return {
      onRequestStart: (controller, context) => {
        isReached = true;
        call.attempts++;
        this.#deadHosts.revive(node);
        handler.onRequestStart(controller, context);
      },
      onRequestUpgrade: (controller, status, headers, socket) => {
        isAnswered = true;
        // The tunnel is the node's work until its socket closes.
        socket.once("close", end);
        handler.onRequestUpgrade(controller, status, headers, socket);
      },
      onResponseStart: (controller, status, headers, message) => {
        // Interim responses do not count: the request may still be repeated behind them.
        if (status >= 200) isAnswered = true;
        handler.onResponseStart(controller, status, headers, message ?? "");
      },
      onResponseData: (controller, chunk) => handler.onResponseData(controller, chunk),
      onResponseEnd: (controller, trailers) => {
        end();
        handler.onResponseEnd(controller, trailers);
      },
      onResponseError: (controller, error) => {
        end();
        // A caller that gives up says nothing about the node.
        if (controller?.aborted === true || isAnswered || !this.#goesOn(call, node, isReached, error))
          handler.onResponseError(controller, error);
      },
    };
  }

  /** True when another attempt was begun. */
  #goesOn(call: Call, node: Node, isReached: boolean, error: Error): boolean {
    const code = codeOf(error);
    if (!isReached) {
      // Refused by undici itself, before any dial: a header it does not send, or a pool that is closed.
      if (code.startsWith("UND_ERR") && code !== "UND_ERR_CONNECT_TIMEOUT" && code !== "UND_ERR_SOCKET") return false;
      if (!isDialFault(code)) return false;
      this.#deadHosts.mark(node, code);
    }
    const decision = decideRepeat(
      {
        reached: isReached,
        responseBytesSeen: 0,
        idempotent: isIdempotent(call.options.method),
        bodyHeld: !isReached || call.isRepeatable,
        attempts: call.attempts,
      },
      this.#options.attemptsMax,
      this.#budget,
    );
    if (decision.kind === "fail") return false;
    call.tried.add(node.index);
    if (decision.kind === "repeat") {
      call.lastError = error;
      this.#budget.spend();
    }
    this.#attempt(call);
    return true;
  }

  async #watch(node: Node): Promise<void> {
    const stop = new AbortController();
    this.#pings.set(node, stop);
    const { clock, random, pingIntervalMs: intervalMs, pingTimeoutMs: timeoutMs } = this.#options;
    const signal = AbortSignal.any([stop.signal, this.#stopping.signal]);
    const outcome = await runPingLoop(
      { clock, random, ping: ping(clock), onPing: () => {} },
      { intervalMs, timeoutMs },
      node,
      signal,
    );
    if (outcome === "alive") this.#deadHosts.revive(node);
  }

  /** Resolves when what runs has ended; takes no new requests meanwhile. */
  override async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#pools.map((pool) => pool.close()));
  }

  /** Ends everything now. */
  override async destroy(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#pools.map((pool) => pool.destroy()));
  }
}

/** What a `DecoratorHandler` has, whatever its types say. */
type Handler = Required<
  Pick<
    Dispatcher.DispatchHandler,
    "onRequestStart" | "onRequestUpgrade" | "onResponseStart" | "onResponseData" | "onResponseEnd" | "onResponseError"
  >
>;

/** One request over its attempts. */
interface Call extends Exchange {
  refusal: Refusal;
  readonly options: Dispatcher.DispatchOptions;
  readonly handler: Handler;
  /** The body, if any, can be sent a second time. */
  readonly isRepeatable: boolean;
  attempts: number;
  /** Why the node that was reached failed, when a repetition finds no other. */
  lastError: Error | undefined;
}

/** A controller for a request that never began. */
const ENDED: Dispatcher.DispatchController = {
  aborted: false,
  paused: false,
  reason: null,
  abort() {},
  pause() {},
  resume() {},
};

function errorOf(refusal: Refusal): FnlbError {
  switch (refusal) {
    case "full":
      return new FnlbError("ERR_AT_CAPACITY", "every node is at its limit");
    case "drained":
      return new FnlbError("ERR_NO_ACTIVE_NODE", "no node is active");
    default:
      return new ErrNoFallbackNodeFound();
  }
}

/** The path without its query, as it stands in the request. */
function pathOf({ path }: Dispatcher.DispatchOptions): string {
  const query = path.indexOf("?");
  return query < 0 ? path : path.slice(0, query);
}

/** The host that was asked for stays, unless the caller has set another. */
function withHost({ headers, origin }: Dispatcher.DispatchOptions): string[] {
  const list = toList(headers);
  for (let index = 0; index < list.length; index += 2) if (list[index].toLowerCase() === "host") return list;
  return origin === undefined ? list : ["host", new URL(origin).host, ...list];
}

function toList(headers: Dispatcher.DispatchOptions["headers"]): string[] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) return headers;
  const entries = Symbol.iterator in headers ? headers : Object.entries(headers);
  const list: string[] = [];
  for (const [name, value] of entries as Iterable<[string, string | string[] | undefined]>) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) list.push(name, one);
  }
  return list;
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "EIO";
}
