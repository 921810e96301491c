import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { ErrorCode } from "../errors.js";
import type { Schema, SchemaFields, ValueOf } from "./schema.js";

export type AdminMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A request that may be answered: who sends it may, and all of it is as its route says. */
export interface AdminRequest<Query = unknown, Body = unknown> {
  /** The parts of the path in braces, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly headers: IncomingHttpHeaders;
  /** Who asks: "token", "certificate CN=…", "local". */
  readonly actor: string;
  /** Address of the client; "unix" on a unix socket. */
  readonly client: string;
  /** Aborts when the client is gone or the server is being closed. */
  readonly signal: AbortSignal;
}

/** What is sent: JSON, or text of another type. */
export interface AdminAnswer {
  readonly status: number;
  /** Sent as JSON; a text with `type` as it is. */
  readonly body: unknown;
  /** Content type of a body that is text. Default: JSON. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** May be compressed: it is large, and no secret stands beside what others can choose. */
  readonly isCompressible?: true;
  /** What the audit log knows better from the answer than from the request. */
  readonly about?: Readonly<Record<string, unknown>>;
  /** Done behind the audit log. */
  readonly afterwards?: () => void;
}

/** One of the answers that a route gives, for the OpenAPI document. */
export interface AnswerSpec {
  readonly description: string;
  /** Of a JSON body. */
  readonly schema?: SchemaFields;
  /** Content types of other bodies. */
  readonly types?: readonly string[];
}

/** One row of the table that requests are routed by, checked by and described by. */
export interface AdminRoute {
  readonly method: AdminMethod;
  /** `/v1/clusters/{cluster}/nodes/{id}`; each part in braces is one segment. */
  readonly path: string;
  /** `addNode`: its id in the OpenAPI document, and the action in the audit log. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Answered to everybody. */
  readonly isPublic?: true;
  /** Answered on connections above the limit, too. */
  readonly isProbe?: true;
  /** Left out of the OpenAPI document: files that only browsers ask for. */
  readonly isUnlisted?: true;
  /** Sentences about the parts of the path, by name. */
  readonly params?: Readonly<Record<string, string>>;
  /** The parameters that the query may have: an object of texts, numbers and lists of these. */
  readonly query?: SchemaFields;
  /** What the body must be; without it there must be none. */
  readonly body?: SchemaFields;
  /** By status. */
  readonly answers: Readonly<Record<number, AnswerSpec>>;
  /** What it may fail with besides what every route does. */
  readonly errors?: readonly ErrorCode[];
  /** Rejects with an `FnlbError`, whose code decides the status. */
  readonly handle?: (request: AdminRequest) => AdminAnswer | Promise<AdminAnswer>;
  /** Instead of `handle`: writes the response itself, until the signal aborts. Throws an `FnlbError` before anything is written. */
  readonly stream?: (request: AdminRequest, response: ServerResponse) => void;
}

interface TypedRoute<Query extends Schema<unknown>, Body extends Schema<unknown>>
  extends Omit<AdminRoute, "query" | "body" | "handle"> {
  readonly query?: Query;
  readonly body?: Body;
  readonly handle: (request: AdminRequest<ValueOf<Query>, ValueOf<Body>>) => AdminAnswer | Promise<AdminAnswer>;
}

/** A row whose handler gets what its schemas accept. */
export function adminRoute<
  Query extends Schema<unknown> = Schema<unknown>,
  Body extends Schema<unknown> = Schema<unknown>,
>(route: TypedRoute<Query, Body>): AdminRoute {
  // The router has checked query and body by the schemas that these types are made from.
  return route as unknown as AdminRoute;
}

/** 200 with JSON. */
export function ok(body: unknown): AdminAnswer {
  return { status: 200, body };
}
