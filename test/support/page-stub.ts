import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { loadDashboardFiles } from "../../src/admin/dashboard/dashboard-files.js";

/** What the page asked for besides its files and its stream. */
export interface AskedOfStub {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly body: unknown;
}

export interface StubAnswer {
  readonly status: number;
  readonly body: object;
}

export interface PageStub {
  readonly url: string;
  readonly asked: readonly AskedOfStub[];
  /** A frame to every stream, and to each that is opened later, of which only the newest of a name is repeated. */
  send(event: "status" | "sample", data: object): void;
  /** Cuts the streams; `status` is what those that come get from now on: 0 is no word at all. */
  cut(status: number): void;
}

/** The dashboard at an admin API that says what a test wants, however wrong, hostile or slow. */
export async function startPageStub(
  t: TestContext,
  answer: (asked: AskedOfStub) => StubAnswer | undefined | Promise<StubAnswer | undefined>,
): Promise<PageStub> {
  const files = await loadDashboardFiles();
  const asked: AskedOfStub[] = [];
  const streams = new Set<ServerResponse>();
  let status = "";
  let streamStatus = 200;
  const server = createServer((request, response) => {
    const { method = "", url = "" } = request;
    const file = files.get(url);
    if (file !== undefined) {
      response.writeHead(200, { "content-type": file.type, ...file.headers }).end(file.body);
      return;
    }
    if (url === "/v1/events") {
      if (streamStatus === 0) return;
      response.writeHead(streamStatus, { "content-type": "text/event-stream" });
      if (streamStatus !== 200) {
        response.end("{}");
        return;
      }
      streams.add(response);
      response.on("close", () => streams.delete(response));
      response.write(`: hello\n\n${status}`);
      return;
    }
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => {
      text += part;
    });
    request.on("end", async () => {
      const one = { method, path: url, body: text === "" ? undefined : JSON.parse(text) };
      asked.push(one);
      const { status: code, body } = (await answer(one)) ?? { status: 404, body: { detail: "there is none" } };
      response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked,
    send(event, data) {
      const frame = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
      if (event === "status") status = frame;
      for (const stream of streams) stream.write(frame);
    },
    cut(code) {
      streamStatus = code;
      for (const stream of streams) stream.end();
    },
  };
}

/** A node as `GET /v1/nodes` shows it. */
export function stubNode(id: string, { cluster = "a", states = ["serving"], mode = "active", inFlight = 0 } = {}) {
  return {
    cluster,
    id,
    states,
    mode,
    weight: 1,
    check: "off",
    breaker: "closed",
    inFlight,
    connections: 0,
    idleConnections: 0,
    attempts: 0,
    faults: 0,
    dialsFailed: 0,
    responses: {},
    latencyMs: null,
  };
}

/** A frame of the name `status`. */
export function stubStatus(nodes: readonly ReturnType<typeof stubNode>[], others: object = {}) {
  const names = [...new Set(nodes.map(({ cluster }) => cluster))];
  const isServing = ({ states }: { readonly states: readonly string[] }) => states.includes("serving");
  return {
    atMs: 0,
    version: "0",
    pid: 1,
    uptimeMs: 0,
    state: "serving",
    ready: true,
    store: "up",
    connections: 0,
    exchanges: 0,
    tunnels: 0,
    queued: 0,
    clusters: names.map((name) => {
      const own = nodes.filter(({ cluster }) => cluster === name);
      const serving = own.filter(isServing).length;
      const base = { name, policy: "random", inFlight: 0, queued: 0, isPanic: false, limits: { queueMax: 4 } };
      return { ...base, nodes: own.length, serving, canServe: serving > 0 };
    }),
    nodes,
    listeners: [],
    ...others,
  };
}

const NO_SERIES = { rate: [], errors: [], p50Ms: [], p99Ms: [], inFlight: [] };

/** A history of which nothing is known, at a sample. */
export function stubHistory(sequence: number) {
  return { sequence, intervalMs: 2000, atMs: [], total: NO_SERIES, nodes: [] };
}

/** A sample of one cluster in which nothing is known but the rate. */
export function stubSample(sequence: number, rate: number, ids: readonly string[] = []) {
  const point = { rate, errors: 0, p50Ms: null, p99Ms: null, inFlight: 0 };
  const nodes = ids.map((id) => ({ id, ...point }));
  return { sequence, atMs: 0, total: point, clusters: [{ name: "a", ...point, nodes }] };
}
