import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Balancer, type BalancerDependencies, createBalancer } from "../../src/balancer.js";
import type { ClusterSettings, Config, ListenerConfig, NodeConfig, ProcessSettings } from "../../src/config/config.js";
import type { LogFields } from "../../src/core/log.js";
import { ByteLog } from "./byte-log.js";
import { seeded } from "./seeded-random.js";

/** Settings of a balancer with one cluster. */
export type FlatConfig = ProcessSettings & ClusterSettings & Pick<Config, "listeners">;

/** The defaults of the program, written out: what a test does not name is what users get. */
export const DEFAULTS: FlatConfig = {
  listeners: [{ address: { kind: "tcp", host: "127.0.0.1", port: 0 }, proxyProtocol: false }],
  nodes: [],
  store: "",
  discover: { kind: "none" },
  discoverIntervalMinMs: 1000,
  discoverIntervalMaxMs: 60_000,
  discoverAllowsEmpty: false,
  discoverNodesMax: 10_000,
  tlsCertFiles: [],
  tlsKeyFiles: [],
  tlsMinVersion: "1.2",
  tlsClientAuth: "none",
  tlsClientCaFile: "",
  nodeTlsCaFile: "",
  nodeTlsName: "",
  nodeTlsCertFile: "",
  nodeTlsKeyFile: "",
  nodeTlsVerifies: true,
  key: [{ kind: "path" }],
  keyRequired: false,
  policy: "ring-hash",
  hash: "fast",
  balanceFactor: 1.5,
  spread: 1,
  maglevTableSize: 65_537,
  rebalance: false,
  wrrMode: "smooth",
  slowStartMs: 0,
  stickyCookie: "",
  stickyHeader: "",
  stickyCodecs: ["signed"],
  stickySecrets: [],
  stickyTtlMs: 0,
  stickyMaxAgeMs: 0,
  stickyPath: "/",
  stickyDomain: "",
  stickySecure: false,
  stickyHttpOnly: true,
  stickySameSite: "lax",
  resolveIntervalMs: 10_000,
  connectTimeoutMs: 2000,
  dialDeadlineMs: 5000,
  responseTimeoutMs: 60_000,
  silenceMs: 1000,
  bodyIdleTimeoutMs: 60_000,
  exchangeTimeoutMs: 0,
  handshakeTimeoutMs: 10_000,
  headTimeoutMs: 10_000,
  keepAliveTimeoutMs: 60_000,
  nodeKeepAliveTimeoutMs: 4000,
  tunnelIdleTimeoutMs: 3_600_000,
  pingIntervalMs: 1000,
  pingTimeoutMs: 1000,
  checkPath: "",
  checkIntervalMs: 3000,
  checkTimeoutMs: 5000,
  checkMethod: "GET",
  checkHost: "",
  checkStatuses: [[200, 299]],
  checkBody: "",
  checkMinVersion: "",
  checkHealthyThreshold: 1,
  checkUnhealthyThreshold: 2,
  outlierConsecutive: 0,
  outlierShareMax: 0,
  outlierWindowMs: 10_000,
  outlierVolumeMin: 50,
  outlierEjectionMs: 30_000,
  outlierEjectionMaxMs: 300_000,
  outlierEjectedShareMax: 0.5,
  panicShare: 0.5,
  breakerFaults: 0,
  breakerOpenMs: 500,
  breakerOpenMaxMs: 60_000,
  attemptsMax: 3,
  replayBytesMax: 64 * 1024,
  retryOn: { closed: true, silent: true, statuses: [] },
  retryBudget: 0.2,
  retryReserve: 100,
  headBytesMax: 16 * 1024,
  headFieldsMax: 100,
  targetBytesMax: 8 * 1024,
  responseHeadBytesMax: 64 * 1024,
  bodyBytesMax: 0,
  handshakesMax: 1024,
  connectionsMax: 10_000,
  connectionsPerClientMax: 0,
  requestsPerConnectionMax: 100_000,
  tunnelsMax: 10_000,
  clusterConnectionsMax: 0,
  queueMax: 0,
  queueTimeoutMs: 5000,
  nodeConnectionsMax: 1024,
  nodeIdleConnectionsMax: 100,
  trustedProxies: [],
  forwardedFor: "append",
  forwardedHeaders: "x-forwarded",
  requestId: false,
  traceparent: "pass",
  traceSampledShare: 1,
  requestHeaders: [],
  responseHeaders: [],
  loadHeader: "",
  upgradeTokens: ["websocket"],
  abortOnClose: false,
  drainDelayMs: 0,
  shutdownTimeoutMs: 25_000,
  accessLog: "",
  accessLogFields: [],
  logFile: "-",
  logLevel: "info",
  admin: { kind: "off" },
  adminToken: "",
  adminTlsCertFile: "",
  adminTlsKeyFile: "",
  adminClientCaFile: "",
  adminConnectionsMax: 64,
};

