import assert from "node:assert/strict";
import { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../core/clock.js";
import type { ByteStream } from "../core/stream.js";
import { parseProxyHeader } from "../http1/proxy-header.js";
import type { CertificateStore } from "./certificate-store.js";
import { plainAddress } from "./fast-stream.js";
import { PlainStream } from "./plain-stream.js";

/** The longest time that the runtime knows. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** How a listener speaks TLS. */
export interface TlsListening {
  /** Loaded; what it swaps in later is for the connections that come later. */
  readonly certificates: CertificateStore;
  readonly clock: Clock;
  /** Time from the connection to the end of its handshake. */
  readonly handshakeTimeoutMs: number;
  /** Handshakes at once; above it connections are closed before they cost anything. */
  readonly handshakesMax: number;
  /** A PROXY protocol header comes in front of the handshake, and is the first that the stream reads. */
  readonly proxyProtocol: boolean;
  /** A place for a connection from that address: what it returns gives it back. Undefined: there is none. */
  readonly admit: (address: string) => (() => void) | undefined;
  readonly onHandshakeRefused: () => void;
  /** Something else came where the PROXY protocol header was awaited. */
  readonly onProxyHeaderRefused: () => void;
  /** The code of what went wrong: OpenSSL's, the system's, ETIMEDOUT, or why a client's certificate was not good. */
  readonly onHandshakeFailed: (code: string) => void;
}

/** What makes streams of a TLS listener's connections. */
export interface TlsAcceptor {
  /** Begins the handshake on a connection that was accepted. */
  take(carrier: Socket): void;
  /** How connections are taken from now on. Handshakes that are under way end as they began. */
  secure(listening: TlsListening): void;
  /** Ends the handshakes that are under way; nobody has sent a request on them yet. Takes no more. */
  close(): void;
}

/** A connection between its accept and the end of its handshake. */
interface Handshake {
  /** Gives back its timer and its place. */
  readonly release: () => void;
  /** What came in front of the handshake. */
  proxyHeader: Buffer | undefined;
}

/** The runtime's TLS server without a socket of its own: connections are put into it, and come out as streams. */
export function openTlsAcceptor(first: TlsListening, onAccept: (stream: ByteStream) => void): TlsAcceptor {
  const handshakes = new Map<Socket, Handshake>();
  let listening = first;
  let isClosed = false;

  /** Undefined for all but the first who says that a handshake is over. */
  const settle = (carrier: Socket): Handshake | undefined => {
    const handshake = handshakes.get(carrier);
    handshakes.delete(carrier);
    handshake?.release();
    return handshake;
  };
  const fail = (carrier: Socket, code: string) => {
    if (settle(carrier) !== undefined) listening.onHandshakeFailed(code);
    carrier.destroy();
  };
  const accept = (socket: TLSSocket, carrier: Socket, verdict: string | undefined) => {
    if (verdict !== undefined) {
      fail(carrier, verdict);
      return;
    }
    const handshake = settle(carrier);
    if (handshake === undefined) return;
    // In front of everything that was said in TLS: whoever reads the stream knows what a header is.
    if (handshake.proxyHeader !== undefined) socket.unshift(handshake.proxyHeader);
    onAccept(new PlainStream(socket, carrier));
  };
  let server = openServer(first, { accept, fail });

  const shakeHands = (carrier: Socket) => void server.tls.emit("connection", carrier);
  const readProxyHeader = (carrier: Socket, handshake: Handshake) => {
    let bytes: Buffer = Buffer.alloc(0);
    const onReadable = () => {
      const chunk = carrier.read() as Buffer | null;
      if (chunk === null || !handshakes.has(carrier)) return;
      bytes = Buffer.concat([bytes, chunk]);
      const header = parseProxyHeader(bytes, bytes.length);
      switch (header.kind) {
        case "more":
          return;
        case "bad":
          carrier.off("readable", onReadable);
          settle(carrier);
          listening.onProxyHeaderRefused();
          carrier.destroy();
          return;
        case "done":
          carrier.off("readable", onReadable);
          handshake.proxyHeader = bytes.subarray(0, header.end);
          // What the client has said already is TLS.
          if (header.end < bytes.length) carrier.unshift(bytes.subarray(header.end));
          shakeHands(carrier);
          return;
        default:
          header satisfies never;
      }
    };
    carrier.on("readable", onReadable);
  };

  return {
    take(carrier) {
      const { clock, handshakeTimeoutMs, handshakesMax, proxyProtocol, admit, onHandshakeRefused } = listening;
      if (handshakes.size >= handshakesMax && !isClosed) onHandshakeRefused();
      const leave =
        isClosed || handshakes.size >= handshakesMax ? undefined : admit(plainAddress(carrier.remoteAddress ?? ""));
      if (leave === undefined) {
        carrier.destroy();
        return;
      }
      const cancelTimer = clock.after(handshakeTimeoutMs, () => fail(carrier, "ETIMEDOUT"));
      const release = () => {
        cancelTimer();
        leave();
      };
      const handshake: Handshake = { release, proxyHeader: undefined };
      handshakes.set(carrier, handshake);
      // What breaks it is reported by the TLS socket above.
      carrier.on("error", () => {});
      // Behind that report, which says why.
      carrier.once("close", () => setImmediate(fail, carrier, "ECONNRESET"));
      if (proxyProtocol) readProxyHeader(carrier, handshake);
      else shakeHands(carrier);
    },
    secure(next) {
      const hasChanged = next.certificates !== listening.certificates;
      listening = next;
      // A new server would not know the sessions that the old one gave out.
      if (!hasChanged) return;
      server.stopSwaps();
      server = openServer(next, { accept, fail });
    },
    close() {
      isClosed = true;
      server.stopSwaps();
      for (const carrier of [...handshakes.keys()]) {
        settle(carrier);
        carrier.destroy();
      }
    },
  };
}

interface ServerHandler {
  /** The handshake is over; `verdict` is what speaks against the client's certificate. Outside of OpenSSL's read. */
  accept(socket: TLSSocket, carrier: Socket, verdict: string | undefined): void;
  fail(carrier: Socket, code: string): void;
}

function openServer({ certificates }: TlsListening, { accept, fail }: ServerHandler) {
  const { clientCertificates } = certificates.config;
  const tls: Server = createServer({
    ...certificates.first,
    ALPNProtocols: ["http/1.1"],
    // The time is ours to take, by our clock.
    handshakeTimeout: TIMEOUT_MS_MAX,
    requestCert: clientCertificates !== "none",
    // Else the runtime lets a client without a certificate finish, and does not tell it what was missing.
    rejectUnauthorized: clientCertificates === "require",
    SNICallback: (name, done) => done(null, certificates.find(name)),
  });
  tls.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    fail(carrierOf(socket), authorizationCode(socket) ?? error.code ?? "EPROTO");
  });
  const finish = (socket: TLSSocket, carrier: Socket) => {
    if (socket.destroyed) return;
    // A client that has no certificate is fine here, one that shows a bad one is not; the runtime lets both through.
    const hasShownOne = clientCertificates === "request" && socket.getPeerX509Certificate() !== undefined;
    accept(socket, carrier, hasShownOne ? authorizationCode(socket) : undefined);
  };
  tls.on("secureConnection", (socket) => {
    socket.allowHalfOpen = true;
    // The runtime says so from within OpenSSL's read: whatever is done with the socket is done outside of it.
    setImmediate(finish, socket, carrierOf(socket));
  });
  return { tls, stopSwaps: certificates.onSwap(() => tls.setSecureContext(certificates.first)) };
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
