import { constants } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import type { AdminAddress } from "../config/admin.js";
import type { Clock } from "../core/clock.js";
import { clientErrorResponse } from "./client-error.js";

const HEAD_BYTES_MAX = 16 * 1024;
const HEAD_FIELDS_MAX = 100;
const SURPLUS_MAX = 16;
/** Time for answers that are under way when the server is closed. */
const GRACE_MS = 1000;

/** Certificates that may be swapped for others while connections stand. */
export interface ServedCertificates {
  readonly first: SecureContextOptions;
  /** Tells of every swap; returns how to stop that. */
  onSwap(listener: () => void): () => void;
}

/** What the server does with what comes in. */
export interface AdminServerHandler {
  /** Connections that may be served at once; read anew for each. */
  readonly connectionsMax: number;
  answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): void;
  /** A connection was one too many: its request is for `answerSurplus`, or it is closed at once. */
  onSurplus(): void;
  answerSurplus(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): void;
}

/** How long a client may take, in milliseconds. */
export interface AdminTimeouts {
  /** From the accept, or from the first byte of a further request, to the end of the head. */
  readonly headMs: number;
  /** Likewise to the end of the body. */
  readonly requestMs: number;
  readonly handshakeMs: number;
  /** Between two requests. */
  readonly keepAliveMs: number;
  /** No byte either way: whoever does not read his answer does not keep it here. */
  readonly silenceMs: number;
  /** How often the runtime looks for heads and requests that take too long. */
  readonly lookMs: number;
}

const ADMIN_TIMEOUTS: AdminTimeouts = {
  headMs: 10_000,
  requestMs: 20_000,
  handshakeMs: 10_000,
  keepAliveMs: 30_000,
  silenceMs: 60_000,
  lookMs: 1000,
};

export interface AdminServerOptions {
  readonly address: Exclude<AdminAddress, { readonly kind: "off" }>;
  /** Undefined: in the clear. */
  readonly certificates: ServedCertificates | undefined;
  /** Asks clients for certificates; what they are worth is for the handler to judge. */
  readonly asksCertificates: boolean;
  /** Default: 10 s for a head, 20 s for a request, 10 s for a handshake, 30 s between requests, 60 s of silence. */
  readonly timeouts?: Partial<AdminTimeouts>;
}

/** An open listener of the admin API. Not a hot path: the runtime's own HTTP server, with limits on everything. */
export interface AdminServer {
  /** `127.0.0.1:9081`, `[::1]:9081` or `unix:/path`. */
  readonly address: string;
  /** Of a server in TLS: where the certificates of the connections to come are from. */
  secure(certificates: ServedCertificates): void;
  /** Accepts no more, ends streams, and gives what is being answered a second. Twice is fine. */
  close(): Promise<void>;
}

export interface AdminServerDependencies {
  readonly clock: Clock;
  /** Lets the server listen, and resolves to its address. Rejects with `ERR_LISTEN`. */
  readonly bind: (server: Server, address: AdminServerOptions["address"]) => Promise<string>;
}

