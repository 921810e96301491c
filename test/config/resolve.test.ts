import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { printConfig } from "../../src/cli/print-config.js";
import { parseConfigFile } from "../../src/config/config-file.js";
import { environmentName, OPTION_LIST, OPTIONS, type OptionName } from "../../src/config/options.js";
import { type ConfigSources, type OptionValue, resolveConfig as resolveWhole } from "../../src/config/resolve.js";
import { FnlbError } from "../../src/errors.js";
import { DEFAULTS, type FlatConfig } from "../support/balancer.js";
import { schemaFaults } from "../support/config-schema.js";

/** The settings of the process and of its only cluster. */
function resolveConfig(sources?: ConfigSources): FlatConfig {
  const { clusters, routes, ...settings } = resolveWhole(sources);
  assert.deepEqual([clusters.length, routes.length], [1, 1]);
  const [{ name, ...cluster }] = clusters;
  assert.equal(name, "default");
  return { ...settings, ...cluster };
}

/** A value for each option that is not its default, and the one field of the config that it must change. */
const OTHER_VALUES: Readonly<Record<OptionName, readonly [text: string, field: keyof FlatConfig, value: unknown]>> = {
  listen: [":9000", "listeners", [{ address: { kind: "tcp", host: "0.0.0.0", port: 9000 }, proxyProtocol: false }]],
  "proxy-listen": [
    "unix:/run/p.sock",
    "listeners",
    [{ address: { kind: "unix", path: "/run/p.sock" }, proxyProtocol: true }],
  ],
  store: ["redis://store:6379/1", "store", "redis://store:6379/1"],
  "tls-listen": [
    ":9443",
    "listeners",
    [
      {
        address: { kind: "tcp", host: "0.0.0.0", port: 9443 },
        proxyProtocol: false,
        tls: {
          certificates: [{ certFile: "cert.pem", keyFile: "cert.pem" }],
          clientCaFile: "",
          clientCertificates: "none",
          minVersion: "1.2",
        },
      },
    ],
  ],
  "proxy-tls-listen": [
    "unix:/run/s.sock",
    "listeners",
    [
      {
        address: { kind: "unix", path: "/run/s.sock" },
        proxyProtocol: true,
        tls: {
          certificates: [{ certFile: "cert.pem", keyFile: "cert.pem" }],
          clientCaFile: "",
          clientCertificates: "none",
          minVersion: "1.2",
        },
      },
    ],
  ],
  "tls-cert": ["a.pem,b.pem", "tlsCertFiles", ["a.pem", "b.pem"]],
  "tls-key": ["a.key", "tlsKeyFiles", ["a.key"]],
  "tls-min-version": ["1.3", "tlsMinVersion", "1.3"],
  "tls-client-auth": ["require", "tlsClientAuth", "require"],
  "tls-client-ca": ["ca.pem", "tlsClientCaFile", "ca.pem"],
  "node-tls-ca": ["nodes.pem", "nodeTlsCaFile", "nodes.pem"],
  "node-tls-name": ["fn.internal", "nodeTlsName", "fn.internal"],
  "node-tls-cert": ["us.pem", "nodeTlsCertFile", "us.pem"],
  "node-tls-key": ["us.key", "nodeTlsKeyFile", "us.key"],
  "node-tls-verify": ["false", "nodeTlsVerifies", false],
  "handshake-timeout": ["5s", "handshakeTimeoutMs", 5000],
  handshakes: ["15", "handshakesMax", 15],
  nodes: ["a=2", "nodes", [{ id: "a:8080", address: { kind: "tcp", host: "a", port: 8080, basePath: "" }, weight: 2 }]],
  discover: ["file:/etc/nodes", "discover", { kind: "file", name: "file:/etc/nodes", path: "/etc/nodes" }],
  "discover-min-interval": ["2s", "discoverIntervalMinMs", 2000],
  "discover-max-interval": ["5m", "discoverIntervalMaxMs", 300_000],
  "discover-allow-empty": ["true", "discoverAllowsEmpty", true],
  "discover-nodes": ["100", "discoverNodesMax", 100],
  key: ["header:X-User,client", "key", [{ kind: "header", name: "x-user" }, { kind: "client" }]],
  "key-required": ["true", "keyRequired", true],
  policy: ["least-loaded", "policy", "least-loaded"],
  hash: ["ketama", "hash", "ketama"],
  "balance-factor": ["1.25", "balanceFactor", 1.25],
  spread: ["3", "spread", 3],
  "maglev-table-size": ["251", "maglevTableSize", 251],
  rebalance: ["true", "rebalance", true],
  "sticky-cookie": ["fnlb", "stickyCookie", "fnlb"],
  "sticky-header": ["x-node", "stickyHeader", "x-node"],
  "sticky-codec": ["raw, hash", "stickyCodecs", ["raw", "hash"]],
  "sticky-secret": ["0123456789abcdef", "stickySecrets", ["0123456789abcdef"]],
  "sticky-ttl": ["1h", "stickyTtlMs", 3_600_000],
  "sticky-max-age": ["1d", "stickyMaxAgeMs", 86_400_000],
  "sticky-path": ["/app", "stickyPath", "/app"],
  "sticky-domain": ["example.com", "stickyDomain", "example.com"],
  "sticky-secure": ["true", "stickySecure", true],
  "sticky-http-only": ["false", "stickyHttpOnly", false],
  "sticky-same-site": ["strict", "stickySameSite", "strict"],
  "wrr-mode": ["interleaved", "wrrMode", "interleaved"],
  "slow-start": ["30s", "slowStartMs", 30_000],
  "connect-timeout": ["3s", "connectTimeoutMs", 3000],
  "dial-deadline": ["6s", "dialDeadlineMs", 6000],
  "response-timeout": ["90s", "responseTimeoutMs", 90_000],
  "body-idle-timeout": ["2m", "bodyIdleTimeoutMs", 120_000],
  "exchange-timeout": ["1h", "exchangeTimeoutMs", 3_600_000],
  "head-timeout": ["11s", "headTimeoutMs", 11_000],
  "keep-alive-timeout": ["61s", "keepAliveTimeoutMs", 61_000],
  "node-keep-alive-timeout": ["0", "nodeKeepAliveTimeoutMs", 0],
  "tunnel-idle-timeout": ["2h", "tunnelIdleTimeoutMs", 7_200_000],
  "ping-interval": ["250ms", "pingIntervalMs", 250],
  "ping-timeout": ["251", "pingTimeoutMs", 251],
  silence: ["0", "silenceMs", 0],
  "resolve-interval": ["30s", "resolveIntervalMs", 30_000],
  "check-path": ["/health", "checkPath", "/health"],
  "check-interval": ["4s", "checkIntervalMs", 4000],
  "check-timeout": ["1s", "checkTimeoutMs", 1000],
  "check-method": ["HEAD", "checkMethod", "HEAD"],
  "check-host": ["fn.example", "checkHost", "fn.example"],
  "check-statuses": [
    "200-204,301",
    "checkStatuses",
    [
      [200, 204],
      [301, 301],
    ],
  ],
  "check-body": ["ok", "checkBody", "ok"],
  "check-min-version": ["0.0.235", "checkMinVersion", "0.0.235"],
  "check-healthy": ["3", "checkHealthyThreshold", 3],
  "check-unhealthy": ["4", "checkUnhealthyThreshold", 4],
  "outlier-consecutive": ["5", "outlierConsecutive", 5],
  "outlier-share": ["0.4", "outlierShareMax", 0.4],
  "outlier-window": ["5s", "outlierWindowMs", 5000],
  "outlier-volume": ["10", "outlierVolumeMin", 10],
  "outlier-ejection": ["10s", "outlierEjectionMs", 10_000],
  "outlier-ejection-max": ["1m", "outlierEjectionMaxMs", 60_000],
  "outlier-ejected-share": ["0.3", "outlierEjectedShareMax", 0.3],
  "panic-share": ["0", "panicShare", 0],
  "breaker-faults": ["10", "breakerFaults", 10],
  "breaker-open": ["1s", "breakerOpenMs", 1000],
  "breaker-open-max": ["30s", "breakerOpenMaxMs", 30_000],
  attempts: ["5", "attemptsMax", 5],
  "replay-bytes": ["1MiB", "replayBytesMax", 1_048_576],
  "retry-on": ["closed, 503", "retryOn", { closed: true, silent: false, statuses: [503] }],
  "retry-budget": ["0.5", "retryBudget", 0.5],
  "retry-reserve": ["10", "retryReserve", 10],
  "cluster-connections": ["13", "clusterConnectionsMax", 13],
  queue: ["14", "queueMax", 14],
  "queue-timeout": ["1s", "queueTimeoutMs", 1000],
  connections: ["7", "connectionsMax", 7],
  "connections-per-client": ["8", "connectionsPerClientMax", 8],
  "requests-per-connection": ["9", "requestsPerConnectionMax", 9],
  tunnels: ["10", "tunnelsMax", 10],
  "node-connections": ["11", "nodeConnectionsMax", 11],
  "node-idle-connections": ["12", "nodeIdleConnectionsMax", 12],
  "head-bytes": ["32k", "headBytesMax", 32_768],
  "head-fields": ["50", "headFieldsMax", 50],
  "target-bytes": ["4k", "targetBytesMax", 4096],
  "response-head-bytes": ["16k", "responseHeadBytesMax", 16_384],
  "body-bytes": ["10MB", "bodyBytesMax", 10_000_000],
  "trust-proxy": ["10.0.0.0/8, ::1", "trustedProxies", ["10.0.0.0/8", "::1"]],
  "forwarded-for": ["replace", "forwardedFor", "replace"],
  "forwarded-headers": ["both", "forwardedHeaders", "both"],
  "request-id": ["true", "requestId", true],
  "request-header": ["set X-Env: prod", "requestHeaders", [{ action: "set", name: "X-Env", value: "prod" }]],
  "response-header": ["remove Server", "responseHeaders", [{ action: "remove", name: "Server", value: "" }]],
  "load-header": ["XXX-FXLB-WAIT", "loadHeader", "xxx-fxlb-wait"],
  upgrade: ["websocket,Echo", "upgradeTokens", ["websocket", "echo"]],
  traceparent: ["create", "traceparent", "create"],
  "trace-sampled-share": ["0.1", "traceSampledShare", 0.1],
  "abort-on-close": ["true", "abortOnClose", true],
  "drain-delay": ["5s", "drainDelayMs", 5000],
  "shutdown-timeout": ["1m", "shutdownTimeoutMs", 60_000],
  "access-log": ["-", "accessLog", "-"],
  "access-log-headers": ["User-Agent, referer,user-agent", "accessLogFields", ["user-agent", "referer"]],
  "log-file": ["/var/log/fnlb.log", "logFile", "/var/log/fnlb.log"],
  "log-level": ["debug", "logLevel", "debug"],
  admin: ["unix:/run/a.sock", "admin", { kind: "unix", path: "/run/a.sock" }],
  "admin-token": ["a-token-of-some-length", "adminToken", "a-token-of-some-length"],
  "admin-tls-cert": ["admin.pem", "adminTlsCertFile", "admin.pem"],
  "admin-tls-key": ["admin.key", "adminTlsKeyFile", "admin.key"],
  "admin-client-ca": ["admin-ca.pem", "adminClientCaFile", "admin-ca.pem"],
  "admin-connections": ["10", "adminConnectionsMax", 10],
};

