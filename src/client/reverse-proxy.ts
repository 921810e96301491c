import assert from "node:assert";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { type Dispatcher, errors } from "undici";
import { isDialFault } from "../core/dead-hosts.js";
import { type ErrorCode, FnlbError, HTTP_STATUS } from "../errors.js";
import { FallbackRoundTripper, type FallbackRoundTripperOptions } from "./fallback-round-tripper.js";

/** A handler for `node:http`, Express, Connect and, through its raw request and reply, Fastify. */
export interface ReverseProxyHandler {
  (request: IncomingMessage, response: ServerResponse): void;
  readonly roundTripper: FallbackRoundTripper;
  /** Resolves when what runs has ended. */
  close(): Promise<void>;
}

/** A request as it will go to a node. */
export interface OutgoingRequest {
  method: string;
  /** Path and query; the path is what chooses the node, unless the option `key` says otherwise. */
  path: string;
  /** Names and values in their order, those of the hop left out, X-Forwarded-For added. */
  headers: (readonly [name: string, value: string])[];
}

export interface ReverseProxyOptions extends FallbackRoundTripperOptions {
  /**
   * Changes a request before a node is picked for it: once per request, however many nodes are tried. What it throws
   * is thrown to whoever called the handler, and no node is asked. Default: nothing is changed.
   */
  readonly rewrite?: (outgoing: OutgoingRequest, received: IncomingMessage) => void;
  /**
   * Answers a request that has failed before its response began; it must end the response. The error is an `FnlbError`
   * with a code, or undici's. Not asked when the client has gone, nor when a response breaks off midway, which resets
   * the client. Default: a problem with the error's code (RFC 9457).
   */
  readonly onError?: (error: Error, received: IncomingMessage, response: ServerResponse) => void;
}

/** Fields of one hop (RFC 9110 §7.6.1), and those that undici sets or refuses itself. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

/**
 * A reverse proxy on a consistent-hash ring with fallback, as a request handler: `createServer(handler)` or
 * `app.use(handler)`. Takes the options of `FallbackRoundTripper`, and hooks for requests that are to be changed and
 * for those that fail. Bodies stream both ways; X-Forwarded-For is appended to. It must stand before what reads bodies,
 * such as `express.json()`, and asserts that. When no node can be reached it answers with a problem (RFC 9457), as the program does; a response that
 * breaks off midway resets the client.
 *
 * It goes through Node's own HTTP server and a client library: convenient inside a program, and several times
 * slower than `createBalancer`. Upgrades are not taken.
 */
export function consistentHashReverseProxy(options: ReverseProxyOptions): ReverseProxyHandler {
  const { rewrite = () => {}, onError = answerProblem, ...rest } = options;
  const roundTripper = new FallbackRoundTripper(rest);
  const hooks = { rewrite, onError };
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    forward(roundTripper, hooks, request, response);
  return Object.assign(handler, { roundTripper, close: () => roundTripper.close() });
}

type Hooks = Required<Pick<ReverseProxyOptions, "rewrite" | "onError">>;

function forward(
  roundTripper: FallbackRoundTripper,
  { rewrite, onError }: Hooks,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const outgoing = { method: request.method ?? "GET", path: request.url ?? "/", headers: requestFields(request) };
  rewrite(outgoing, request);
  const { "content-length": length, "transfer-encoding": coding } = request.headers;
  const hasBody = coding !== undefined || (length !== undefined && length !== "0");
  // Or the node would get the request without it, and answer that.
  assert(!hasBody || !request.readableDidRead, "the proxy must stand before what reads the bodies of requests");
  let abort = () => {};
  // A client that leaves frees its node.
  response.once("close", () => {
    if (!response.writableFinished) abort();
  });
  roundTripper.dispatch(
    {
      method: outgoing.method as Dispatcher.HttpMethod,
      path: outgoing.path,
      headers: outgoing.headers.flat(),
      body: hasBody ? request : null,
    },
    {
      onRequestStart(controller) {
        abort = () => controller.abort(new Error("the client has gone"));
        if (response.destroyed) abort();
      },
      onResponseStart(controller, status, headers, message) {
        if (status < 200) return;
        response.writeHead(status, message, responseFields(headers));
        response.on("drain", () => controller.resume());
      },
      onResponseData(controller, chunk) {
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd() {
        response.end();
      },
      onResponseError(_controller, error) {
        // What is left of the request is read and thrown away, or its sender would wait for ever.
        if (hasBody) request.resume();
        if (response.headersSent) response.destroy(error);
        else if (!response.destroyed) onError(error, request, response);
      },
    },
  );
}

function requestFields(request: IncomingMessage): OutgoingRequest["headers"] {
  const named = new Set(
    String(request.headers.connection ?? "")
      .toLowerCase()
      .split(",")
      .map((name) => name.trim()),
  );
  const fields: OutgoingRequest["headers"] = [];
  const forwarded: string[] = [];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index].toLowerCase();
    const value = request.rawHeaders[index + 1];
    if (name === "x-forwarded-for") forwarded.push(value);
    // Framing and routing stay, whatever Connection names.
    else if (!HOP_BY_HOP.has(name) && (!named.has(name) || name === "host" || name === "content-length"))
      fields.push([request.rawHeaders[index], value]);
  }
  const peer = request.socket.remoteAddress;
  if (peer !== undefined) forwarded.push(peer.replace(/^::ffff:(?=\d+\.)/, ""));
  if (forwarded.length > 0) fields.push(["X-Forwarded-For", forwarded.join(", ")]);
  return fields;
}

function responseFields(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set(
    String(headers.connection ?? "")
      .toLowerCase()
      .split(",")
      .map((name) => name.trim()),
  );
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !HOP_BY_HOP.has(name) && (!named.has(name) || name === "content-length"),
    ),
  );
}

function answerProblem(error: Error, _request: IncomingMessage, response: ServerResponse): void {
  const code = problemOf(error);
  const status = HTTP_STATUS[code];
  const retry: Record<string, string> = status === 503 ? { "retry-after": "1" } : {};
  response.writeHead(status, { "content-type": "application/problem+json", ...retry });
  response.end(`${JSON.stringify({ type: "about:blank", status, code })}\n`);
}

function problemOf(error: Error): ErrorCode {
  if (error instanceof FnlbError) return error.code;
  if (error instanceof errors.HTTPParserError) return "ERR_BAD_RESPONSE";
  const code = "code" in error ? String(error.code) : "";
  switch (code) {
    case "UND_ERR_HEADERS_TIMEOUT":
    case "UND_ERR_BODY_TIMEOUT":
      return "ERR_NODE_TIMEOUT";
    case "UND_ERR_INVALID_ARG":
    case "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH":
      return "ERR_BAD_REQUEST";
    case "UND_ERR_CLOSED":
    case "UND_ERR_DESTROYED":
      return "ERR_DRAINING";
    case "UND_ERR_HEADERS_OVERFLOW":
      return "ERR_BAD_RESPONSE";
    default:
      return isDialFault(code) ? "ERR_NODE_CLOSED" : "ERR_RESOURCES";
  }
}
