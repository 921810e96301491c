import { isDialFault } from "../core/dead-hosts.js";
import type { Exchange } from "../core/exchange.js";
import type { Node } from "../core/node.js";
import { ErrNoFallbackNodeFound, FnlbError } from "../errors.js";
import type { ClusterContext } from "./context.js";
import type { NodeConnection } from "./node-connection.js";
import type { DialWaiter, NodePool } from "./node-pool.js";
import { WaitQueue } from "./wait-queue.js";

/** An exchange in search of a node. */
export interface Caller extends Exchange {
  /** Coarse time at which the search for a node must end. */
  dialDeadlineMs: number;
  /** Take no idle connection: the last one was stale. */
  readonly needsFreshConnection: boolean;
  /** Gives up what is under way for this caller: a dial, or the wait for one. */
  cancelSearch: (() => void) | undefined;
  /** A node was acquired for the next attempt. */
  onPicked(node: Node): void;
  /** A connection to an acquired node; the caller releases the node. May come within the call to `connect`. */
  onConnection(connection: NodeConnection): void;
  /** No node; the error says why. */
  onUnreachable(error: FnlbError): void;
}

/** How many dead nodes are dialled at once for a request when no other is left. */
const LAST_RESORT_DIALS = 3;

/**
 * Brings an exchange to a node that can be reached: its own by the ring, else the next one, and so on until one
 * accepts. A failed dial puts the node into the dead-host set for everybody; when all are in it, dials are tried
 * in ring order before giving up, because a node that has just come back should serve at once.
 */
export class FallbackRoundTripper {
  readonly #context: ClusterContext;
  readonly #pools: readonly NodePool[];
  readonly #lastResorts = new Map<Node, LastResort>();
  readonly #queue: WaitQueue<Caller>;
  #isServing = false;
  #isOffline = false;