/** What an option needs beside it to be accepted. */
const NEEDED: Readonly<Partial<Record<OptionName, Partial<Record<OptionName, string>>>>> = {
  discover: { nodes: "a" },
  "tls-listen": { "tls-cert": "cert.pem" },
  "proxy-tls-listen": { "tls-cert": "cert.pem" },
  "tls-cert": { "tls-listen": ":443" },
  "tls-key": { "tls-listen": ":443", "tls-cert": "a.pem" },
  "tls-min-version": { "tls-listen": ":443", "tls-cert": "a.pem" },
  "tls-client-auth": { "tls-listen": ":443", "tls-cert": "a.pem", "tls-client-ca": "ca.pem" },
  "tls-client-ca": { "tls-listen": ":443", "tls-cert": "a.pem", "tls-client-auth": "require" },
  "admin-token": { admin: "unix:/run/a.sock" },
  "admin-tls-cert": { admin: "unix:/run/a.sock" },
  "admin-tls-key": { admin: "unix:/run/a.sock", "admin-tls-cert": "admin.pem" },
  "admin-client-ca": { admin: "unix:/run/a.sock", "admin-tls-cert": "admin.pem" },
  "node-tls-ca": { nodes: "https://a" },
  "node-tls-name": { nodes: "https://a" },
  "node-tls-cert": { nodes: "https://a" },
  "node-tls-key": { nodes: "https://a", "node-tls-cert": "us.pem" },
  "node-tls-verify": { nodes: "https://a" },
  "maglev-table-size": { policy: "maglev" },
  "wrr-mode": { policy: "weighted-round-robin" },
  rebalance: { policy: "weighted-round-robin" },
  "sticky-cookie": { "sticky-codec": "raw" },
  "sticky-header": { "sticky-codec": "raw" },
  "sticky-secret": { "sticky-cookie": "fnlb" },
  "outlier-ejection": { "outlier-ejection-max": "1d" },
  "outlier-ejection-max": { "outlier-ejection": "1" },
  "breaker-open": { "breaker-open-max": "1d" },
  "breaker-open-max": { "breaker-open": "1" },
};

