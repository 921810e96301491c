import assert from "node:assert/strict";
import { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../core/clock.js";
import type { ByteStream } from "../core/stream.js";
import type { CertificateStore } from "./certificate-store.js";
import { PlainStream } from "./plain-stream.js";

/** How a listener speaks TLS. */
export interface TlsListening {
  /** Loaded; what it swaps in later is for the connections that come later. */
  readonly certificates: CertificateStore;
  readonly clock: Clock;
  /** Time from the connection to the end of its handshake. */
  readonly handshakeTimeoutMs: number;
  /** Handshakes at once; above it connections are closed before they cost anything. */
  readonly handshakesMax: number;
  readonly onHandshakeRefused: () => void;
  /** The code of what went wrong: OpenSSL's, the system's, ETIMEDOUT, or why a client's certificate was not good. */
  readonly onHandshakeFailed: (code: string) => void;
}

/** What makes streams of a TLS listener's connections. */
export interface TlsAcceptor {
  /** Begins the handshake on a connection that was accepted. */
  take(carrier: Socket): void;
  /** Takes no more; the handshakes that are under way may come to their end. */
  retire(): void;
  /** Ends the handshakes that are under way; nobody has sent a request on them yet. Takes no more. */
  close(): void;
}

/** The runtime's TLS server without a socket of its own: connections are put into it, and come out as streams. */
export function openTlsAcceptor(listening: TlsListening, onAccept: (stream: ByteStream) => void): TlsAcceptor {
  const { certificates, clock, handshakeTimeoutMs, handshakesMax, onHandshakeRefused, onHandshakeFailed } = listening;
  const { clientCertificates } = certificates.config;
  /** Handshakes under way, and how to cancel the timer of each. */
  const handshakes = new Map<Socket, () => void>();
  let isClosed = false;

  const server: Server = createServer({
    ...certificates.first,
    ALPNProtocols: ["http/1.1"],
    requestCert: clientCertificates !== "none",
    // Else the runtime lets a client without a certificate finish, and does not tell it what was missing.
    rejectUnauthorized: clientCertificates === "require",
    SNICallback: (name, done) => done(null, certificates.find(name)),
  });
  const stopSwaps = certificates.onSwap(() => server.setSecureContext(certificates.first));

  /** True for the first who says that a handshake is over. */
  const settle = (carrier: Socket): boolean => {
    const cancel = handshakes.get(carrier);
    cancel?.();
    return handshakes.delete(carrier);
  };
  const fail = (carrier: Socket, code: string) => {
    if (settle(carrier)) onHandshakeFailed(code);
    carrier.destroy();
  };
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    fail(carrierOf(socket), authorizationCode(socket) ?? error.code ?? "EPROTO");
  });
  const finish = (socket: TLSSocket, carrier: Socket) => {
    if (socket.destroyed) return;
    // A client that has no certificate is fine here, one that shows a bad one is not; the runtime lets both through.
    const hasShownOne = clientCertificates === "request" && socket.getPeerX509Certificate() !== undefined;
    const verdict = hasShownOne ? authorizationCode(socket) : undefined;
    if (verdict !== undefined) fail(carrier, verdict);
    else if (settle(carrier)) onAccept(new PlainStream(socket, carrier));
  };
  server.on("secureConnection", (socket) => {
    socket.allowHalfOpen = true;
    // The runtime says so from within OpenSSL's read: whatever is done with the socket is done outside of it.
    setImmediate(finish, socket, carrierOf(socket));
  });

  const retire = () => {
    isClosed = true;
    stopSwaps();
  };

  return {
    take(carrier) {
      if (isClosed || handshakes.size >= handshakesMax) {
        if (!isClosed) onHandshakeRefused();
        carrier.destroy();
        return;
      }
      const cancel = clock.after(handshakeTimeoutMs, () => fail(carrier, "ETIMEDOUT"));
      handshakes.set(carrier, cancel);
      // What breaks it is reported by the TLS socket above.
      carrier.on("error", () => {});
      // Behind that report, which says why.
      carrier.once("close", () => setImmediate(fail, carrier, "ECONNRESET"));
      server.emit("connection", carrier);
    },
    retire,
    close() {
      retire();
      for (const carrier of [...handshakes.keys()]) {
        settle(carrier);
        carrier.destroy();
      }
    },
  };
}

/** What OpenSSL has against the client's certificate. The types say Error; the runtime gives its code. */
function authorizationCode(socket: TLSSocket): string | undefined {
  return (socket.authorizationError as unknown as string | null) ?? undefined;
}

/** The socket below, which the runtime keeps under a name of its own. Only that one can be reset. */
function carrierOf(socket: TLSSocket): Socket {
  const { _parent: carrier } = socket as unknown as { readonly _parent?: unknown };
  assert(carrier instanceof Socket, "a TLS socket of this runtime does not know what carries it");
  return carrier;
}
