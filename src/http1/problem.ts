import { type ErrorCode, HTTP_STATUS } from "../errors.js";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  508: "Loop Detected",
};

const DETAILS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ERR_BAD_REQUEST: "the request is malformed or ambiguous",
  ERR_METHOD: "this method is not forwarded",
  ERR_REQUEST_TIMEOUT: "the request did not arrive in time",
  ERR_BODY_TOO_LARGE: "the request body is larger than allowed",
  ERR_TARGET_TOO_LONG: "the request target is longer than allowed",
  ERR_EXPECTATION: "only 100-continue can be expected",
  ERR_CLIENT_LIMIT: "too many connections from this address",
  ERR_HEAD_TOO_LARGE: "the request head is larger than allowed",
  ERR_NOT_IMPLEMENTED: "this transfer coding is not spoken here",
  ERR_VERSION: "only HTTP/1.0 and HTTP/1.1 are spoken here",
  ERR_NO_KEY: "the request has no key to be routed by",
  ERR_NO_FALLBACK_NODE_FOUND: "no fallback node found - whole cluster seems offline",
  ERR_BAD_RESPONSE: "the node's answer is not valid HTTP",
  ERR_NODE_CLOSED: "the node closed the connection before it answered",
  ERR_NO_ROUTE: "no route matches the request",
  ERR_NO_NODE: "the cluster has no nodes",
  ERR_NO_ACTIVE_NODE: "no node is active",
  ERR_NO_HEALTHY_NODE: "no node is healthy",
  ERR_QUEUE_TIMEOUT: "no node had a place in time",
  ERR_AT_CAPACITY: "every node is at its limit",
  ERR_RESOURCES: "the balancer is out of resources",
  ERR_DRAINING: "the balancer takes no new requests here",
  ERR_NODE_TIMEOUT: "the node did not answer in time",
  ERR_LOOP: "the request came through this balancer before",
};

/** What the answer says in words; "" for codes that no answer has. */
export function detailOf(code: ErrorCode): string {
  return DETAILS[code] ?? "";
}

export interface ProblemOptions {
  /** Say `Connection: close`. */
  readonly closes: boolean;
  /** Leave the body out, as the answer to HEAD. */
  readonly isHead: boolean;
  /** IMF-fixdate for the Date field. */
  readonly date: string;
}

/** A complete response for an error: `application/problem+json` (RFC 9457) with the code and no internal address. */
export function problemResponse(code: ErrorCode, { closes, isHead, date }: ProblemOptions): Buffer {
  const status = HTTP_STATUS[code];
  const title = TITLES[status];
  const body = `${JSON.stringify({ type: "about:blank", title, status, code, detail: DETAILS[code] })}\n`;
  const retry = status === 503 || status === 429 ? "Retry-After: 1\r\n" : "";
  const allow = code === "ERR_METHOD" ? "Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n" : "";
  const close = closes ? "Connection: close\r\n" : "";
  return Buffer.from(
    `HTTP/1.1 ${status} ${title}\r\nDate: ${date}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n${retry}${allow}${close}\r\n${isHead ? "" : body}`,
    "latin1",
  );
}

/** The answer to `OPTIONS *`, which asks about the balancer itself. */
export function optionsResponse(closes: boolean, date: string): Buffer {
  const close = closes ? "Connection: close\r\n" : "";
  return Buffer.from(
    `HTTP/1.1 200 OK\r\nDate: ${date}\r\nAllow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\nContent-Length: 0\r\n${close}\r\n`,
    "latin1",
  );
}