function refusal(options: Partial<Record<OptionName, OptionValue>>, env: Record<string, string> = {}): string {
  try {
    resolveConfig({ options, env });
  } catch (error) {
    assert.ok(error instanceof FnlbError, String(error));
    assert.equal(error.code, "ERR_OPTION");
    return error.message;
  }
  return assert.fail(`${JSON.stringify({ options, env })} was accepted`);
}

describe("the table of options", () => {
  it("gives the documented defaults", () => {
    assert.deepEqual(resolveConfig(), {
      ...DEFAULTS,
      listeners: [{ address: { kind: "tcp", host: "0.0.0.0", port: 8081 }, proxyProtocol: false }],
      nodes: [
        { id: "127.0.0.1:8080", address: { kind: "tcp", host: "127.0.0.1", port: 8080, basePath: "" }, weight: 1 },
      ],
      connectionsMax: 0,
    });
  });

  it("reaches every field of the config, each by one option: flag, variable, key of a file, and as `check --print` has it", () => {
    const reached = new Map<string, string[]>();
    for (const [name] of OPTION_LIST) {
      const [text, field, value] = OTHER_VALUES[name];
      const needed = NEEDED[name] ?? {};
      const env = Object.fromEntries(
        Object.entries({ ...needed, [name]: text }).map(([other, given]) => [
          environmentName(other as OptionName),
          given,
        ]),
      );
      const options = { ...needed, [name]: text };
      const inFile = (file: string) => resolveConfig({ file: parseConfigFile(file, name) });
      const printed = [{ options }, { env }].map((sources) => printConfig(sources));
      assert.match(printed[0], new RegExp(`^${name}: .* # --${name}$`, "m"));
      assert.match(printed[1], new RegExp(`^${name}: .* # ${environmentName(name)}$`, "m"));
      assert.deepEqual(schemaFaults(options), [], name);
      for (const config of [
        resolveConfig({ options }),
        resolveConfig({ env }),
        inFile(JSON.stringify(options)),
        ...printed.map((file) => inFile(file.replace("(secret)", text))),
      ]) {
        const others = Object.keys(needed).map((other) => OTHER_VALUES[other as OptionName][1]);
        const kept = Object.fromEntries(others.map((other) => [other, config[other]]));
        assert.deepEqual(config, { ...resolveConfig(), ...kept, [field]: value }, name);
      }
      reached.set(field, [...(reached.get(field) ?? []), name]);
    }
    const defaults = resolveConfig();
    assert.deepEqual([...reached.keys()].sort(), Object.keys(defaults).sort());
    for (const [field, names] of reached)
      assert.equal(names.length, field === "listeners" ? 4 : 1, `${field} is reached by ${names.join(", ")}`);
  });

  it("says of each option what it is for, and has no option called port, which Kubernetes would set", () => {
    assert.ok(!("port" in OPTIONS));
    for (const [name, spec] of OPTION_LIST) {
      assert.match(name, /^[a-z]+(-[a-z]+)*$/);
      assert.match(spec.help, /^[A-Z].*\.$/, name);
    }
  });

  it("says what 0 means wherever a time or limit may be 0", () => {
    for (const [name, spec] of OPTION_LIST) {
      const mayBeOff = ["duration", "size", "count"].includes(spec.kind) && (spec.min ?? 0) === 0;
      const isPlain = ["drain-delay", "shutdown-timeout", "replay-bytes", "node-idle-connections"].includes(name);
      if (mayBeOff && !isPlain) assert.match(spec.help, /\b0\b/, name);
    }
  });
});

