// Hot path: raw bytes in both directions after an upgrade.
import type { ByteStream, StreamHandler } from "../core/stream.js";
import { TimerEntry, type TimerOwner } from "../core/timer-wheel.js";
import type { ClusterContext } from "./context.js";

/** Who hears of the end of a tunnel. */
export interface TunnelOwner {
  onTunnelClosed(): void;
}

/** Two streams joined. A slow side pauses the other; a FIN on one side is passed on and the other may go on. */
export class Tunnel implements TimerOwner {
  readonly #context: ClusterContext;
  readonly #owner: TunnelOwner;
  readonly #client: TunnelEnd;
  readonly #node: TunnelEnd;
  readonly #timer = new TimerEntry(this);
  #openEnds = 2;

  constructor(context: ClusterContext, client: ByteStream, node: ByteStream, owner: TunnelOwner) {
    this.#context = context;
    this.#owner = owner;
    this.#client = new TunnelEnd(this, client);
    this.#node = new TunnelEnd(this, node);
    this.#client.other = this.#node;
    this.#node.other = this.#client;
  }

  /** Takes both streams over. What came behind either head is passed on first. */
  start(fromClient: Buffer | undefined, fromNode: Buffer | undefined): void {
    this.#context.counters.tunnels++;
    this.#client.stream.handler = this.#client;
    this.#node.stream.handler = this.#node;
    this.noteProgress();
    this.#client.stream.resume();
    this.#node.stream.resume();
    if (fromClient !== undefined) this.#client.pass(fromClient, 0, fromClient.length);
    if (fromNode !== undefined) this.#node.onData(fromNode, 0, fromNode.length);
  }

  count(from: TunnelEnd, bytes: number): void {
    const { counters } = this.#context;
    if (from === this.#client) counters.bytesIn += bytes;
    else counters.bytesOut += bytes;
  }

  noteProgress(): void {
    if (this.#openEnds < 2) return;
    const { tunnelIdleTimeoutMs } = this.#context.config;
    if (tunnelIdleTimeoutMs > 0) this.#context.wheel.schedule(this.#timer, tunnelIdleTimeoutMs);
    // A reload may have taken the limit off.
    else this.#context.wheel.cancel(this.#timer);
  }

  onTimer(): void {
    this.#context.counters.tunnelTimeouts++;
    this.close();
  }

  /** Closes once both sides have said their last and all of it has left. */
  closeWhenDone(): void {
    const client = this.#client;
    const node = this.#node;
    if (client.isEnded && node.isEnded && !client.isBehind && !node.isBehind) this.close();
  }

  onClose(closed: TunnelEnd, code: string | undefined): void {
    // A side that broke must not look like a clean end to the other.
    if (code !== undefined) closed.other?.stream.reset();
    else closed.other?.stream.end();
    if (--this.#openEnds > 0) {
      if (code === undefined && !closed.isEnded) closed.other?.stream.destroy();
      return;
    }
    this.#context.wheel.cancel(this.#timer);
    this.#owner.onTunnelClosed();
  }

  close(): void {
    this.#client.stream.destroy();
    this.#node.stream.destroy();
  }
}

class TunnelEnd implements StreamHandler {
  readonly #tunnel: Tunnel;
  readonly stream: ByteStream;
  other: TunnelEnd | undefined;
  /** The peer of this stream has sent its FIN. */
  isEnded = false;
  /** Bytes for the peer of this stream are still waiting. */
  isBehind = false;

  constructor(tunnel: Tunnel, stream: ByteStream) {
    this.#tunnel = tunnel;
    this.stream = stream;
  }

  onData(buffer: Buffer, start: number, end: number): void {
    this.#tunnel.count(this, end - start);
    this.pass(buffer, start, end);
  }

  /** Sends bytes of this side to the other; a side that cannot take them stops this one. */
  pass(buffer: Buffer, start: number, end: number): void {
    this.#tunnel.noteProgress();
    const { other } = this;
    if (other === undefined || other.stream.write(buffer, start, end)) return;
    other.isBehind = true;
    this.stream.pause();
  }

  onDrain(): void {
    this.#tunnel.noteProgress();
    this.isBehind = false;
    if (this.other?.isEnded === false) this.other.stream.resume();
    this.#tunnel.closeWhenDone();
  }

  onEnd(): void {
    this.isEnded = true;
    this.other?.stream.end();
    this.#tunnel.closeWhenDone();
  }

  onClose(code: string | undefined): void {
    this.#tunnel.onClose(this, code);
  }
}
