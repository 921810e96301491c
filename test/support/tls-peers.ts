import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  type TLSSocket,
  type TlsOptions,
} from "node:tls";
import { ByteLog } from "./byte-log.js";
import { RawClient, type RawPeer } from "./raw-peer.js";
import { resetSocket } from "./reset-socket.js";

/** A client that speaks in bytes inside TLS. */
export class TlsClient extends RawClient {
  override readonly socket: TLSSocket;
  /** The TCP socket below, with which a test can end the connection without the goodbye of TLS. */
  readonly carrier: Socket;

  constructor(socket: TLSSocket, carrier: Socket) {
    super(socket);
    this.socket = socket;
    this.carrier = carrier;
    // A reset that arrives together with the last bytes shows below TLS only, and only to who writes.
    socket.on("end", () => {
      if (carrier.writable) carrier.write("");
    });
    carrier.on("error", (error: NodeJS.ErrnoException) => {
      this.log.errorCode ??= error.code === "EPIPE" ? "ECONNRESET" : error.code;
    });
  }

  override reset(): void {
    resetSocket(this.carrier);
  }
}

/** Connects to a port of this machine, or by what is given, and finishes the handshake, or rejects with what went wrong. */
export async function connectTlsClient(
  t: TestContext,
  to: number | (() => Socket),
  options: ConnectionOptions = {},
): Promise<TlsClient> {
  const carrier = typeof to === "function" ? to() : connect({ host: "127.0.0.1", port: to, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    carrier.once("error", reject);
    carrier.once("connect", resolve);
  });
  carrier.on("error", () => {});
  const socket = connectTls({ socket: carrier, checkServerIdentity: () => undefined, ...options });
  t.after(() => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    // Not from within OpenSSL's read, as the runtime does: a test that closes the socket there ends the process.
    socket.once("secureConnect", () => setImmediate(resolve));
  });
  return new TlsClient(socket, carrier);
}

/** A node that speaks in bytes inside TLS: its connections appear when their handshakes are done. */
export interface TlsOrigin {
  readonly port: number;
  readonly connections: readonly TlsClient[];
  /** What went wrong in handshakes, in order. */
  readonly failures: readonly string[];
  accept(): Promise<TlsClient>;
  /** Connections that come from now on are accepted, and their handshakes are not answered. */
  freeze(): void;
  /** Those that come from now on are answered again. */
  thaw(): void;
}

export async function startTlsOrigin(
  t: TestContext,
  options: TlsOptions,
  onConnection?: (peer: RawPeer) => void,
): Promise<TlsOrigin> {
  const connections: TlsClient[] = [];
  const carriers = new Set<Socket>();
  const failures: string[] = [];
  const arrivals = new ByteLog();
  let given = 0;
  let isFrozen = false;
  const handshakes = createTlsServer(options);
  handshakes.on("tlsClientError", (error: NodeJS.ErrnoException) => failures.push(error.code ?? error.message));
  // Below the TLS server, so that its sockets may stay half open and be reset.
  const server = createServer({ allowHalfOpen: true }, (carrier) => {
    carriers.add(carrier);
    carrier.on("error", () => {});
    if (!isFrozen) handshakes.emit("connection", carrier);
  });
  handshakes.on("secureConnection", (socket) => {
    const { _parent: carrier } = socket as unknown as { readonly _parent: Socket };
    const peer = new TlsClient(socket, carrier);
    connections.push(peer);
    onConnection?.(peer);
    arrivals.wake();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  t.after(
    () =>
      new Promise<void>((resolve) => {
        for (const carrier of carriers) carrier.destroy();
        server.close(() => resolve());
      }),
  );
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    failures,
    accept: () => arrivals.until(`connection ${given + 1} of a node`, () => connections[given] && connections[given++]),
    freeze() {
      isFrozen = true;
    },
    thaw() {
      isFrozen = false;
    },
  };
}
