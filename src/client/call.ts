import { type Dispatcher, errors } from "undici";
import type { Exchange, Refusal } from "../core/exchange.js";
import { hashString } from "../core/hash.js";
import { NodeSet } from "../core/node-set.js";
import { isIdempotent } from "../core/retry.js";

/** A handler of undici's present interface with all its methods; what undici's `compose` hands on is one. */
export type CallHandler = Required<
  Pick<
    Dispatcher.DispatchHandler,
    "onRequestStart" | "onRequestUpgrade" | "onResponseStart" | "onResponseData" | "onResponseEnd" | "onResponseError"
  >
>;

type RawFields = NonNullable<Dispatcher.DispatchController["rawHeaders"]> | null;

export interface CallEvents {
  /** The call has ended, however. Once. */
  onOver(call: Call): void;
}

/**
 * One request of a caller over all its attempts. It is also what the caller controls it by, from its start and not
 * only from the first connection on, so that it can be given up while a node is looked for.
 */
export class Call implements Exchange, Dispatcher.DispatchController {
  /** Once it has been routed: as it goes to every node, but for the node's origin and base path. */
  options: Dispatcher.DispatchOptions;
  keyHash = 0;
  readonly tried = new NodeSet();
  refusal: Refusal = "none";
  stamp = 0;
  /** The caller or RFC 9110 says that it may be sent twice. */
  readonly isIdempotent: boolean;
  /** The body, if any, can be sent a second time. */
  readonly isBodyHeld: boolean;
  /** When the search for a node that can be reached must end. */
  dialDeadlineMs = Number.POSITIVE_INFINITY;
  /** Nodes that were reached. */
  attempts = 0;
  /** Why the node that was reached failed, while a repetition looks for another. It is paid for when that is reached. */
  repeatedFor: Error | undefined;
  /** It has been moved off a silent node, which is done once. */
  hasMoved = false;
  /** It has met a connection that its node had given up. */
  hasMetStale = false;
  reason: Error | null = null;
  #key = "";
  readonly #handler: CallHandler;
  readonly #events: CallEvents;
  #attempt: Dispatcher.DispatchController | undefined;
  #isPaused = false;
  #isOver = false;

  constructor(options: Dispatcher.DispatchOptions, handler: CallHandler, events: CallEvents) {
    this.#handler = handler;
    this.#events = events;
    this.options = options;
    this.isIdempotent = options.idempotent ?? isIdempotent(options.method);
    this.isBodyHeld = isHeld(options.body);
  }

  key(): string {
    return this.#key;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get aborted(): boolean {
    return this.reason !== null;
  }

  get paused(): boolean {
    return this.#isPaused;
  }

  get rawHeaders(): RawFields {
    return this.#attempt?.rawHeaders ?? null;
  }

  /** Interceptors that change a response write it. */
  set rawHeaders(fields: RawFields) {
    if (this.#attempt !== undefined) this.#attempt.rawHeaders = fields;
  }

  get rawTrailers(): RawFields {
    return this.#attempt?.rawTrailers ?? null;
  }

  set rawTrailers(fields: RawFields) {
    if (this.#attempt !== undefined) this.#attempt.rawTrailers = fields;
  }

  /** Tells the caller, before anything is sent. */
  begin(key: string, options: Dispatcher.DispatchOptions): void {
    this.#key = key;
    this.keyHash = hashString(key);
    this.options = options;
    this.#handler.onRequestStart(this, {});
  }

  /** Another attempt has a connection. */
  beginAttempt(controller: Dispatcher.DispatchController): void {
    this.#attempt = controller;
    this.attempts++;
    if (this.#isPaused) controller.pause();
  }

  /** Handlers of undici's former interface give no reason. */
  abort(reason?: Error): void {
    if (this.#isOver) return;
    this.reason = reason ?? new errors.RequestAbortedError();
    this.#attempt?.abort(this.reason);
    // While a node is looked for, nothing runs that would report it.
    this.fail(this.reason);
  }

  pause(): void {
    this.#isPaused = true;
    this.#attempt?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#attempt?.resume();
  }

  startResponse(status: number, headers: Parameters<CallHandler["onResponseStart"]>[2], message: string): void {
    this.#handler.onResponseStart(this, status, headers, message);
  }

  passData(chunk: Buffer): void {
    this.#handler.onResponseData(this, chunk);
  }

  finish(trailers: Parameters<CallHandler["onResponseEnd"]>[1]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.#handler.onResponseEnd(this, trailers);
    } catch (error) {
      // undici hands it to `onResponseError`, which is how interceptors turn a response into an error.
      this.#isOver = false;
      throw error;
    }
    this.#events.onOver(this);
  }

  upgrade(
    status: number,
    headers: Parameters<CallHandler["onRequestUpgrade"]>[2],
    socket: Parameters<CallHandler["onRequestUpgrade"]>[3],
  ): void {
    if (!this.#end()) return;
    this.#handler.onRequestUpgrade(this, status, headers, socket);
  }

  fail(error: Error): void {
    if (!this.#end()) return;
    this.#handler.onResponseError(this, error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#events.onOver(this);
    return true;
  }
}

/** Bodies that are there as a whole; a stream is gone once it has been read. */
function isHeld(body: unknown): boolean {
  return (
    body === undefined ||
    body === null ||
    typeof body === "string" ||
    ArrayBuffer.isView(body) ||
    body instanceof ArrayBuffer ||
    body instanceof Blob ||
    Object.prototype.toString.call(body) === "[object FormData]"
  );
}