/** Opens the listener. Rejects with `ERR_LISTEN`. */
export async function openAdminServer(
  { clock, bind }: AdminServerDependencies,
  handler: AdminServerHandler,
  options: AdminServerOptions,
): Promise<AdminServer> {
  const timeouts = { ...ADMIN_TIMEOUTS, ...options.timeouts };
  const { server, secure, stopSwaps } = createOne(options, timeouts);
  /** Everything that was accepted, TLS handshakes included. */
  const carriers = new Set<Socket>();
  /** Connections that are served, and what ends each answer that is under way there. */
  const open = new Map<Socket, Map<ServerResponse, AbortController>>();
  const surplus = new WeakSet<Socket>();
  let isClosing = false;
  server.maxHeadersCount = HEAD_FIELDS_MAX;
  server.timeout = timeouts.silenceMs;
  // Beside those that are served: handshakes, and those that hear 503. Others are not even accepted.
  const adoptLimit = () => {
    server.maxConnections = 2 * handler.connectionsMax + SURPLUS_MAX;
  };
  adoptLimit();

  server.on("drop", () => handler.onSurplus());
  server.on("connection", (socket: Socket) => {
    adoptLimit();
    carriers.add(socket);
    socket.once("close", () => carriers.delete(socket));
  });
  server.on(options.certificates === undefined ? "connection" : "secureConnection", (socket: Socket | TLSSocket) => {
    if (open.size >= handler.connectionsMax) {
      surplus.add(socket);
      handler.onSurplus();
      return;
    }
    const running = new Map<ServerResponse, AbortController>();
    open.set(socket, running);
    socket.once("close", () => {
      open.delete(socket);
      // Of a pipeline the runtime tells the first one only.
      for (const gone of running.values()) gone.abort();
    });
  });
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const isSurplus = surplus.has(socket);
    const gone = new AbortController();
    const running = open.get(socket);
    running?.set(response, gone);
    if ((running === undefined && !isSurplus) || isClosing) gone.abort();
    response.once("close", () => {
      gone.abort();
      running?.delete(response);
      if (isClosing) socket.destroySoon();
    });
    if (isSurplus) handler.answerSurplus(request, response, gone.signal);
    else handler.answer(request, response, gone.signal);
  };
  server.on("request", onRequest);
  // By itself the runtime would answer these without a word of ours, or not at all.
  server.on("checkExpectation", onRequest);
  server.on("connect", (_request, socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(clientErrorResponse("CONNECT"));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const answers = [...(open.get(socket as Socket)?.keys() ?? [])];
    // Within another answer it would be read as a part of that.
    const isWithin = answers.some(({ headersSent, writableFinished }) => headersSent && !writableFinished);
    if (socket.writable && !isWithin) socket.end(clientErrorResponse(error.code));
    else socket.destroy();
  });
  const address = await bind(server, options.address);
  server.on("error", () => {
    // A failed accept closes one connection; the listener stays.
  });

  let closed: Promise<void> | undefined;
  const closeNow = async () => {
    stopSwaps();
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    isClosing = true;
    for (const [socket, running] of open) {
      for (const gone of running.values()) gone.abort();
      if (running.size === 0) socket.destroy();
    }
    const cut = () => {
      server.closeAllConnections();
      // Those in a handshake, too, which the HTTP server does not know yet.
      for (const carrier of carriers) carrier.destroy();
    };
    const hasRunning = [...open.values()].some(({ size }) => size > 0);
    const cancel = clock.after(GRACE_MS, cut);
    if (!hasRunning) cut();
    await ended;
    cancel();
  };
  return {
    address,
    secure,
    close() {
      closed ??= closeNow();
      return closed;
    },
  };
}

function createOne(
  { certificates, asksCertificates }: AdminServerOptions,
  { headMs, requestMs, handshakeMs, keepAliveMs, lookMs }: AdminTimeouts,
): {
  readonly server: Server;
  readonly secure: AdminServer["secure"];
  readonly stopSwaps: () => void;
} {
  const limits = {
    maxHeaderSize: HEAD_BYTES_MAX,
    headersTimeout: headMs,
    requestTimeout: requestMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: lookMs,
    // Those without one are answered like the others.
    requireHostHeader: false,
    insecureHTTPParser: false,
  };
  if (certificates === undefined) return { server: createServer(limits), secure: () => {}, stopSwaps: () => {} };
  const server = createSecureServer({
    ...limits,
    ...contextOf(certificates),
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: handshakeMs,
    requestCert: asksCertificates,
    // Who has no good one is told so, and may ask how the process is.
    rejectUnauthorized: false,
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  let current = certificates;
  const swap = () => server.setSecureContext(contextOf(current));
  let stop = certificates.onSwap(swap);
  return {
    server,
    secure(next) {
      if (next === current) return;
      stop();
      current = next;
      stop = next.onSwap(swap);
      swap();
    },
    stopSwaps: () => stop(),
  };
}

function contextOf({ first }: ServedCertificates): SecureContextOptions {
  // Sessions are not resumed: whoever comes back shows his certificate again.
  return { ...first, secureOptions: (first.secureOptions ?? 0) | constants.SSL_OP_NO_TICKET };
}
