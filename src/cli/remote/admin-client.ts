import type { Client } from "undici";
import type { AdminPlace } from "./admin-place.js";
import { Failure } from "./display/failure.js";
import { plainText } from "./display/text-width.js";

/** A question to the admin API. */
export interface AdminRequest {
  /** What is wanted, as in "could not …": `drain node a:8080`. */
  readonly purpose: string;
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** What the admin API said: the text as it came, and what it means. */
export interface AdminAnswer {
  /** Of success: 200, or 201 for what was not there. */
  readonly status: number;
  readonly text: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** Why there is no answer that could be used. */
export class Refusal extends Failure {
  /** HTTP status; 0 where nobody answered. */
  readonly status: number;

  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

const CONNECT_TIMEOUT_MS = 3000;
/** Of undici: its class would have to be loaded to be compared with. */
const CONNECT_TIMEOUT_CODE = "UND_ERR_CONNECT_TIMEOUT";
/** For the whole exchange. */
const TIMEOUT_MS = 10_000;
/** Thousands of nodes, and the end of what a confused server may send. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Asks the admin API of one balancer, over one connection. Whatever goes wrong is a `Refusal` that names the purpose. */
export class AdminClient {
  readonly place: AdminPlace;
  readonly #timeoutMs: number;
  #client: Promise<Client> | undefined;

  constructor(place: AdminPlace, { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {}) {
    this.place = place;
    this.#timeoutMs = timeoutMs;
  }

  /** Rejects with a `Refusal`. `signal` gives the answer up. */
  async ask(request: AdminRequest, signal?: AbortSignal): Promise<AdminAnswer> {
    const { purpose, method = "GET", path, body } = request;
    const { token } = this.place;
    this.#client ??= this.#open();
    const client = await this.#client;
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    let status: number;
    let text: string;
    try {
      const response = await client.request({
        method,
        path,
        headers: {
          accept: "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      throw new Refusal(`could not ${purpose}: ${this.#silence(error)}`, 0, { cause: error });
    }
    const value = parseObject(text);
    if (status < 200 || status > 299)
      throw new Refusal(`could not ${purpose}: ${this.#problem(status, value)}`, status);
    if (value === undefined) {
      throw new Refusal(
        `could not ${purpose}: the answer of ${this.place.name} is no JSON, is the admin API of fnlb there?`,
        0,
      );
    }
    return { status, text, value };
  }

  /** What runs is given up. */
  async close(): Promise<void> {
    await (await this.#client)?.destroy();
  }

  /** Loaded by the first question: to load the client takes longer than most commands, of which many ask nobody. */
  async #open(): Promise<Client> {
    const { Client } = await import("undici");
    const { origin, socketPath, tls } = this.place;
    return new Client(origin, {
      connect: {
        timeout: Math.min(this.#timeoutMs, CONNECT_TIMEOUT_MS),
        ...(socketPath === undefined ? {} : { socketPath }),
        ...tls,
      },
      maxResponseSize: ANSWER_BYTES_MAX,
    });
  }

  /** Why nobody answered. */
  #silence(error: unknown): string {
    const { name } = this.place;
    const isLate = error instanceof Error && (error.name === "TimeoutError" || codeOf(error) === CONNECT_TIMEOUT_CODE);
    if (isLate) {
      return `${name} did not answer in time`;
    }
    const reason = reasonOf(error);
    const hint = /ECONNREFUSED|ENOENT/.test(reason) ? "; does fnlb run with --admin there?" : "";
    return `no answer from ${name} (${reason})${hint}`;
  }

  /** What a refusal says: RFC 9457, or just a status. */
  #problem(status: number, value: Readonly<Record<string, unknown>> | undefined): string {
    const { code, detail, title, pointer, parameter } = value ?? {};
    const words = [String(status), ...(typeof code === "string" ? [code] : [])].join(" ");
    const reason = [detail, title].find((text) => typeof text === "string");
    const field = [pointer, parameter].find((text) => typeof text === "string" && text !== "");
    const place = field === undefined ? "" : ` (at ${field})`;
    const hint = status === 401 ? "; give the token by --admin-token or FNLB_ADMIN_TOKEN" : "";
    return plainText(`${words}${reason === undefined ? "" : `: ${reason}`}${place}${hint}`);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Several addresses of one name failed, each in its own way.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  const code = codeOf(error);
  return plainText(code === undefined || code.startsWith("UND_ERR") ? error.message : code);
}

/** Of the system or of the client; undefined where it has none. */
function codeOf(error: Error): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** Undefined for what is no JSON object. */
function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    // The caller says what is wrong.
    return undefined;
  }
}
