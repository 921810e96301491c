import type { Socket } from "node:net";
import { buildConnector, type Dispatcher, Pool } from "undici";
import type { Clock } from "../core/clock.js";
import type { Node } from "../core/node.js";

export interface NodeClientOptions {
  /** Time to connect, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Time to the head of a response, in milliseconds; 0 = no limit. */
  readonly responseTimeoutMs: number;
  /** Time without a byte of a body, in milliseconds; 0 = no limit. */
  readonly bodyIdleTimeoutMs: number;
  /** Connections to the node at most. */
  readonly nodeConnectionsMax: number;
}

/** An attempt that has sent its request and has heard nothing yet. */
export interface WaitingAttempt {
  readonly sentMs: number;
  /** The node has become suspect: goes elsewhere, if it may. */
  leaveSuspect(): void;
}

/** Errors of dials: undici hands them on as they are, and they look like those of a connection that broke later. */
const dialErrors = new WeakSet<Error>();

/** Did this error end a dial? Then nothing of the request has been sent. */
export function isDialError(error: Error): boolean {
  return dialErrors.has(error);
}

/** One node as a dispatcher sees it: a pool of undici's whose dials end in time, and who waits for the node. */
export class NodeClient {
  readonly node: Node;
  /** Hands on what undici's pool says of its connections. */
  readonly pool: Pool;
  readonly #clock: Clock;
  readonly #dials = new Set<Socket>();
  /** The one that has waited longest first. */
  readonly #waiting = new Set<WaitingAttempt>();
  #lastByteMs = 0;
  #isConnecting = false;
  /** Fresh connections that ended before a byte came, in a row. */
  earlyCloses = 0;

  /** Opens nothing before the first request. */
  constructor(clock: Clock, node: Node, options: NodeClientOptions) {
    this.#clock = clock;
    this.node = node;
    const { address } = node;
    // undici's own timeout is a second coarse, and would never fire below it.
    const dial = buildConnector({ timeout: 0, ...(address.kind === "unix" ? { socketPath: address.path } : {}) });
    this.pool = new Pool(originOf(node), {
      connections: options.nodeConnectionsMax,
      pipelining: 1,
      headersTimeout: options.responseTimeoutMs,
      bodyTimeout: options.bodyIdleTimeoutMs,
      connect: (to, callback) => this.#dial(dial, to, callback, options.connectTimeoutMs),
    });
  }

  #dial(
    dial: buildConnector.connector,
    to: buildConnector.Options,
    callback: buildConnector.Callback,
    timeoutMs: number,
  ): void {
    // undici returns the socket that it dials with, which its types do not say.
    const socket = dial(to, (...outcome) => {
      cancel();
      this.#dials.delete(socket);
      const [error] = outcome;
      if (error !== null) dialErrors.add(error);
      this.#isConnecting = true;
      try {
        callback(...outcome);
      } finally {
        this.#isConnecting = false;
      }
    }) as unknown as Socket;
    this.#dials.add(socket);
    const cancel = this.#clock.after(timeoutMs, () =>
      socket.destroy(Object.assign(new Error("connect timed out"), { code: "ETIMEDOUT" })),
    );
  }

  /**
   * True within `onRequestStart` of a request that is the first on its connection: undici starts what waits for a
   * connection in the call that reports it.
   */
  get isConnecting(): boolean {
    return this.#isConnecting;
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.pool.dispatch(options, handler);
  }

  noteByte(): void {
    this.#lastByteMs = this.#clock.now();
    this.earlyCloses = 0;
  }

  addWaiting(attempt: WaitingAttempt): void {
    this.#waiting.add(attempt);
  }

  removeWaiting(attempt: WaitingAttempt): void {
    this.#waiting.delete(attempt);
  }

  /** Has an attempt waited for `silenceMs` in which no byte at all came from the node? */
  isSilent(silenceMs: number): boolean {
    for (const { sentMs } of this.#waiting) return this.#clock.now() - Math.max(sentMs, this.#lastByteMs) >= silenceMs;
    return false;
  }

  /** Did anybody hear of the node after that time? */
  wasHeardSince(sentMs: number): boolean {
    return this.#lastByteMs > sentMs;
  }

  /** Lets every attempt that waits go elsewhere if it may. */
  releaseWaiting(): void {
    for (const attempt of [...this.#waiting]) attempt.leaveSuspect();
  }

  /** Resolves when what runs has ended. */
  async close(): Promise<void> {
    if (!this.pool.destroyed) await this.pool.close();
  }

  /** Ends everything now, dials too. */
  async destroy(error: Error): Promise<void> {
    if (!this.pool.destroyed) await this.pool.destroy(error);
    await Promise.all(
      [...this.#dials].map((socket) => new Promise((resolve) => socket.once("close", resolve).destroy(error))),
    );
  }
}

/** Scheme, host and port of a node; a unix socket has none and gets a name that nobody looks up. */
export function originOf({ address }: Node): string {
  if (address.kind === "unix") return "http://localhost";
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `http://${host}:${address.port}`;
}
