import type { RouteConfig } from "../config/routes.js";
import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import type { TlsSession } from "../core/stream.js";
import type { ErrorCode } from "../errors.js";
import { HTTP_STATUS } from "../errors.js";
import { readLatin1 } from "../http1/chars.js";
import type { RequestHead } from "../http1/request-head.js";
import { readField } from "./key.js";

/** What the log keeps of one exchange while it runs; made only when the log is on. */
export interface ExchangeRecord {
  /** Names of the route and its cluster, "" where none matched. */
  route: string;
  cluster: string;
  readonly startedMs: number;
  readonly wallMs: number;
  readonly client: string;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  status: number;
  code: ErrorCode | "";
  node: string;
  attempts: number;
  /** When the node of the last attempt was picked, and when a connection to it stood; -1 before. */
  pickedMs: number;
  sentMs: number;
  firstByteMs: number;
  /** Of a request whose `traceparent` was looked at, else "". */
  traceId: string;
  readonly tls: TlsSession | undefined;
  /** Wanted ones that the request has, by their names in lower case; undefined where none are wanted. */
  readonly fields: Readonly<Record<string, string>> | undefined;
}

/** Who is logged. */
interface LoggedClient {
  readonly clientAddress: string;
  readonly tls: TlsSession | undefined;
}

/** Takes lines in batches. Never blocks and never throws: a log that cannot be written must not stop traffic. */
export interface LineSink {
  write(lines: string): void;
}

const FLUSH_MS = 100;
const FLUSH_BYTES = 64 * 1024;

/**
 * One JSON line per request, put together by hand and written in batches: a logger's call would cost as much as a
 * quarter of the request itself.
 */
export class AccessLog {
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #sink: LineSink;
  #lines = "";
  #cancelFlush: (() => void) | undefined;

  constructor(clock: Clock, counters: Counters, sink: LineSink) {
    this.#clock = clock;
    this.#counters = counters;
    this.#sink = sink;
  }

  /** `fieldNames`, in lower case, are of header fields that are kept. */
  begin(
    { clientAddress: client, tls }: LoggedClient,
    head: RequestHead,
    buffer: Buffer,
    fieldNames: readonly string[],
  ): ExchangeRecord {
    return {
      route: "",
      cluster: "",
      startedMs: this.#clock.now(),
      wallMs: this.#clock.wallNow(),
      client,
      method: head.method,
      target: readLatin1(buffer, head.targetStart, head.targetEnd),
      host: readLatin1(buffer, head.hostStart, head.hostEnd),
      status: 0,
      code: "",
      node: "",
      attempts: 0,
      pickedMs: -1,
      sentMs: -1,
      firstByteMs: -1,
      traceId: "",
      tls,
      fields: fieldNames.length === 0 ? undefined : fieldsOf(head, buffer, fieldNames),
    };
  }

  noteRoute(record: ExchangeRecord, { name, cluster }: RouteConfig): void {
    record.route = name;
    record.cluster = cluster;
  }

  notePick(record: ExchangeRecord, node: string): void {
    record.node = node;
    record.pickedMs = this.#clock.now();
    record.sentMs = -1;
  }

  noteAttempt(record: ExchangeRecord, attempts: number): void {
    record.attempts = attempts;
    record.sentMs = this.#clock.now();
  }

  noteFirstByte(record: ExchangeRecord, status: number): void {
    record.status = status;
    record.firstByteMs = this.#clock.now();
  }

  noteProblem(record: ExchangeRecord, code: ErrorCode): void {
    record.status = HTTP_STATUS[code];
    record.code = code;
  }

