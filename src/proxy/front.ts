import type { ListenerConfig } from "../config/config.js";
import type { ByteStream, StreamHandler } from "../core/stream.js";
import { TimerEntry, type TimerOwner } from "../core/timer-wheel.js";
import { problemResponse } from "../http1/problem.js";
import { RequestHead } from "../http1/request-head.js";
import { ClientConnection, type ClientEntry, type ClientHost } from "./client-connection.js";
import type { ProxyContext } from "./context.js";
import type { Destination, Direct } from "./destination.js";

const TURNED_AWAY_MAX = 256;
const TURNED_AWAY_MS = 1000;

/** Where requests go. */
export interface Routing {
  readonly direct: Direct;
  /** Any destination, for a connection that has no request yet. */
  readonly anyDestination: Destination;
}

/** The side of the balancer that clients see: admits connections within the limits and knows all of them. */
export class Front implements ClientHost {
  readonly context: ProxyContext;
  direct: Direct;
  anyDestination: Destination;
  requestHead: RequestHead;
  readonly #connections = new Set<ClientConnection>();
  readonly #turnedAway = new Set<TurnedAway>();
  readonly #perClient = new Map<string, number>();
  #handshakes = 0;
  isDraining = false;
  tunnels = 0;
  /** Who waits for the last connection to close: a drain, and a close that comes in the middle of it. */
  #onEmpty: (() => void)[] = [];

  constructor(context: ProxyContext, routing: Routing) {
    this.context = context;
    this.direct = routing.direct;
    this.anyDestination = routing.anyDestination;
    this.requestHead = new RequestHead(context.config);
  }

  /** From the next request on; the context's config may have changed as well. */
  reroute({ direct, anyDestination }: Routing): void {
    this.direct = direct;
    this.anyDestination = anyDestination;
    this.requestHead = new RequestHead(this.context.config);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that are still in their TLS handshake. */
  get handshakes(): number {
    return this.#handshakes;
  }

  get exchanges(): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.isBusy) count++;
    return count;
  }

  /**
   * A place for a connection during its TLS handshake; what it returns gives it back. Undefined: there is none. A client
   * that takes its time with the handshake takes it from those that a limit is there for, like any other.
   */
  admitHandshake(address: string, { proxyProtocol }: ListenerConfig): (() => void) | undefined {
    const { counters, isTrusted } = this.context;
    if (proxyProtocol && !isTrusted(address)) {
      counters.connectionsRefusedByProxyHeader++;
      return undefined;
    }
    if (this.#isFull) {
      counters.connectionsRefusedByLimit++;
      return undefined;
    }
    const client = proxyProtocol ? "" : address;
    if (!this.admitClient(client)) return undefined;
    this.#handshakes++;
    return () => {
      this.#handshakes--;
      this.#dismissClient(client);
    };
  }

  get #isFull(): boolean {
    return this.#connections.size + this.#handshakes >= this.context.config.connectionsMax;
  }

  accept(stream: ByteStream, entry: ClientEntry): void {
    const { counters, isTrusted } = this.context;
    const { proxyProtocol } = entry.config;
    counters.connectionsAccepted++;
    const address = stream.remoteAddress;
    if (proxyProtocol && !isTrusted(address)) {
      counters.connectionsRefusedByProxyHeader++;
      stream.destroy();
      return;
    }
    if (this.#isFull) {
      counters.connectionsRefusedByLimit++;
      this.#turnAway(stream, "ERR_AT_CAPACITY");
      return;
    }
    // A proxy's connections belong to many clients: each is counted when its header has named it.
    if (!proxyProtocol && !this.admitClient(address)) {
      this.#turnAway(stream, "ERR_CLIENT_LIMIT");
      return;
    }
    const connection = new ClientConnection(this, stream, entry);
    this.#connections.add(connection);
    connection.start();
  }

  admitClient(address: string): boolean {
    const { config, counters } = this.context;
    if (address === "") return true;
    const { connectionsPerClientMax } = config;
    // Counted without a limit as well: a reload may set one.
    const count = this.#perClient.get(address) ?? 0;
    if (connectionsPerClientMax > 0 && count >= connectionsPerClientMax) {
      counters.connectionsRefusedByClientLimit++;
      return false;
    }
    this.#perClient.set(address, count + 1);
    return true;
  }

  /** Answers before anything was read, and closes. */
  #turnAway(stream: ByteStream, code: "ERR_AT_CAPACITY" | "ERR_CLIENT_LIMIT"): void {
    const answer = problemResponse(code, { closes: true, isHead: false, date: this.context.date() });
    this.context.counters.problems++;
    // Above this many at once the answer may be lost to the reset, or the limit would be none.
    if (this.#turnedAway.size >= TURNED_AWAY_MAX) {
      stream.destroy();
      return;
    }
    const refused = new TurnedAway(stream, this.context, (ended) => {
      this.#turnedAway.delete(ended);
      this.#noteIfEmpty();
    });
    this.#turnedAway.add(refused);
    refused.answer(answer);
  }

  canOpenTunnel(): boolean {
    const { tunnelsMax } = this.context.config;
    return tunnelsMax === 0 || this.tunnels < tunnelsMax;
  }

  onTunnelOpened(): void {
    this.tunnels++;
  }

  onTunnelClosed(): void {
    this.tunnels--;
  }

  onConnectionClosed(connection: ClientConnection): void {
    if (!this.#connections.delete(connection)) return;
    this.#dismissClient(connection.countedAddress);
    this.#noteIfEmpty();
  }

  #dismissClient(address: string): void {
    const count = this.#perClient.get(address);
    if (count === undefined) return;
    if (count === 1) this.#perClient.delete(address);
    else this.#perClient.set(address, count - 1);
  }

  /** Closes the connections that are idle now; the others close behind their response. */
  closeIdle(): void {
    for (const connection of [...this.#connections]) connection.closeIfIdle();
  }

  get #isEmpty(): boolean {
    return this.#connections.size + this.#turnedAway.size === 0;
  }

  #noteIfEmpty(): void {
    if (this.#isEmpty) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  /** Resolves once no connection is left, those that were turned away included. */
  whenEmpty(): Promise<void> {
    if (this.#isEmpty) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
    });
  }

  /** Ends every connection now and returns how many exchanges and tunnels were cut. */
  cutAll(): number {
    for (const refused of [...this.#turnedAway]) refused.close();
    let cut = 0;
    for (const connection of [...this.#connections]) if (connection.cut()) cut++;
    return cut;
  }
}

/** A connection over a limit: answered, then read and thrown away until the client has seen the answer. */
class TurnedAway implements StreamHandler, TimerOwner {
  readonly #stream: ByteStream;
  readonly #context: ProxyContext;
  readonly #onOver: (refused: TurnedAway) => void;
  readonly #timer = new TimerEntry(this);

  constructor(stream: ByteStream, context: ProxyContext, onOver: (refused: TurnedAway) => void) {
    this.#stream = stream;
    this.#context = context;
    this.#onOver = onOver;
    stream.handler = this;
  }

  answer(message: Buffer): void {
    this.#context.wheel.schedule(this.#timer, TURNED_AWAY_MS);
    this.#stream.write(message, 0, message.length);
    this.#stream.end();
    this.#stream.resume();
  }

  onData(): void {}

  onDrain(): void {}

  onEnd(): void {
    this.#stream.destroy();
  }

  onTimer(): void {
    this.#stream.destroy();
  }

  close(): void {
    this.#stream.destroy();
  }

  onClose(): void {
    this.#context.wheel.cancel(this.#timer);
    this.#onOver(this);
  }
}
