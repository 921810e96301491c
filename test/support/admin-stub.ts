import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A request to the admin API, as it came. */
export interface AdminCall {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: IncomingMessage["headers"];
}

export interface StubAnswer {
  readonly status?: number;
  readonly body: unknown;
}

/** Something that answers as the admin API does, with what the test makes it say. */
export interface AdminStub {
  readonly port: number;
  /** For `--admin`. */
  readonly address: string;
  readonly calls: readonly AdminCall[];
  /** What `GET /v1/status` and the lists answer; a test may change it. */
  state: StubState;
  /** Asked first; undefined leaves it to the state. */
  answer: (call: AdminCall) => StubAnswer | undefined;
  /** Every connection is cut and the port refuses. */
  stop(): Promise<void>;
  /** Listens on the same port again. */
  start(): Promise<void>;
}

type Fields = Readonly<Record<string, unknown>>;

export interface StubState {
  readonly status: Fields & { readonly clusters: readonly Fields[]; readonly listeners: readonly Fields[] };
  readonly nodes: readonly Fields[];
}

/** A node of an answer. */
export function stubNode(id: string, more: Fields = {}): Fields {
  return {
    cluster: "default",
    id,
    states: ["serving"],
    mode: "active",
    weight: 1,
    alive: true,
    inFlight: 0,
    connections: 0,
    attempts: 0,
    faults: 0,
    latencyMs: null,
    ...more,
  };
}

/** A cluster of an answer. */
export function stubCluster(name: string, more: Fields = {}): Fields {
  return {
    name,
    policy: "ring-hash",
    discovery: null,
    nodes: 1,
    serving: 1,
    inFlight: 0,
    queued: 0,
    isPanic: false,
    requests: 0,
    problems: {},
    latencyMs: null,
    ...more,
  };
}

/** What a quiet balancer with two nodes says. */
export function stubState(status: Fields = {}, nodes?: readonly Fields[]): StubState {
  return {
    status: {
      version: "1.2.3",
      pid: 4711,
      startedAt: "2026-01-02T03:04:05.000Z",
      uptimeMs: 7_384_000,
      state: "serving",
      ready: true,
      store: "up",
      sockets: "fast",
      connections: 12,
      exchanges: 1,
      tunnels: 0,
      queued: 0,
      requests: 48_211,
      problems: 3,
      logLevel: "info",
      clusters: [
        stubCluster("default", {
          nodes: 2,
          serving: 1,
          requests: 48_211,
          problems: { ERR_NODE_TIMEOUT: 3 },
          latencyMs: { p50: 0.84, p90: 4.2, p99: 31.25 },
          recent: { rate: 500, errors: 0, p50Ms: 0.42, p99Ms: 15.6 },
        }),
      ],
      listeners: [{ id: "0.0.0.0:8081", state: "open", isTls: false, takesProxyHeaders: false }],
      ...status,
    },
    nodes: nodes ?? [
      stubNode("10.0.0.1:8080", {
        inFlight: 1,
        connections: 4,
        attempts: 30_120,
        latencyMs: { p50: 0.8, p90: 4, p99: 30 },
        recent: { rate: 12.5, errors: 0, p50Ms: 0.4, p99Ms: 15 },
      }),
      stubNode("10.0.0.2:8080", {
        states: ["dead", "draining"],
        mode: "draining",
        weight: 0.5,
        attempts: 18_091,
        faults: 7,
        latencyMs: { p50: 1.5, p90: 90, p99: 1204 },
        recent: { rate: 0, errors: 0, p50Ms: null, p99Ms: null },
      }),
    ],
  };
}

export async function startAdminStub(t: TestContext, state: StubState = stubState()): Promise<AdminStub> {
  const calls: AdminCall[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const { method = "", url: path = "", headers } = request;
      const call = { method, path, headers, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
      calls.push(call);
      const { status = 200, body } = stub.answer(call) ?? listAnswer(call);
      const type = status < 400 ? "application/json" : "application/problem+json";
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
      response.end(typeof body === "string" ? body : `${JSON.stringify(body)}\n`);
    });
  });
  let port = 0;
  const start = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        port = (server.address() as AddressInfo).port;
        resolve();
      });
    });
  const stop = () =>
    new Promise<void>((resolve) => {
      if (server.listening) server.close(() => resolve());
      else resolve();
      server.closeAllConnections();
    });
  const stub: AdminStub = {
    get port() {
      return port;
    },
    get address() {
      return `127.0.0.1:${port}`;
    },
    calls,
    state,
    answer: () => undefined,
    stop,
    start,
  };
  function listAnswer({ method, path }: AdminCall): StubAnswer {
    const { status, nodes } = stub.state;
    const lists: Fields = {
      "/v1/status": status,
      "/v1/nodes": { nodes },
      "/v1/clusters": { clusters: status.clusters },
      "/v1/listeners": { listeners: status.listeners },
    };
    if (method === "GET" && path in lists) return { body: lists[path] };
    const cluster = /^\/v1\/clusters\/([^/]+)\/nodes$/.exec(path)?.[1];
    if (method === "GET" && cluster !== undefined)
      return { body: { nodes: nodes.filter((node) => node.cluster === cluster) } };
    return problem(404, "ERR_NOT_FOUND", `nothing is at ${path}`);
  }
  await start();
  t.after(stop);
  return stub;
}

/** A refusal as RFC 9457 has it. */
export function problem(status: number, code: string, detail: string, more: Fields = {}): StubAnswer {
  return { status, body: { type: "about:blank", title: "no", status, code, detail, ...more } };
}
