import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, createSecureContext } from "node:tls";
import { buildConnector, type Dispatcher, Pool } from "undici";
import type { Clock } from "../core/clock.js";
import type { Node } from "../core/node.js";
import { FnlbError } from "../errors.js";
import { toNode } from "./request-target.js";

/** Options of `tls.connect` that a node may need. */
export type NodeTlsOptions = Pick<
  ConnectionOptions,
  "ca" | "cert" | "key" | "passphrase" | "rejectUnauthorized" | "servername" | "minVersion"
>;

export interface NodeClientOptions {
  /** Time to connect, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Time to the head of a response, in milliseconds; 0 = no limit. */
  readonly responseTimeoutMs: number;
  /** Time without a byte of a body, in milliseconds; 0 = no limit. */
  readonly bodyIdleTimeoutMs: number;
  /** Connections to the node at most. */
  readonly nodeConnectionsMax: number;
  /** For nodes with TLS. */
  readonly tls: NodeTlsOptions;
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
  readonly #origin: URL;
  readonly #serverName: string;
  readonly #connector: buildConnector.connector;
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
    this.#origin = new URL(originOf(node));
    this.#serverName = serverNameOf(node, options.tls);
    // undici's own timeout is a second coarse, and would never fire below it.
    const where = address.kind === "unix" ? { socketPath: address.path } : {};
    this.#connector = buildConnector({ ...options.tls, ...where, timeout: 0 });
    this.pool = new Pool(this.#origin, {
      connections: options.nodeConnectionsMax,
      pipelining: 1,
      headersTimeout: options.responseTimeoutMs,
      bodyTimeout: options.bodyIdleTimeoutMs,
      connect: (_, callback) => {
        this.#dial(options.connectTimeoutMs, (...outcome) => {
          const [error] = outcome;
          if (error !== null) dialErrors.add(error);
          this.#isConnecting = true;
          try {
            callback(...outcome);
          } finally {
            this.#isConnecting = false;
          }
        });
      },
    });
  }

  /** The handshake of TLS is part of it. Returns what gives it up with an error. */
  #dial(timeoutMs: number, callback: buildConnector.Callback): (error: Error) => void {
    const { hostname, host, protocol, port } = this.#origin;
    const to = {
      hostname: hostname.replace(/^\[|\]$/g, ""),
      host,
      protocol,
      port,
      // An address is no name to ask for (RFC 6066 §3); the certificate is held against it all the same.
      ...(isIP(this.#serverName) === 0 ? { servername: this.#serverName } : {}),
    };
    // undici returns the socket that it dials with, which its types do not say.
    const socket = this.#connector(to, (...outcome) => {
      cancel();
      this.#dials.delete(socket);
      callback(...outcome);
    }) as unknown as Socket;
    this.#dials.add(socket);
    const giveUp = (error: Error) => void socket.destroy(error);
    const cancel = this.#clock.after(timeoutMs, () =>
      giveUp(Object.assign(new Error("connect timed out"), { code: "ETIMEDOUT" })),
    );
    return giveUp;
  }

  /** A dial and nothing else. */
  ping(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const stop = () => giveUp(new Error("nobody waits any longer"));
      const giveUp = this.#dial(timeoutMs, (error, socket) => {
        signal.removeEventListener("abort", stop);
        socket?.destroy();
        resolve(error === null);
      });
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  /**
   * True within `onRequestStart` of a request that is the first on its connection: undici starts what waits for a
   * connection in the call that reports it.
   */
  get isConnecting(): boolean {
    return this.#isConnecting;
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    const request = toNode(options, this.#origin.origin, this.node.address.basePath);
    // One for all: undici closes a connection that is asked for another name, and takes the Host for it by default.
    const named = { ...request, servername: this.#serverName };
    this.pool.dispatch(named, handler);
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
function originOf({ address }: Node): string {
  if (address.kind === "unix") return "http://localhost";
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${address.tls === true ? "https" : "http"}://${host}:${address.port}`;
}

/** Throws `ERR_OPTION` for texts that TLS cannot use: each dial would fail of them, and blame the node. */
export function checkTls(tls: NodeTlsOptions): void {
  try {
    createSecureContext(tls);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FnlbError("ERR_OPTION", `option "tls" must be what tls.connect can use, got ${reason}`, { cause: error });
  }
}

/** Whose certificate a node must have. */
export function serverNameOf({ address }: Node, { servername }: NodeTlsOptions): string {
  return servername ?? (address.kind === "unix" ? "localhost" : address.host);
}
