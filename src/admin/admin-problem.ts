import { STATUS_CODES } from "node:http";
import { type ErrorCode, FnlbError, HTTP_STATUS } from "../errors.js";
import type { AdminAnswer } from "./admin-route.js";
import { object, type Schema, text, whole } from "./schema.js";

/** Where in a request something is wrong. */
export interface ProblemPlace {
  /** Of the body (RFC 6901). */
  readonly pointer?: string;
  /** Of the query or the path. */
  readonly parameter?: string;
}

/** An error whose place in the request is known. */
export class RequestError extends FnlbError {
  readonly place: ProblemPlace;

  constructor(detail: string, place: ProblemPlace = {}) {
    super("ERR_BAD_REQUEST", detail);
    this.name = "RequestError";
    this.place = place;
  }
}

export const PROBLEM_TYPE = "application/problem+json";

/** RFC 9457. */
export const PROBLEM: Schema<unknown> = object(
  {
    type: text(),
    title: text({ description: "What the status is called." }),
    status: whole(),
    code: text({ description: "A code of docs/errors.md." }),
    detail: text({ description: "One sentence for people." }),
  },
  {
    pointer: text({ description: "The field of the body that is at fault, as a JSON pointer (RFC 6901)." }),
    parameter: text({ description: "The parameter of the path or query that is at fault." }),
  },
  { title: "Problem", description: "What went wrong (RFC 9457)." },
);

/** The answer to a request that failed. */
export function problemAnswer(
  code: ErrorCode,
  detail: string,
  { pointer, parameter }: ProblemPlace = {},
  headers: Readonly<Record<string, string>> = {},
): AdminAnswer {
  const status = HTTP_STATUS[code];
  const body = {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    code,
    detail,
    ...(pointer === undefined ? {} : { pointer }),
    ...(parameter === undefined ? {} : { parameter }),
  };
  const retry = status === 503 ? { "retry-after": "1" } : {};
  return { status, body: `${JSON.stringify(body)}\n`, type: PROBLEM_TYPE, headers: { ...retry, ...headers } };
}

/** The same for what a handler has thrown. */
export function problemOf(error: FnlbError): AdminAnswer {
  return problemAnswer(error.code, error.message, error instanceof RequestError ? error.place : {});
}
