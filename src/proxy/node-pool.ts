// Hot path: `takeIdle` and `giveBack` run once a request.
import type { Node } from "../core/node.js";
import type { ByteStream, DialHandler, DialTarget } from "../core/stream.js";
import { TimerEntry, type TimerOwner } from "../core/timer-wheel.js";
import type { ClusterContext } from "./context.js";
import { type ConnectionPool, NodeConnection } from "./node-connection.js";
import { type WaitingLink, WaitingList } from "./waiting-list.js";

/** Who waits for a connection to be dialled. */
export interface DialWaiter {
  onDialed(connection: NodeConnection): void;
  onDialFailed(node: Node, code: string): void;
}

/** Closes or resets before a byte on fresh connections, in a row, that make a node suspect. */
const EARLY_CLOSES_MAX = 3;
const SWEEP_MS = 1000;

export interface NodePoolEvents {
  onSuspect(node: Node, reason: string): void;
  onTrusted(node: Node): void;
}

/** The connections to one node: idle ones for reuse, newest first, and those being dialled. */
export class NodePool implements ConnectionPool, TimerOwner {
  readonly node: Node;
  readonly #context: ClusterContext;
  readonly #events: NodePoolEvents;
  readonly #idle: NodeConnection[] = [];
  readonly #all = new Set<NodeConnection>();
  readonly #dials = new Set<PendingDial>();
  readonly #sweep = new TimerEntry(this);
  #preferredTarget = 0;
  #earlyCloses = 0;
  readonly #waiting = new WaitingList();
  #onEmpty: (() => void)[] = [];
  #isRetired = false;
  /** Coarse time of the last byte from this node, whatever exchange it belonged to. */
  lastByteMs = 0;

  constructor(node: Node, context: ClusterContext, events: NodePoolEvents) {
    this.node = node;
    this.#context = context;
    this.#events = events;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** Neither a connection nor a dial is left. */
  get isEmpty(): boolean {
    return this.#all.size === 0 && this.#dials.size === 0;
  }

  get connectionCount(): number {
    return this.#all.size;
  }

  /** The most recently used idle connection that the node has not given up by its own timeout. */
  takeIdle(): NodeConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return undefined;
      if (connection.stream.isOpen && connection.idleUntilMs > this.#context.wheel.nowMs) return connection;
      connection.stream.destroy();
    }
  }

