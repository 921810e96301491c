import type { Node } from "../core/node.js";
import type { TlsSession } from "../core/stream.js";
import type { ErrorCode } from "../errors.js";
import type { ForwardedLines } from "../http1/compose-request.js";
import type { RequestHead } from "../http1/request-head.js";
import type { AccessLog } from "./access-log.js";
import type { Destination } from "./destination.js";
import type { NodeConnection } from "./node-connection.js";
import type { RelayClient } from "./response-relay.js";

/** What an exchange needs of the client connection it belongs to. */
export interface ExchangeClient extends RelayClient {
  readonly forwarded: ForwardedLines;
  readonly clientAddress: string;
  /** Undefined where it speaks in the clear. */
  readonly tls: TlsSession | undefined;
  /** The one that is in force: a cluster that a reload has removed would go on with one that is closed. */
  readonly accessLog: AccessLog | undefined;
  /** Where the request goes; undefined where no route matches it. */
  direct(head: RequestHead, buffer: Buffer): Destination | undefined;
  /** Any that exists now, for a request that has none. */
  readonly anyDestination: Destination;
  pauseReading(): void;
  resumeReading(): void;
  /** The exchange is over and the response complete. */
  onExchangeDone(closes: boolean): void;
  /** Answer with a redirect. */
  onExchangeRedirected(location: string): void;
  /** Answer with a problem; closes where the rest of the request makes the connection useless. */
  onExchangeFailed(code: ErrorCode): void;
  /** The response cannot be completed: the client must see that it was cut. */
  onExchangeBroken(): void;
  /** The node switched protocols: from now on bytes pass in both directions. */
  onUpgraded(connection: NodeConnection, node: Node, buffer: Buffer, start: number, end: number): void;
}
