import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type ServerOptions as SecureOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { holdPort } from "./held-port.js";

/** What a function node tells about each request that it has read to its end. */
export interface CallSeen {
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly bodyBytes: number;
  readonly bodyHash: string;
}

/** A node on the runtime's own HTTP server, so that what reaches it is read by a parser that is not ours. */
export interface FunctionNode {
  readonly name: string;
  readonly port: number;
  readonly address: string;
  readonly calls: readonly CallSeen[];
  /** Requests whose head has come, read to the end or not. */
  readonly headsSeen: number;
  readonly connections: number;
  /** Every connection is cut and the port refuses. */
  stop(): Promise<void>;
  /** Listens on the same port again. */
  start(): Promise<void>;
}

export type Answer = (request: IncomingMessage, response: ServerResponse, call: CallSeen) => void;

/** Says who answered: `{ node, method, target, bodyBytes, bodyHash }`. */
const introduce =
  (name: string): Answer =>
  (_request, response, call) => {
    response.setHeader("x-node", name);
    response.setHeader("content-type", "application/json");
    response.end(
      JSON.stringify({
        node: name,
        method: call.method,
        target: call.target,
        bodyBytes: call.bodyBytes,
        bodyHash: call.bodyHash,
      }),
    );
  };

export interface FunctionNodeOptions {
  readonly name: string;
  readonly answer?: Answer;
  /** Sees the head before the body is read; true: it deals with the request itself. */
  readonly onHead?: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly keepAliveTimeoutMs?: number;
  /** Speaks TLS with this certificate. Default: speaks in the clear. */
  readonly tls?: SecureOptions;
}

export async function startFunctionNode(t: TestContext, options: FunctionNodeOptions): Promise<FunctionNode> {
  const { name, answer = introduce(name), onHead, keepAliveTimeoutMs = 5000, tls } = options;
  const calls: CallSeen[] = [];
  const sockets = new Set<Socket>();
  let headsSeen = 0;
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    headsSeen++;
    if (onHead?.(request, response) === true) return;
    const hash = createHash("sha256");
    let bodyBytes = 0;
    request.on("data", (chunk: Buffer) => {
      bodyBytes += chunk.length;
      hash.update(chunk);
    });
    request.on("end", () => {
      const call = {
        method: request.method ?? "",
        target: request.url ?? "",
        rawHeaders: request.rawHeaders,
        bodyBytes,
        bodyHash: hash.digest("hex"),
      };
      calls.push(call);
      answer(request, response, call);
    });
    // A client that went away in mid-body: nothing is answered.
    request.on("error", () => response.destroy());
  };
  const keepAlive = { keepAliveTimeout: keepAliveTimeoutMs };
  const server =
    tls === undefined ? createServer(keepAlive, onRequest) : createSecureServer({ ...keepAlive, ...tls }, onRequest);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  let port = 0;
  let letGo = () => {};
  const start = async () => {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        port = (server.address() as AddressInfo).port;
        resolve();
      });
    });
    letGo();
  };
  const close = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy();
      if (server.listening) server.close(() => resolve());
      else resolve();
    });
  const stop = async () => {
    const wasListening = server.listening;
    await close();
    if (wasListening) letGo = await holdPort(port);
  };
  await start();
  t.after(async () => {
    await close();
    letGo();
  });
  return {
    name,
    port,
    address: `127.0.0.1:${port}`,
    calls,
    get headsSeen() {
      return headsSeen;
    },
    get connections() {
      return sockets.size;
    },
    stop,
    start,
  };
}

/** Several nodes called `a`, `b`, `c`, … */
export function startFunctionNodes(
  t: TestContext,
  count: number,
  options: Omit<FunctionNodeOptions, "name"> = {},
): Promise<FunctionNode[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      startFunctionNode(t, { ...options, name: String.fromCharCode(97 + index) }),
    ),
  );
}