  constructor(context: ClusterContext, pools: readonly NodePool[]) {
    this.#context = context;
    this.#pools = pools;
    this.#queue = new WaitQueue(context.wheel, context.config, {
      onTimeout(caller) {
        context.counters.queueTimeouts++;
        caller.cancelSearch = undefined;
        caller.onUnreachable(new FnlbError("ERR_QUEUE_TIMEOUT", "no node had a place in time"));
      },
      onLook: () => this.#serveQueue(),
    });
  }

  /** Starts the search for a newcomer, which overtakes nobody who waits. */
  begin(caller: Caller): void {
    this.#resetDeadline(caller);
    if (this.#queue.size === 0) {
      this.#connect(caller);
      return;
    }
    this.#enqueue(caller);
    // Those at the head may wait for a node of their own, while others have room.
    if (this.#queue.hasReturned) this.onRoom();
  }

  /** Starts another search, for a caller whose node has failed it. Whoever waits has come later. */
  beginAgain(caller: Caller): void {
    this.#resetDeadline(caller);
    this.#connect(caller);
  }

  /** The dials of one search share it; what is spent in the queue is not theirs. */
  #resetDeadline(caller: Caller): void {
    caller.dialDeadlineMs = this.#context.wheel.nowMs + this.#context.config.dialDeadlineMs;
  }

  #connect(caller: Caller): void {
    const node = this.#context.cluster.acquire(caller);
    if (node === undefined) this.#whenNobody(caller);
    else this.connectTo(caller, node);
  }

  #enqueue(caller: Caller): void {
    const { counters, config, cluster } = this.#context;
    if (config.queueMax === 0) {
      if (cluster.isFull) counters.requestsRefusedAtClusterLimit++;
      else counters.requestsRefusedAtNodeLimit++;
      caller.onUnreachable(new FnlbError("ERR_AT_CAPACITY", "every node, or the cluster, is at its limit"));
      return;
    }
    const hasHadTurn = caller.needsFreshConnection || !caller.tried.isEmpty;
    if (hasHadTurn) this.#queue.rejoin(caller);
    else if (!this.#queue.join(caller)) {
      counters.requestsRefusedAtQueueLimit++;
      caller.onUnreachable(new FnlbError("ERR_AT_CAPACITY", "the queue is full"));
      return;
    }
    counters.requestsQueued++;
    caller.cancelSearch = () => this.#queue.leave(caller);
  }

  /** Room has come: whoever waits gets it in turn, behind what runs now. */
  readonly onRoom = (): void => {
    if (this.#queue.size === 0 || this.#isServing) return;
    this.#isServing = true;
    queueMicrotask(() => {
      this.#isServing = false;
      this.#serveQueue();
    });
  };

  #serveQueue(): void {
    const { cluster } = this.#context;
    for (const caller of this.#queue.waiters()) {
      const node = cluster.acquire(caller);
      if (node === undefined && caller.refusal === "full") {
        // One that has tried nodes may be waiting for others than those behind it.
        if (caller.tried.isEmpty) return;
        continue;
      }
      this.#queue.leave(caller);
      caller.cancelSearch = undefined;
      this.#resetDeadline(caller);
      if (node === undefined) this.#whenNobody(caller);
      else this.connectTo(caller, node);
    }
  }

  /** Requests that wait for a place. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Uses a node that has been acquired already. */
  connectTo(caller: Caller, node: Node): void {
    const pool = this.#pools[node.index];
    caller.onPicked(node);
    if (!caller.needsFreshConnection) {
      const idle = pool.takeIdle();
      if (idle !== undefined) {
        caller.onConnection(idle);
        return;
      }
    }
    caller.cancelSearch = this.#dial(caller, pool);
  }

  #dial(caller: Caller, pool: NodePool): () => void {
    // Kept here: the caller may acquire another node before this one is released.
    const { stamp } = caller;
    const giveUp = pool.dial(
      {
        onDialed: (connection) => {
          caller.cancelSearch = undefined;
          caller.onConnection(connection);
        },
        onDialFailed: (node, code) => {
          caller.cancelSearch = undefined;
          this.#onDialFailed(caller, node, stamp, code);
        },
      },
      this.#dialTimeoutMs(caller),
    );
    return () => {
      giveUp();
      this.#context.cluster.release(pool.node, stamp);
    };
  }

  #dialTimeoutMs(caller: Caller): number {
    const { connectTimeoutMs } = this.#context.config;
    return Math.max(1, Math.min(connectTimeoutMs, caller.dialDeadlineMs - this.#context.wheel.nowMs));
  }

  #onDialFailed(caller: Caller, node: Node, stamp: number, code: string): void {
    if (!isDialFault(code)) {
      this.#context.cluster.release(node, stamp);
      this.#context.counters.dialsFailedByOwnFault++;
      this.#context.log.warn({ event: "dial_own_fault", cluster: this.#context.name, node: node.id, code });
      caller.onUnreachable(new FnlbError("ERR_RESOURCES", `cannot dial: ${code}`));
      return;
    }
    // Added before the mark: marking fails the other dials to this node, which pick their next one at once.
    caller.tried.add(node.index);
    // Nothing for the policy: the dead-host set says it, and says when it is over.
    this.#context.cluster.releaseUndialled(node, stamp);
    this.#context.deadHosts.mark(node, code);
    this.#context.counters.fallbacks++;
    if (this.#context.wheel.nowMs >= caller.dialDeadlineMs) this.#giveUp(caller);
    else this.#connect(caller);
  }

  #whenNobody(caller: Caller): void {
    switch (caller.refusal) {
      case "full":
        this.#enqueue(caller);
        return;
      case "unhealthy":
        this.#context.counters.requestsWithoutHealthyNode++;
        caller.onUnreachable(new FnlbError("ERR_NO_HEALTHY_NODE", "checks or breakers keep every node out"));
        return;
      case "empty":
        caller.onUnreachable(new FnlbError("ERR_NO_NODE", "the cluster has no nodes"));
        return;
      case "drained":
        caller.onUnreachable(new FnlbError("ERR_NO_ACTIVE_NODE", "no node is active"));
        return;
      default:
        this.#dialDead(caller);
    }
  }

  /** The last resort: dead nodes that this request has not dialled itself. */
  #dialDead(caller: Caller): void {
    const nodes: Node[] = [];
    while (nodes.length < LAST_RESORT_DIALS) {
      const node = this.#context.cluster.nextDead(caller);
      if (node === undefined) break;
      caller.tried.add(node.index);
      nodes.push(node);
    }
    if (nodes.length === 0) {
      this.#giveUp(caller);
      return;
    }
    const wait: LastResortWait = { remaining: nodes.length, onAlive: () => {}, onFailed: () => {} };
    const leave = () => {
      for (const node of nodes) this.#lastResorts.get(node)?.leave(wait);
      caller.cancelSearch = undefined;
    };
    wait.onAlive = () => {
      leave();
      // None of them was tried on its own account: a caller that finds no place now waits like a newcomer.
      for (const { index } of nodes) caller.tried.delete(index);
      this.#connect(caller);
    };
    wait.onFailed = () => {
      if (--wait.remaining > 0) return;
      leave();
      this.#giveUp(caller);
    };
    caller.cancelSearch = leave;
    for (const node of nodes) this.#joinLastResort(node, wait, this.#dialTimeoutMs(caller));
  }

  /** One dial a node, however many requests wait for it. */
  #joinLastResort(node: Node, wait: LastResortWait, timeoutMs: number): void {
    const running = this.#lastResorts.get(node);
    if (running !== undefined) {
      running.join(wait);
      return;
    }
    const pool = this.#pools[node.index];
    const started = new LastResort(() => this.#lastResorts.delete(node));
    this.#lastResorts.set(node, started);
    started.join(wait);
    pool.dial(started, timeoutMs);
  }

  #giveUp(caller: Caller): void {
    const error = new ErrNoFallbackNodeFound();
    // A request that has tried every node says nothing about the cluster while one of them is alive.
    const { name, cluster, log } = this.#context;
    if (!this.#isOffline && cluster.nodes.every((node) => !node.alive || node.mode !== "active")) {
      this.#isOffline = true;
      log.error({ event: "no_fallback_node_found", cluster: name, code: error.code }, error.message);
    }
    caller.onUnreachable(error);
  }

  /** A node came back: the next time nobody is found is a new transition. */
  onNodeAlive(): void {
    this.#isOffline = false;
  }
}

interface LastResortWait {
  remaining: number;
  onAlive: () => void;
  onFailed: () => void;
}

/** A dial to a dead node that every request without a node waits for together. */
class LastResort implements DialWaiter {
  readonly #onOver: () => void;
  readonly #waits = new Set<LastResortWait>();

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  join(wait: LastResortWait): void {
    this.#waits.add(wait);
  }

  leave(wait: LastResortWait): void {
    this.#waits.delete(wait);
  }

  onDialed(connection: NodeConnection): void {
    this.#onOver();
    // To the pool first: the first of those who wait takes it from there.
    connection.pool.giveBack(connection, -1);
    connection.isFresh = true;
    for (const wait of [...this.#waits]) if (this.#waits.has(wait)) wait.onAlive();
  }

  onDialFailed(): void {
    this.#onOver();
    for (const wait of [...this.#waits]) if (this.#waits.has(wait)) wait.onFailed();
  }
}