  /** `endedBy` is who ended the exchange (`-` when it ended well), `phase` where it stood then. */
  end(record: ExchangeRecord, endedBy: string, phase: string, bytesIn: number, bytesOut: number): void {
    const now = this.#clock.now();
    const line =
      `{"time":"${new Date(record.wallMs).toISOString()}","client":"${record.client}","method":"${record.method}",` +
      `"host":${JSON.stringify(record.host)},"target":${JSON.stringify(record.target)},"status":${record.status},` +
      `"route":${nameOrNull(record.route)},"cluster":${nameOrNull(record.cluster)},"node":${record.node === "" ? "null" : JSON.stringify(record.node)},"attempts":${record.attempts},` +
      `"bytesIn":${bytesIn},"bytesOut":${bytesOut},"queueMs":${span(record.startedMs, record.pickedMs)},` +
      `"connectMs":${span(record.pickedMs, record.sentMs)},` +
      `"firstByteMs":${span(record.sentMs, record.firstByteMs)},"totalMs":${span(record.startedMs, now)},` +
      `"endedBy":"${endedBy}","phase":"${phase}"${record.code === "" ? "" : `,"code":"${record.code}"`}` +
      `${record.traceId === "" ? "" : `,"traceId":"${record.traceId}"`}` +
      `${record.tls === undefined ? "" : `,"tls":${JSON.stringify(record.tls)}`}` +
      `${record.fields === undefined ? "" : `,"headers":${JSON.stringify(record.fields)}`}}\n`;
    this.#append(line);
  }

  /** A request that was refused before it became an exchange. */
  refused(client: string, code: ErrorCode): void {
    // Its head was refused for what it is, or for where it came.
    const endedBy = code === "ERR_DRAINING" ? "balancer" : "client";
    this.#append(
      `{"time":"${new Date(this.#clock.wallNow()).toISOString()}","client":"${client}","method":null,"host":null,"target":null,` +
        `"status":${HTTP_STATUS[code]},"route":null,"cluster":null,"node":null,"attempts":0,"bytesIn":0,"bytesOut":0,"queueMs":null,"connectMs":null,"firstByteMs":null,` +
        `"totalMs":0,"endedBy":"${endedBy}","phase":"head","code":"${code}"}\n`,
    );
  }

  #append(line: string): void {
    this.#lines += line;
    if (this.#lines.length >= FLUSH_BYTES) this.flush();
    else this.#cancelFlush ??= this.#clock.after(FLUSH_MS, () => this.flush());
  }

  flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#lines === "") return;
    const lines = this.#lines;
    this.#lines = "";
    this.#sink.write(lines);
  }

  /** The sink had no room: the lines are lost and counted. */
  dropped(lines: number): void {
    this.#counters.accessLogLinesDropped += lines;
  }
}

function fieldsOf(head: RequestHead, buffer: Buffer, names: readonly string[]): Record<string, string> {
  // One may be called __proto__.
  const fields = Object.create(null) as Record<string, string>;
  for (const name of names) {
    const value = readField(head, buffer, name, ", ");
    if (value !== undefined) fields[name] = value;
  }
  return fields;
}

/** Names of routes and clusters need no escaping. */
function nameOrNull(name: string): string {
  return name === "" ? "null" : `"${name}"`;
}

const FAULTS_OF_NODES: ReadonlySet<ErrorCode> = new Set([
  "ERR_BAD_RESPONSE",
  "ERR_NODE_CLOSED",
  "ERR_NODE_TIMEOUT",
  "ERR_NO_FALLBACK_NODE_FOUND",
  "ERR_NO_HEALTHY_NODE",
]);
const FAULTS_OF_CLIENTS: ReadonlySet<ErrorCode> = new Set([
  "ERR_BAD_REQUEST",
  "ERR_BODY_TOO_LARGE",
  "ERR_REQUEST_TIMEOUT",
  "ERR_NO_KEY",
  "ERR_NO_ROUTE",
]);

/** Who ended an exchange that ended with a problem. */
export function blameOf(code: ErrorCode): "node" | "client" | "balancer" {
  if (FAULTS_OF_NODES.has(code)) return "node";
  return FAULTS_OF_CLIENTS.has(code) ? "client" : "balancer";
}

/** Milliseconds between two readings with three decimals, or null when one was never taken. */
function span(fromMs: number, toMs: number): string {
  return fromMs < 0 || toMs < 0 ? "null" : (toMs - fromMs).toFixed(3);
}
