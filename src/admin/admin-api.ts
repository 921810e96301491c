import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import { audit, type Log } from "../core/log.js";
import { withoutPasswords } from "../core/secrets.js";
import { FnlbError } from "../errors.js";
import { problemAnswer, problemOf, RequestError } from "./admin-problem.js";
import type { AdminAnswer, AdminMethod, AdminRequest, AdminRoute } from "./admin-route.js";
import type { AdminServerHandler } from "./admin-server.js";
import { type GuardSettings, judge } from "./guard.js";
import { readQuery } from "./query.js";
import { Refusals } from "./refusals.js";
import { readBody } from "./request-body.js";
import { pathParams, type RoutedPath, Router } from "./router.js";

export interface AdminApiDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

export interface AdminSettings extends GuardSettings {
  readonly connectionsMax: number;
}

/** A request before anything of it is believed. */
interface Call {
  readonly request: IncomingMessage;
  readonly method: AdminMethod;
  readonly path: string;
  readonly query: string;
  readonly client: string;
  readonly signal: AbortSignal;
}

const NO_QUERY = { type: "object", properties: {} } as const;
/** Smaller ones are not worth it. */
const GZIP_BYTES_MIN = 1024;
/** Of a body that nobody wants; then the connection is cut. */
const DISCARDED_BYTES_MAX = 1024 * 1024;

const compress = promisify(gzip);

/** Answers requests by the table of routes: who may, what is asked, and what became of it, in the log if it was a change. */
export class AdminApi implements AdminServerHandler {
  readonly #dependencies: AdminApiDependencies;
  readonly #router: Router;
  readonly #refusals: Refusals;
  /** Those of the config in force; other ones hold from the next request on. */
  settings: AdminSettings;

  constructor(dependencies: AdminApiDependencies, routes: readonly AdminRoute[], settings: AdminSettings) {
    this.#dependencies = dependencies;
    this.#router = new Router(routes);
    this.#refusals = new Refusals(dependencies.clock, dependencies.log);
    this.settings = settings;
  }

  get connectionsMax(): number {
    return this.settings.connectionsMax;
  }

  onSurplus(): void {
    this.#dependencies.counters.adminConnectionsRefusedByLimit++;
  }

  /** Probes are answered truly: an orchestrator would end a process because somebody else holds its connections. */
  answerSurplus(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): void {
    if (this.#isProbe(request)) {
      response.setHeader("connection", "close");
      this.answer(request, response, signal);
      return;
    }
    const detail = `there are ${this.connectionsMax} connections already`;
    void send(request, response, problemAnswer("ERR_AT_CAPACITY", detail, {}, { connection: "close" }));
  }

  #isProbe({ method = "", url = "" }: IncomingMessage): boolean {
    const routed = this.#router.find(url.split("?", 1)[0]);
    return routed?.byMethod.get(routableMethod(method))?.isProbe === true;
  }

  answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): void {
    const { counters, log } = this.#dependencies;
    counters.adminRequests++;
    const { method = "", url = "", socket } = request;
    const mark = url.indexOf("?");
    const call: Call = {
      request,
      method: routableMethod(method),
      path: mark < 0 ? url : url.slice(0, mark),
      query: mark < 0 ? "" : url.slice(mark + 1),
      client: (socket.remoteAddress ?? "unix").replace(/^::ffff:(?=\d)/, ""),
      signal,
    };
    this.#answer(call, response).catch((error: unknown) => {
      // A mistake of ours: it must not take the traffic down with it.
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error({ event: "admin_failed", method: call.method, path: call.path.slice(0, 200), reason });
      if (response.headersSent) response.destroy();
      else void send(request, response, problemAnswer("ERR_INTERNAL", "fnlb has made a mistake, see its log"));
    });
  }

  async #answer(call: Call, response: ServerResponse): Promise<void> {
    const { request, method, path } = call;
    if (!hasHost(request)) {
      await send(request, response, problemAnswer("ERR_BAD_REQUEST", "there must be one Host field"));
      return;
    }
    const { expect = "100-continue" } = request.headers;
    if (expect.toLowerCase() !== "100-continue") {
      await send(request, response, problemAnswer("ERR_EXPECTATION", "nothing but 100-continue can be expected"));
      return;
    }
    const routed = this.#router.find(path);
    // Others have no route, and so are answered 405.
    const route = routed?.byMethod.get(method);
    let actor = "anybody";
    if (route?.isPublic !== true) {
      const verdict = judge(request, this.settings);
      if (verdict.kind === "refused") {
        const { code, detail } = verdict;
        this.#dependencies.counters.adminRequestsRefused++;
        this.#refusals.note({ client: call.client, code, method, path });
        await send(request, response, problemAnswer(code, detail, {}, challengeOf(code)));
        return;
      }
      ({ actor } = verdict);
    }
    if (route === undefined || routed === undefined) {
      await send(request, response, unrouted(routed, call));
      return;
    }
    if (route.stream === undefined) {
      const answer = await this.#handle(route, routed, call, actor);
      await send(request, response, answer);
      answer.afterwards?.();
      return;
    }
    const read = await settle(() => readRequest(route, routed, call, actor));
    if ("refused" in read) await send(request, response, read.refused);
    else if (request.method === "HEAD") await send(request, response, { status: 200, body: "", type: "" });
    else {
      const opened = await settle(() => route.stream?.(read.value, response));
      if ("refused" in opened) await send(request, response, opened.refused);
    }
  }

  async #handle(route: AdminRoute, routed: RoutedPath, call: Call, actor: string): Promise<AdminAnswer> {
    let asked: AdminRequest | undefined;
    const result = await settle(async () => {
      asked = await readRequest(route, routed, call, actor);
      return route.handle?.(asked) ?? { status: 204, body: "", type: "" };
    });
    const answer = "refused" in result ? result.refused : result.value;
    if (route.method !== "GET") this.#audit(route, call, actor, asked, "refused" in result ? result.code : answer);
    return answer;
  }

  /** Every change, and every one that was tried by somebody who may. */
  #audit(
    { name: action }: AdminRoute,
    { client }: Call,
    actor: string,
    asked: AdminRequest | undefined,
    outcome: AdminAnswer | string,
  ): void {
    const { log, counters } = this.#dependencies;
    const change = asked?.body === undefined ? {} : { change: masked(asked.body ?? {}) };
    const fields = { actor, client, action, ...masked(asked?.params ?? {}), ...change };
    if (typeof outcome === "string") {
      audit(log, "warn", { event: "admin_refused", ...fields, code: outcome });
      return;
    }
    counters.adminChanges++;
    audit(log, "info", { event: "admin_change", ...fields, ...outcome.about, result: resultOf(outcome.body) });
  }
}