export type LogEvent = LogFields & { readonly level: string; readonly message: string | undefined };

/** A balancer under test, its events, and where it listens. */
export interface TestBalancer {
  readonly balancer: Balancer;
  /** Port of the first listener, 0 if that is a unix socket. */
  readonly port: number;
  /** As `listen` gave them. */
  readonly addresses: readonly string[];
  readonly config: FlatConfig;
  readonly events: readonly LogEvent[];
  /** The next event of that name that no call has given out yet, as soon as it is there. */
  event(name: string): Promise<LogEvent>;
  /** Resolves once `test` is true; it is asked whenever something was logged and every few milliseconds. */
  until(what: string, test: (snapshot: ReturnType<Balancer["snapshot"]>) => boolean): Promise<void>;
}

export type TestConfig = Partial<Omit<FlatConfig, "nodes" | "listeners">> & {
  /** Ports of this machine, or complete nodes. */
  readonly nodes: readonly (number | NodeConfig)[];
  readonly listeners?: readonly ListenerConfig[];
};

/** Balancers of one test file; each has chance of its own, and so a name of its own in Via. */
let started = 0;

/**
 * Starts a balancer on a free port. Its chance is the same in every run. When the test is over it is closed, and must then have given back everything:
 * no exchange, tunnel, connection, lease on a node or armed timeout may be left.
 */
export async function startBalancer(
  t: TestContext,
  config: TestConfig,
  dependencies: Partial<BalancerDependencies> = {},
): Promise<TestBalancer> {
  const complete: FlatConfig = {
    ...DEFAULTS,
    ...config,
    nodes: config.nodes.map((node) => (typeof node === "number" ? localNode(node) : node)),
  };
  return { ...(await startConfig(t, oneCluster(complete), dependencies)), config: complete };
}

/** As `startBalancer`, with a whole config. */
export async function startConfig(
  t: TestContext,
  config: Config,
  dependencies: Partial<BalancerDependencies> = {},
): Promise<Omit<TestBalancer, "config">> {
  const events: LogEvent[] = [];
  const arrivals = new ByteLog();
  const given = new Set<LogEvent>();
  const record = (level: string) => (fields: LogFields, message?: string) => {
    events.push({ ...fields, level, message });
    arrivals.wake();
  };
  const log = { debug: record("debug"), info: record("info"), warn: record("warn"), error: record("error") };
  const balancer = createBalancer(config, { log, random: seeded(++started), ...dependencies });
  t.after(async () => {
    await balancer.close();
    const { connections, handshakes, exchanges, tunnels, queued, timers, nodes } = balancer.snapshot();
    const left = {
      connections,
      handshakes,
      exchanges,
      tunnels,
      queued,
      timers,
      inFlight: nodes.map((node) => node.inFlight),
      nodeConnections: nodes.map((node) => node.connections),
    };
    const none = nodes.map(() => 0);
    assert.deepEqual(
      left,
      {
        connections: 0,
        handshakes: 0,
        exchanges: 0,
        tunnels: 0,
        queued: 0,
        timers: 0,
        inFlight: none,
        nodeConnections: none,
      },
      "something was left after close",
    );
  });
  const addresses = await balancer.listen();
  return {
    balancer,
    addresses,
    port: Number(/:(\d+)$/.exec(addresses[0])?.[1] ?? 0),
    events,
    event: (name) =>
      arrivals.until(`event ${name} among ${events.map(({ event }) => event).join(" ")}`, () => {
        const event = events.find((candidate) => candidate.event === name && !given.has(candidate));
        if (event !== undefined) given.add(event);
        return event;
      }),
    async until(what, test) {
      const poll = setInterval(() => arrivals.wake(), 5);
      try {
        await arrivals.until(what, () => test(balancer.snapshot()) || undefined);
      } finally {
        clearInterval(poll);
      }
    },
  };
}

/** The names of the program where nobody names anything. */
export function oneCluster(settings: FlatConfig): Config {
  return {
    ...settings,
    clusters: [{ ...settings, name: "default" }],
    routes: [
      {
        name: "default",
        hosts: [],
        path: "/",
        isExact: false,
        methods: [],
        headers: [],
        cluster: "default",
        stripsPrefix: false,
        redirectsSlash: false,
      },
    ],
  };
}

/** A node of weight 1 on a port of this machine. */
export function localNode(port: number, weight = 1): NodeConfig {
  return { id: `127.0.0.1:${port}`, address: { kind: "tcp", host: "127.0.0.1", port, basePath: "" }, weight };
}
