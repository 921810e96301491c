/**
 * The codes of every operating error. They are public API: documented in `docs/errors.md`, never renamed,
 * matched by callers instead of messages.
 */
export type ErrorCode = keyof typeof HTTP_STATUS;

/** HTTP status that a client sees for each code; 0 where no response can be sent for it. */
export const HTTP_STATUS = {
  ERR_BAD_REQUEST: 400,
  ERR_NO_KEY: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_NO_ROUTE: 404,
  ERR_NOT_FOUND: 404,
  ERR_METHOD: 405,
  ERR_REQUEST_TIMEOUT: 408,
  ERR_CONFLICT: 409,
  ERR_BODY_TOO_LARGE: 413,
  ERR_TARGET_TOO_LONG: 414,
  ERR_MEDIA_TYPE: 415,
  ERR_EXPECTATION: 417,
  ERR_CLIENT_LIMIT: 429,
  ERR_HEAD_TOO_LARGE: 431,
  ERR_INTERNAL: 500,
  ERR_NOT_IMPLEMENTED: 501,
  ERR_NO_FALLBACK_NODE_FOUND: 502,
  ERR_BAD_RESPONSE: 502,
  ERR_NODE_CLOSED: 502,
  ERR_NO_NODE: 503,
  ERR_NO_ACTIVE_NODE: 503,
  ERR_NO_HEALTHY_NODE: 503,
  ERR_AT_CAPACITY: 503,
  ERR_QUEUE_TIMEOUT: 503,
  ERR_RESOURCES: 503,
  ERR_DRAINING: 503,
  ERR_STORE: 503,
  ERR_NODE_TIMEOUT: 504,
  ERR_VERSION: 505,
  ERR_LOOP: 508,
  ERR_OPTION: 0,
  ERR_LISTEN: 0,
} as const;

/** Every operating error of fnlb. Programmer errors are `node:assert` failures and crash instead. */
export class FnlbError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "FnlbError";
    this.code = code;
  }
}

/** No node of the cluster could be reached: every one was dialled or is known to be dead. */
export class ErrNoFallbackNodeFound extends FnlbError {
  constructor(options?: ErrorOptions) {
    super("ERR_NO_FALLBACK_NODE_FOUND", "no fallback node found - whole cluster seems offline", options);
    this.name = "ErrNoFallbackNodeFound";
  }
}