/** Fields as the log may have them: somebody may have written a node as a URL with a password. */
function masked(fields: object): Readonly<Record<string, unknown>> {
  const shown = (value: unknown) => (typeof value === "string" ? withoutPasswords(value) : value);
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shown(value)]));
}

/** RFC 9112 §3.2: exactly one, but for HTTP/1.0, which may have none. */
function hasHost({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  const count = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
  return count === 1 || (count === 0 && httpVersion === "1.0");
}

/** Any text: those that are no method of a route find none. */
function routableMethod(method: string): AdminMethod {
  return method === "HEAD" ? "GET" : (method as AdminMethod);
}

function challengeOf(code: string): Readonly<Record<string, string>> {
  return code === "ERR_UNAUTHORIZED" ? { "www-authenticate": 'Bearer realm="fnlb"' } : {};
}

function unrouted(routed: RoutedPath | undefined, { request }: Call): AdminAnswer {
  if (routed === undefined) return problemAnswer("ERR_NOT_FOUND", "there is nothing here, see /v1/openapi.json");
  const { allow } = routed;
  if (request.method === "OPTIONS") return { status: 204, body: "", type: "", headers: { allow } };
  return problemAnswer("ERR_METHOD", `only ${allow} can be asked here`, {}, { allow });
}

async function readRequest(
  route: AdminRoute,
  { segments }: RoutedPath,
  { request, query, client, signal }: Call,
  actor: string,
): Promise<AdminRequest> {
  const params = pathParams(route, segments);
  const values = readQuery(route.query ?? NO_QUERY, query);
  const body = await readBody(request, route.body);
  return { params, query: values, body, headers: request.headers, actor, client, signal };
}

type Settled<T> = { readonly value: T } | { readonly refused: AdminAnswer; readonly code: string };

/** Operating errors as answers; others are thrown on. */
async function settle<T>(act: () => T | Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await act() };
  } catch (error) {
    if (!(error instanceof FnlbError)) throw error;
    const { code } = error;
    // What is wrong with the request is said by the request's own errors; an option is what it named.
    const told = code === "ERR_OPTION" ? new RequestError(error.message) : error;
    return { refused: problemOf(told), code: told.code };
  }
}

/** Of a change: "applied" or "unchanged". */
function resultOf(body: unknown): unknown {
  return typeof body === "object" && body !== null && "result" in body ? body.result : undefined;
}

async function send(request: IncomingMessage, response: ServerResponse, answer: AdminAnswer): Promise<void> {
  const { status, body, type, isCompressible = false } = answer;
  let bytes = Buffer.from(type === undefined ? `${JSON.stringify(body)}\n` : String(body));
  const headers: Record<string, string> = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(type === "" ? {} : { "content-type": type ?? "application/json" }),
    ...answer.headers,
  };
  if (isCompressible) {
    headers.vary = "accept-encoding";
    if (bytes.length >= GZIP_BYTES_MIN && takesGzip(request)) {
      bytes = await compress(bytes);
      headers["content-encoding"] = "gzip";
    }
  }
  if (status !== 204 && status !== 304) headers["content-length"] = `${bytes.length}`;
  if (response.destroyed) return;
  response.writeHead(status, headers);
  response.end(bytes);
  if (!request.complete) discard(request);
}

/** Without it a client that is still sending would be reset, and might never see its answer. */
function discard(request: IncomingMessage): void {
  let left = DISCARDED_BYTES_MAX;
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    // Outside of OpenSSL's read, which does not survive the end of its connection.
    if (left < 0) setImmediate(() => request.destroy());
  });
}

function takesGzip({ headers }: IncomingMessage): boolean {
  return String(headers["accept-encoding"] ?? "")
    .split(",")
    .some((item) => /^\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$)|$)/i.test(item));
}
