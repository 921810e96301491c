import type { Socket } from "node:net";
import { buildConnector, Pool } from "undici";
import type { Clock } from "../core/clock.js";
import type { Node } from "../core/node.js";

export interface NodeClientOptions {
  /** Time to connect, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Connections to the node at most. */
  readonly connectionsMax: number;
}

/** A pool of undici's for one node, whose dials end in time. */
export function nodeClient(clock: Clock, node: Node, { connectTimeoutMs, connectionsMax }: NodeClientOptions): Pool {
  const socketPath = node.address.kind === "unix" ? node.address.path : undefined;
  // undici's own timeout is a second coarse, and would never fire below it.
  const dial = buildConnector({ timeout: 0, ...(socketPath === undefined ? {} : { socketPath }) });
  return new Pool(originOf(node), {
    connections: connectionsMax,
    pipelining: 1,
    connect(options, callback) {
      // undici returns the socket that it dials with, which its types do not say.
      const socket = dial(options, (...outcome) => {
        cancel();
        callback(...outcome);
      }) as unknown as Socket | undefined;
      const cancel = clock.after(connectTimeoutMs, () =>
        socket?.destroy(Object.assign(new Error("connect timed out"), { code: "ETIMEDOUT" })),
      );
    },
  });
}

/** Scheme, host and port of a node; a unix socket has none and gets a name that nobody looks up. */
export function originOf({ address }: Node): string {
  if (address.kind === "unix") return "http://localhost";
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `http://${host}:${address.port}`;
}
