// Hot path: carries the bytes of one exchange after the other.

import type { Node } from "../core/node.js";
import type { ByteStream, StreamHandler } from "../core/stream.js";
import type { WaitingLink } from "./waiting-list.js";

/** The exchange on a node connection, as the connection sees it. */
export interface NodeConnectionUser {
  onNodeData(buffer: Buffer, start: number, end: number): void;
  onNodeDrain(): void;
  /** The node will send no more. */
  onNodeEnd(): void;
  /** The connection is gone, with the system's code if it broke. */
  onNodeClose(code: string | undefined): void;
}

/** The connections of a node, as one of them and its user see them. */
export interface ConnectionPool {
  readonly node: Node;
  /** Takes a connection back whose exchange has ended cleanly. `keepAliveMs` is the node's own limit, or -1. */
  giveBack(connection: NodeConnection, keepAliveMs: number): void;
  /** Closes an idle connection that the node ended or spoke on. */
  discard(connection: NodeConnection): void;
  /** A connection has closed. */
  forget(connection: NodeConnection): void;
  /** A byte came from the node. */
  noteByte(): void;
  /** A fresh connection ended before a byte came. */
  noteEarlyClose(): void;
  /** An exchange waited in vain. */
  noteTimeout(link: WaitingLink): void;
  addWaiting(link: WaitingLink): void;
  removeWaiting(link: WaitingLink): void;
}

/** One connection to a node: in use by one exchange, or idle in its pool. */
export class NodeConnection implements StreamHandler {
  readonly stream: ByteStream;
  readonly pool: ConnectionPool;
  user: NodeConnectionUser | undefined;
  /** No response has begun on it yet. */
  isFresh = true;
  /** Coarse time up to which it may stay idle. */
  idleUntilMs = 0;

  constructor(stream: ByteStream, pool: ConnectionPool) {
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