  /** Takes a connection back whose exchange has ended cleanly. `keepAliveMs` is the node's own limit, or -1. */
  giveBack(connection: NodeConnection, keepAliveMs: number): void {
    connection.user = undefined;
    connection.isFresh = false;
    const { nodeIdleConnectionsMax, nodeKeepAliveTimeoutMs } = this.#context.config;
    // A second less than the node says, so that it does not close just as the next request is under way.
    const limitMs = keepAliveMs >= 0 ? Math.min(nodeKeepAliveTimeoutMs, keepAliveMs - 1000) : nodeKeepAliveTimeoutMs;
    if (!connection.stream.isOpen || this.#isRetired || this.#idle.length >= nodeIdleConnectionsMax || limitMs <= 0) {
      connection.stream.destroy();
      return;
    }
    connection.idleUntilMs = this.#context.wheel.nowMs + limitMs;
    connection.stream.resume();
    this.#idle.push(connection);
    if (!this.#sweep.isScheduled) this.#context.wheel.schedule(this.#sweep, SWEEP_MS);
  }

  /** Closes an idle connection that the node ended or spoke on. */
  discard(connection: NodeConnection): void {
    this.#removeIdle(connection);
    connection.stream.destroy();
  }

  /** A connection has closed. */
  forget(connection: NodeConnection): void {
    this.#all.delete(connection);
    this.noteIfEmpty();
    if (connection.user === undefined) this.#removeIdle(connection);
  }

  #removeIdle(connection: NodeConnection): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** Closes what has been idle for too long, oldest first. */
  onTimer(): void {
    const now = this.#context.wheel.nowMs;
    let kept = 0;
    for (const connection of this.#idle) {
      if (connection.stream.isOpen && connection.idleUntilMs > now) this.#idle[kept++] = connection;
      else connection.stream.destroy();
    }
    this.#idle.length = kept;
    if (kept > 0) this.#context.wheel.schedule(this.#sweep, SWEEP_MS);
  }

  /** Dials a fresh connection within `timeoutMs`. The returned function gives up; the waiter then hears nothing. */
  dial(waiter: DialWaiter, timeoutMs: number): () => void {
    const targets = this.#context.targetsOf(this.node);
    const dial = new PendingDial(this, this.#context, waiter, targets, this.#preferredTarget);
    this.#dials.add(dial);
    dial.start(timeoutMs);
    return () => dial.abandon();
  }

  /** The node is known to be dead: whoever still waits for it should go elsewhere now. */
  failDials(code: string): void {
    for (const dial of [...this.#dials]) dial.fail(code);
  }

  onDialOver(dial: PendingDial): void {
    this.#dials.delete(dial);
  }

  adopt(stream: ByteStream, targetIndex: number): NodeConnection {
    this.#preferredTarget = targetIndex;
    const connection = new NodeConnection(stream, this);
    this.#all.add(connection);
    return connection;
  }

  /** A byte came from the node. */
  noteByte(): void {
    this.lastByteMs = this.#context.wheel.nowMs;
    this.#earlyCloses = 0;
    if (this.node.suspect) this.#events.onTrusted(this.node);
  }

  /** A fresh connection ended before a byte came. */
  noteEarlyClose(): void {
    if (++this.#earlyCloses >= EARLY_CLOSES_MAX && !this.node.suspect)
      this.#events.onSuspect(this.node, "closes before answering");
  }

  /** An exchange waited in vain. If nobody else heard of the node in that time, it is not merely slow. */
  noteTimeout(link: WaitingLink): void {
    if (this.lastByteMs <= link.waitingSinceMs && !this.node.suspect)
      this.#events.onSuspect(this.node, "response timeout");
  }

  addWaiting(link: WaitingLink): void {
    link.waitingSinceMs = this.#context.wheel.nowMs;
    this.#waiting.add(link);
  }

  removeWaiting(link: WaitingLink): void {
    this.#waiting.remove(link);
  }

  /** Has an exchange waited for `silenceMs` in which no byte at all came from the node? */
  isSilent(silenceMs: number): boolean {
    const { oldest } = this.#waiting;
    if (oldest === undefined) return false;
    return this.#context.wheel.nowMs - Math.max(oldest.waitingSinceMs, this.lastByteMs) >= silenceMs;
  }

  /** Lets every exchange that waits go elsewhere if it may. */
  releaseWaiting(): void {
    for (const link of this.#waiting.all()) link.leaveSuspect();
  }

  /** Closes the idle connections. */
  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.stream.destroy();
  }

  /** The node has left its cluster: what runs may finish, nothing is kept. Resolves when the last connection has closed. */
  retire(): Promise<void> {
    this.#isRetired = true;
    this.closeIdle();
    this.#context.wheel.cancel(this.#sweep);
    return this.#whenEmpty();
  }

  /** Ends every connection and every dial now; resolves when the last connection has closed. */
  destroy(): Promise<void> {
    this.#context.wheel.cancel(this.#sweep);
    for (const dial of [...this.#dials]) dial.abandon();
    for (const connection of [...this.#all]) connection.stream.destroy();
    this.#idle.length = 0;
    return this.#whenEmpty();
  }

  async #whenEmpty(): Promise<void> {
    while (!this.isEmpty) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  /** A connection or a dial has ended. */
  noteIfEmpty(): void {
    if (this.isEmpty) for (const tell of this.#onEmpty.splice(0)) tell();
  }
}

/** One dial, over the addresses of the node's name in turn, within one time limit. */
class PendingDial implements DialHandler, TimerOwner {
  readonly #pool: NodePool;
  readonly #context: ClusterContext;
  readonly #waiter: DialWaiter;
  readonly #targets: readonly DialTarget[];
  readonly #timer = new TimerEntry(this);
  readonly #first: number;
  #tried = 0;
  #isOver = false;
  #cancel = () => {};

  constructor(
    pool: NodePool,
    context: ClusterContext,
    waiter: DialWaiter,
    targets: readonly DialTarget[],
    preferred: number,
  ) {
    this.#pool = pool;
    this.#context = context;
    this.#waiter = waiter;
    this.#targets = targets;
    this.#first = preferred < targets.length ? preferred : 0;
  }

  start(timeoutMs: number): void {
    this.#context.counters.dials++;
    if (timeoutMs > 0) this.#context.wheel.schedule(this.#timer, timeoutMs);
    if (this.#targets.length === 0) {
      // Never within the call: whoever dials is not ready to hear of it yet.
      setImmediate(() => this.fail("ENOTFOUND"));
      return;
    }
    this.#cancel = this.#context.dial(this.#target(), this);
  }

  #target(): DialTarget {
    return this.#targets[(this.#first + this.#tried) % this.#targets.length];
  }

  onDialed(stream: ByteStream): void {
    if (!this.#end()) return;
    const index = (this.#first + this.#tried) % this.#targets.length;
    const connection = this.#pool.adopt(stream, index);
    this.#context.deadHosts.revive(this.#pool.node);
    this.#waiter.onDialed(connection);
  }

  onDialFailed(code: string): void {
    if (this.#isOver) return;
    this.#tried++;
    if (this.#tried < this.#targets.length) this.#cancel = this.#context.dial(this.#target(), this);
    else this.fail(code);
  }

  onTimer(): void {
    this.#cancel();
    this.fail("ETIMEDOUT");
  }

  fail(code: string): void {
    if (!this.#end()) return;
    this.#cancel();
    this.#context.counters.dialsFailed++;
    this.#pool.node.stats.dialsFailed++;
    this.#context.onNameDoubted(this.#pool.node);
    this.#waiter.onDialFailed(this.#pool.node, code);
    this.#pool.noteIfEmpty();
  }

  abandon(): void {
    if (!this.#end()) return;
    this.#cancel();
    this.#pool.noteIfEmpty();
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#context.wheel.cancel(this.#timer);
    this.#pool.onDialOver(this);
    return true;
  }
}
