// Hot path: carries the bytes of one exchange after the other.
import type { ByteStream, StreamHandler } from "../core/stream.js";
import type { NodePool } from "./node-pool.js";

/** The exchange on a node connection, as the connection sees it. */
export interface NodeConnectionUser {
  onNodeData(buffer: Buffer, start: number, end: number): void;
  onNodeDrain(): void;
  /** The node will send no more. */
  onNodeEnd(): void;
  /** The connection is gone, with the system's code if it broke. */
  onNodeClose(code: string | undefined): void;
}

/** One connection to a node: in use by one exchange, or idle in its pool. */
export class NodeConnection implements StreamHandler {
  readonly stream: ByteStream;
  readonly pool: NodePool;
  user: NodeConnectionUser | undefined;
  /** No response has begun on it yet. */
  isFresh = true;
  /** Coarse time up to which it may stay idle. */
  idleUntilMs = 0;

  constructor(stream: ByteStream, pool: NodePool) {
    this.stream = stream;
    this.pool = pool;
    stream.handler = this;
  }

  onData(buffer: Buffer, start: number, end: number): void {
    if (this.user !== undefined) this.user.onNodeData(buffer, start, end);
    // Bytes that nobody asked for must never become the answer to the next request.
    else this.pool.discard(this);
  }

  onDrain(): void {
    this.user?.onNodeDrain();
  }

  onEnd(): void {
    if (this.user !== undefined) this.user.onNodeEnd();
    else this.pool.discard(this);
  }

  onClose(code: string | undefined): void {
    this.pool.forget(this);
    this.user?.onNodeClose(code);
  }
}