describe("resolving a config", () => {
  it("prefers flags to the environment and that to the defaults", () => {
    const env = { FNLB_NODES: "env", FNLB_ATTEMPTS: "7" };
    const { nodes, attemptsMax, hash } = resolveConfig({ options: { nodes: "flag" }, env });
    assert.deepEqual([nodes[0].id, attemptsMax, hash], ["flag:8080", 7, "fast"]);
  });

  it("takes numbers and booleans as a program gives them", () => {
    const { connectTimeoutMs, requestId } = resolveConfig({ options: { "connect-timeout": 1500, "request-id": true } });
    assert.deepEqual([connectTimeoutMs, requestId], [1500, true]);
  });

  it("cannot be changed afterwards", () => {
    const config = resolveWhole({ options: { nodes: "a,b" } });
    const [cluster] = config.clusters;
    assert.throws(() => Object.assign(config, { connectionsMax: 9 }), TypeError);
    assert.throws(() => Object.assign(cluster, { attemptsMax: 9 }), TypeError);
    assert.throws(() => Object.assign(cluster.nodes[0].address, { port: 9 }), TypeError);
    assert.throws(() => (cluster.nodes as unknown[]).push({}), TypeError);
  });

  it("does not read what Kubernetes injects for a service called fnlb", () => {
    const env = {
      FNLB_PORT: "tcp://10.96.0.1:8081",
      FNLB_SERVICE_HOST: "10.96.0.1",
      FNLB_SERVICE_PORT: "8081",
      FNLB_PORT_8081_TCP: "tcp://10.96.0.1:8081",
      FNLB_PORT_8081_TCP_PORT: "8081",
      fnlb_nodes: "x",
    };
    assert.deepEqual(resolveConfig({ env }), resolveConfig());
  });

  it("names the option or variable, what it must be and what it was", () => {
    assert.equal(refusal({ attempts: "many" }), 'option "attempts" must be a whole number, got "many"');
    assert.match(refusal({}, { FNLB_ATTEMPTS: "many" }), /^environment variable FNLB_ATTEMPTS must be .* got "many"$/);
    assert.match(refusal({ hash: "md5" }), /^option "hash" must be one of fast, ketama, got "md5"$/);
    assert.match(refusal({ bogus: "1" } as never), /option "bogus"/);
    for (const name of ["constructor", "__proto__", "toString"])
      assert.match(refusal(JSON.parse(`{"${name}":"1"}`) as never), new RegExp(`option "${name}"`));
  });

  it("refuses a bad value of every option that can be bad", () => {
    for (const [name, { kind }] of OPTION_LIST) {
      // What they may be is judged where they are put to use.
      const isFree = [
        "access-log",
        "log-file",
        "check-body",
        "tls-cert",
        "node-tls-ca",
        "node-tls-cert",
        "node-tls-key",
      ];
      if (isFree.includes(name)) continue;
      for (const bad of kind === "list" || kind === "text" ? ["a b?", "\0"] : ["", "NaN", "-1", "1 2", "?"]) {
        assert.match(refusal({ [name]: bad }), new RegExp(`^option "${name}" must be `), `${name} ${bad}`);
        assert.match(refusal({}, { [environmentName(name)]: bad }), new RegExp(environmentName(name)));
      }
    }
  });

  it("holds every number within its bounds", () => {
    for (const [name, { kind, min = 0, max }] of OPTION_LIST as [OptionName, (typeof OPTION_LIST)[number][1]][]) {
      if (!["duration", "size", "count"].includes(kind)) continue;
      const needed = NEEDED[name] ?? {};
      resolveConfig({ options: { ...needed, [name]: min } });
      if (min > 0) assert.match(refusal({ ...needed, [name]: min - 1 }), /at least/, name);
      if (max === undefined) continue;
      resolveConfig({ options: { ...needed, [name]: max } });
      assert.match(refusal({ ...needed, [name]: max + 1 }), /at most/, name);
    }
  });

  it("refuses a repeated option unless it is one that may be repeated", () => {
    assert.match(refusal({ nodes: ["a", "b"] }), /option "nodes" must be given once/);
    assert.equal(resolveConfig({ options: { listen: [":1", ":2"] } }).listeners.length, 2);
    assert.deepEqual(resolveConfig({ options: { "trust-proxy": ["10.0.0.1", "::1,fd00::/8"] } }).trustedProxies, [
      "10.0.0.1",
      "::1",
      "fd00::/8",
    ]);
  });

  it("opens listeners with TLS, each certificate with its key", () => {
    const tls = (options: Partial<Record<OptionName, OptionValue>>) =>
      resolveConfig({ options: { "tls-listen": ":443", ...options } }).listeners[0].tls;
    assert.deepEqual(tls({ "tls-cert": ["a.pem", "b.pem"], "tls-key": "a.key,b.key" })?.certificates, [
      { certFile: "a.pem", keyFile: "a.key" },
      { certFile: "b.pem", keyFile: "b.key" },
    ]);
    assert.equal(
      tls({ "tls-cert": "a.pem", "tls-client-auth": "request", "tls-client-ca": "ca.pem" })?.clientCaFile,
      "ca.pem",
    );
    assert.match(refusal({ "tls-listen": ":443" }), /option "tls-listen" must be given with --tls-cert/);
    assert.match(
      refusal({ "tls-cert": "a,b", "tls-key": "a" }),
      /option "tls-key" must be as many files as --tls-cert has, 2/,
    );
    assert.match(refusal({ "tls-cert": "a", "tls-client-auth": "require" }), /given with --tls-client-auth/);
    assert.match(refusal({ "proxy-tls-listen": ":443" }), /option "proxy-tls-listen" must be given with --tls-cert/);
    assert.match(
      refusal({ "tls-listen": [":1", ":1"], "tls-cert": "a" }),
      /^option "tls-listen" must be free of repeated addresses/,
    );
    assert.match(refusal({ listen: ":1", "tls-listen": ":1", "tls-cert": "a" }), /repeated/);
  });

  it("hands the cluster's way of speaking TLS to its https nodes and to no others", () => {
    const [secure, plain] = resolveConfig({
      options: { nodes: "https://a,b", "node-tls-ca": "ca.pem", "node-tls-cert": "us.pem", "node-tls-verify": false },
    }).nodes;
    assert.deepEqual(secure.tls, {
      caFile: "ca.pem",
      serverName: "",
      certFile: "us.pem",
      keyFile: "us.pem",
      verifies: false,
    });
    assert.equal(plain.tls, undefined);
  });

  it("refuses options of TLS where nobody speaks it", () => {
    for (const options of [
      { "tls-cert": "a.pem" },
      { "tls-min-version": "1.3" },
      { "tls-client-auth": "request", "tls-client-ca": "ca.pem" },
    ])
      assert.match(refusal(options), /^option "tls-[a-z-]+" must be left out without --tls-listen/);
    for (const [name, text] of [
      ["node-tls-ca", "ca.pem"],
      ["node-tls-name", "a"],
      ["node-tls-verify", "false"],
    ]) {
      assert.match(refusal({ nodes: "http://a:443", [name]: text }), /must be left out where no node is https/);
      resolveConfig({ options: { nodes: "a,https://b", [name]: text } });
    }
    assert.match(
      refusal({ nodes: "https://a", "node-tls-key": "us.key" }),
      /^option "node-tls-key" must be left out without --node-tls-cert/,
    );
    resolveConfig({ options: { "tls-client-auth": "none", "node-tls-verify": true }, env: { FNLB_TLS_CERT: "" } });
    const text = (ca: string, nodes: string) =>
      `clusters:\n  a: { nodes: ${nodes}, ${ca} }\n  b: { nodes: "https://b" }\nroutes: [{ cluster: a }]\n`;
    const read = (ca: string, nodes: string, env = {}) =>
      resolveWhole({ env, file: parseConfigFile(text(ca, nodes), "fnlb.yaml") });
    read("attempts: 2", "a", { FNLB_NODE_TLS_CA: "ca.pem" });
    read("node-tls-ca: ca.pem", '"https://a"');
    assert.throws(() => read("node-tls-ca: ca.pem", "a"), /fnlb\.yaml.* must be left out where no node is https/);
  });

  it("refuses two listeners at one address, but not two free ports", () => {
    assert.match(refusal({ listen: [":1", "0.0.0.0:1"] }), /repeated/);
    assert.match(refusal({ listen: ":1", "proxy-listen": ":1" }), /repeated/);
    assert.equal(resolveConfig({ options: { listen: [":0", ":0"] } }).listeners.length, 2);
  });

  it("opens no other listener when only one for proxies is asked for", () => {
    assert.deepEqual(
      resolveConfig({ options: { "proxy-listen": ":1" } }).listeners.map(({ proxyProtocol }) => proxyProtocol),
      [true],
    );
    assert.deepEqual(
      resolveConfig({ options: { listen: ":1", "proxy-listen": ":2" } }).listeners.map((one) => one.proxyProtocol),
      [false, true],
    );
  });

  it("reads several listeners from one variable", () => {
    const { listeners } = resolveConfig({ env: { FNLB_LISTEN: ":1, unix:/run/x" } });
    assert.deepEqual(
      listeners.map(({ address }) => address.kind),
      ["tcp", "unix"],
    );
  });

  it("takes trusted proxies as strict addresses and blocks only", () => {
    for (const bad of [
      "10.0.0.0/33",
      "::/129",
      "010.0.0.1",
      "0x7f.1",
      "10.0.0.0/",
      "10.0.0.0/8/8",
      "localhost",
      "10.0.0.1,",
    ])
      assert.match(refusal({ "trust-proxy": bad }), /addresses or CIDR blocks/, bad);
  });

  it("reads keys of several parts", () => {
    assert.deepEqual(resolveConfig({ options: { key: "host, prefix:2 ,query:q,cookie:S" } }).key, [
      { kind: "host" },
      { kind: "prefix", depth: 2 },
      { kind: "query", name: "q" },
      { kind: "cookie", name: "S" },
    ]);
    for (const bad of [
      "",
      "path,",
      "prefix",
      "prefix:0",
      "prefix:x",
      "header:",
      "header:a b",
      "query:",
      "path:1",
      "ip",
    ])
      assert.match(refusal({ key: bad }), /option "key" must be path, target/, bad);
  });

  it("refuses a bound on the load that no node could keep", () => {
    assert.equal(resolveConfig({ options: { "balance-factor": "0" } }).balanceFactor, 0);
    for (const bad of ["0.5", "-1", "NaN", "1001", "1e1"])
      assert.match(refusal({ "balance-factor": bad }), /0 or a number/);
  });

  it("refuses an option that the policy would not read", () => {
    for (const [name, text, policy] of [
      ["hash", "ketama", "maglev"],
      ["balance-factor", "1.2", "random"],
      ["spread", "2", "least-loaded"],
      ["maglev-table-size", "251", "ring-hash"],
      ["wrr-mode", "interleaved", "p2c-ewma"],
      ["rebalance", "true", "ring-hash"],
    ] as const) {
      assert.match(
        refusal({ policy, [name]: text }),
        new RegExp(`option "${name}" must be left out unless the policy is`),
      );
      assert.match(refusal({ policy }, { [environmentName(name)]: text }), /^environment variable FNLB_/);
    }
    assert.equal(resolveConfig({ options: { policy: "random", spread: 1 } }).policy, "random");
  });

  it("refuses cookies that could not be written, and never repeats a secret", () => {
    const secret = "a secret of 17 by";
    for (const options of [
      { "sticky-cookie": "fnlb" },
      { "sticky-secret": secret },
      { "sticky-cookie": "fnlb", "sticky-secret": secret, "sticky-codec": "encrypted" },
      { "sticky-cookie": "fnlb", "sticky-secret": secret.slice(2) },
      { "sticky-cookie": "a b", "sticky-codec": "raw" },
      { "sticky-codec": "raw,plain" },
      { "sticky-domain": "a;b" },
      { "sticky-path": "app" },
      { "sticky-same-site": "none" },
    ]) {
      assert.doesNotMatch(refusal(options), /a secret|secret of/, JSON.stringify(options));
    }
  });

  it("refuses a table size that is no prime", () => {
    assert.match(refusal({ policy: "maglev", "maglev-table-size": 1000 }), /must be a prime number such as 65537, got/);
  });

  it("never tunnels h2c, whose later requests would pass unseen", () => {
    assert.deepEqual(resolveConfig({ options: { upgrade: "none" } }).upgradeTokens, []);
    assert.match(refusal({ upgrade: "websocket,h2c" }), /h2c/);
  });
});
