// Runs for every request (`earn`) and every failed attempt (`decideRepeat`): nothing here allocates.
import { FnlbError } from "../errors.js";

export interface RetryBudgetOptions {
  /** Tokens that a request earns. Default 0.2: one repeat for five requests. */
  readonly tokensPerRequest?: number;
  /** Tokens at the start. Default 10: a balancer that has just started may still repeat. */
  readonly tokensInitial?: number;
  /** Tokens that a quiet time can save up. Default 100. */
  readonly tokensMax?: number;
}

/** Tokens are counted in thousandths, so that five times 0.2 is exactly one. */
const TOKEN = 1000;

/**
 * Bounds the repeats of requests that reached a node to a share of the traffic. Without it, a cluster that is
 * failing under load gets every request `attemptsMax` times and cannot recover.
 *
 * A request that did not reach a node costs nothing: no node did any work for it.
 */
export class RetryBudget {
  readonly #earned: number;
  readonly #max: number;
  #balance: number;

  /** Throws `ERR_OPTION` for a number below 0 and for a start above the maximum. */
  constructor({ tokensPerRequest = 0.2, tokensInitial = 10, tokensMax = 100 }: RetryBudgetOptions = {}) {
    this.#earned = toThousandths("tokensPerRequest", tokensPerRequest);
    this.#max = toThousandths("tokensMax", tokensMax);
    this.#balance = toThousandths("tokensInitial", tokensInitial);
    if (this.#balance > this.#max) {
      throw new FnlbError("ERR_OPTION", `option "tokensInitial" must be at most ${tokensMax}, got ${tokensInitial}`);
    }
  }

  /** Once for each request of a client, however many attempts it takes. */
  earn(): void {
    this.#balance = Math.min(this.#balance + this.#earned, this.#max);
  }

  /** Pays for one repeat. False, and nothing is paid, when less than a token is left. */
  spend(): boolean {
    if (!this.hasToken) return false;
    this.#balance -= TOKEN;
    return true;
  }

  get hasToken(): boolean {
    return this.#balance >= TOKEN;
  }

  /** Tokens left, for metrics. */
  get tokens(): number {
    return this.#balance / TOKEN;
  }
}

function toThousandths(option: string, tokens: number): number {
  if (!Number.isFinite(tokens) || tokens < 0) {
    throw new FnlbError("ERR_OPTION", `option "${option}" must be a number of tokens from 0 upwards, got ${tokens}`);
  }
  return Math.round(tokens * TOKEN);
}

/** True for the methods that a server may be asked twice (RFC 9110 §9.2.2). */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "OPTIONS":
    case "PUT":
    case "DELETE":
    case "TRACE":
      return true;
    default:
      return false;
  }
}

/** What is known of an attempt that failed. The exchange itself has this shape: nothing is copied to ask. */
export interface FailedAttempt {
  /** Bytes of the request were written to an established connection. */
  readonly reached: boolean;
  /** Bytes of the response that came from the node. */
  readonly responseBytesSeen: number;
  /** The method may be repeated, see `isIdempotent`. */
  readonly idempotent: boolean;
  /** Every byte of the body that was read from the client is still held. */
  readonly bodyHeld: boolean;
  /** Attempts that reached a node so far, this one included; a dial that failed is none. */
  readonly attempts: number;
}

export type RepeatDecision =
  /** The next eligible node; nobody has seen the request. Costs neither an attempt nor a token. */
  | { readonly kind: "cascade" }
  /** The next eligible node gets the request again; the caller spends a token. */
  | { readonly kind: "repeat" }
  | { readonly kind: "fail"; readonly reason: RepeatRefusal };

/** Why a failed attempt is final. */
type RepeatRefusal = "response-started" | "body-not-held" | "not-idempotent" | "attempts-spent" | "budget-spent";

const CASCADE: RepeatDecision = { kind: "cascade" };
const REPEAT: RepeatDecision = { kind: "repeat" };
const RESPONSE_STARTED: RepeatDecision = { kind: "fail", reason: "response-started" };
const BODY_NOT_HELD: RepeatDecision = { kind: "fail", reason: "body-not-held" };
const NOT_IDEMPOTENT: RepeatDecision = { kind: "fail", reason: "not-idempotent" };
const ATTEMPTS_SPENT: RepeatDecision = { kind: "fail", reason: "attempts-spent" };
const BUDGET_SPENT: RepeatDecision = { kind: "fail", reason: "budget-spent" };

/**
 * What may follow a failed attempt. The order of the checks is the contract: what would be wrong is refused
 * before what would merely be too much.
 *
 * A non-idempotent request that reached a node is never sent again, not even after a reused connection died
 * without a byte: the node may have acted on it (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
 */
export function decideRepeat(attempt: FailedAttempt, attemptsMax: number, budget: RetryBudget): RepeatDecision {
  if (attempt.responseBytesSeen > 0) return RESPONSE_STARTED;
  if (!attempt.bodyHeld) return BODY_NOT_HELD;
  if (!attempt.reached) return CASCADE;
  if (!attempt.idempotent) return NOT_IDEMPOTENT;
  if (attempt.attempts >= attemptsMax) return ATTEMPTS_SPENT;
  if (!budget.hasToken) return BUDGET_SPENT;
  return REPEAT;
}
