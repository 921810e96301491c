import { type ClientRequest, createServer, type IncomingMessage, request, type ServerOptions } from "node:http";
import { Duplex, duplexPair } from "node:stream";
import { turns } from "./fake-clock.js";

/** A message as the runtime's own parser reads it. */
export interface MessageSeen {
  /** Of a request; "" of a response. */
  readonly method: string;
  readonly target: string;
  /** Of a response; 0 of a request. */
  readonly status: number;
  readonly fields: readonly (readonly [string, string])[];
  readonly trailers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** Turns of the event loop in which bytes that are there must have been read: no bytes come from outside. */
const TURNS_MAX = 100;

const OPTIONS: ServerOptions = {
  insecureHTTPParser: false,
  maxHeaderSize: 1024 * 1024,
  requestTimeout: 0,
  headersTimeout: 0,
  keepAliveTimeout: 0,
  connectionsCheckingInterval: 3_600_000,
};

function pairs(raw: readonly string[]): readonly (readonly [string, string])[] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[index * 2], raw[index * 2 + 1]] as const);
}

async function read(message: IncomingMessage): Promise<MessageSeen> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return {
    method: message.method ?? "",
    target: message.url ?? "",
    status: message.statusCode ?? 0,
    fields: pairs(message.rawHeaders),
    trailers: pairs(message.rawTrailers),
    body: Buffer.concat(chunks),
  };
}

/** The first `count` requests that `node:http` reads from these bytes of one connection, and its error, if any. */
export async function readRequests(
  bytes: Buffer,
  count: number,
): Promise<{ readonly requests: readonly MessageSeen[]; readonly error: string | undefined }> {
  const requests: MessageSeen[] = [];
  let begun = 0;
  let complete = 0;
  let error: string | undefined;
  const server = createServer(OPTIONS, (incoming, response) => {
    const index = begun++;
    read(incoming).then(
      (seen) => {
        requests[index] = seen;
        complete++;
        response.end();
      },
      (failure: NodeJS.ErrnoException) => {
        error ??= failure.code ?? failure.message;
      },
    );
  });
  server.maxHeadersCount = 0;
  server.on("clientError", (failure: NodeJS.ErrnoException, socket) => {
    error ??= failure.code ?? failure.message;
    socket.destroy();
  });
  const [near, far] = duplexPair();
  near.on("error", () => {
    // The server cut the connection; what it thinks of the bytes was told by "clientError".
  });
  near.resume();
  server.emit("connection", far);
  near.write(bytes);
  for (let turn = 0; turn < TURNS_MAX && complete < count && error === undefined; turn++) await turns(1);
  near.destroy();
  far.destroy();
  return { requests, error };
}

/** A stream whose other side is in the hands of `feed`. */
class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

export interface ResponseSeen {
  readonly interims: readonly number[];
  readonly response: MessageSeen | undefined;
  readonly error: string | undefined;
}

/** The response to a request of that method that `node:http` reads from these bytes; undefined if it is not complete. */
export async function readResponseBytes(bytes: Buffer, method: string, hasEnded: boolean): Promise<ResponseSeen> {
  const wire = new Wire();
  const interims: number[] = [];
  let response: MessageSeen | undefined;
  let error: string | undefined;
  const fail = (failure: NodeJS.ErrnoException) => {
    error ??= failure.code ?? failure.message;
  };
  const asked: ClientRequest = request({
    method,
    createConnection: () => wire,
    insecureHTTPParser: false,
    maxHeaderSize: 1024 * 1024,
  });
  asked.on("information", ({ statusCode }) => interims.push(statusCode));
  asked.on("error", fail);
  asked.on("response", (incoming) => {
    read(incoming).then((seen) => {
      if (incoming.complete) response = seen;
    }, fail);
  });
  asked.end();
  await turns(2);
  wire.push(bytes);
  if (hasEnded) wire.push(null);
  for (let turn = 0; turn < 12 && error === undefined; turn++) await turns(1);
  wire.destroy();
  asked.destroy();
  return { interims, response, error };
}
