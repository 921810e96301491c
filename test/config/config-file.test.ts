import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseConfigFile, ROUTE_KEYS } from "../../src/config/config-file.js";
import { OPTION_LIST } from "../../src/config/options.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { FnlbError } from "../../src/errors.js";

const read = (text: string, options = {}, env = {}) =>
  resolveConfig({ options, env, file: parseConfigFile(text, "fnlb.yaml") });

function faultOf(text: string, options = {}): string {
  try {
    read(text, options);
  } catch (error) {
    assert.ok(error instanceof FnlbError, String(error));
    assert.equal(error.code, "ERR_OPTION");
    return error.message;
  }
  return assert.fail(`accepted: ${text}`);
}

const TWO_CLUSTERS = `
listen: [":8081", "unix:/run/fnlb.sock"]
ping-interval: 500ms
trust-proxy: [10.0.0.0/8, "::1"]
clusters:
  api:
    nodes: [10.0.0.1=2, 10.0.0.2]
    policy: random
    ping-interval: 2s
  web: {nodes: "10.0.1.1, 10.0.1.2"}
routes:
  - {host: [api.example.com, "*.api.example.com"], path: /v1, strip-prefix: yes, cluster: api}
  - {name: post, method: POST, header: {X-Canary: 1, authorization: }, cluster: api}
  - cluster: web
`;

describe("a config file", () => {
  it("names options as flags do, clusters with options of their own, and routes", () => {
    const { listeners, clusters, routes, trustedProxies } = read(TWO_CLUSTERS);
    assert.deepEqual(
      listeners.map(({ address }) => address.kind),
      ["tcp", "unix"],
    );
    assert.deepEqual(trustedProxies, ["10.0.0.0/8", "::1"]);
    assert.deepEqual(
      clusters.map(({ name, nodes, policy, pingIntervalMs }) => [
        name,
        nodes.map(({ id }) => id),
        policy,
        pingIntervalMs,
      ]),
      [
        ["api", ["10.0.0.1:8080", "10.0.0.2:8080"], "random", 2000],
        ["web", ["10.0.1.1:8080", "10.0.1.2:8080"], "ring-hash", 500],
      ],
    );
    assert.equal(clusters[0].nodes[0].weight, 2);
    const plain = {
      hosts: [],
      path: "/",
      isExact: false,
      methods: [],
      headers: [],
      stripsPrefix: false,
      redirectsSlash: false,
    };
    assert.deepEqual(routes, [
      {
        ...plain,
        name: "route-1",
        hosts: ["api.example.com", "*.api.example.com"],
        path: "/v1",
        stripsPrefix: true,
        cluster: "api",
      },
      {
        ...plain,
        name: "post",
        methods: ["POST"],
        headers: [
          { name: "X-Canary", value: "1" },
          { name: "authorization", value: undefined },
        ],
        cluster: "api",
      },
      { ...plain, name: "route-3", cluster: "web" },
    ]);
  });

  it("may be JSON, and may name its schema", () => {
    const json = JSON.stringify(
      { $schema: "./config.schema.json", nodes: ["a", "b"], attempts: 5, "request-id": true },
      null,
      "\t",
    );
    const { requestId, clusters } = read(json);
    assert.deepEqual([requestId, clusters[0].attemptsMax, clusters[0].nodes.length], [true, 5, 2]);
  });

  it("may be empty, and then says nothing", () => {
    for (const text of ["", "# nothing\n", "---\n", "{}"]) assert.deepEqual(read(text), resolveConfig());
  });

  it("takes an empty list for nothing", () => {
    assert.deepEqual(read("trust-proxy: []\nupgrade: []\nrequest-header: []").clusters[0].upgradeTokens, []);
  });

  it("gives way to the environment, and that to flags, which hold for every cluster", () => {
    const env = { FNLB_PING_INTERVAL: "3s", FNLB_ATTEMPTS: "7" };
    const { clusters } = read(TWO_CLUSTERS, { attempts: 9 }, env);
    assert.deepEqual(
      clusters.map(({ pingIntervalMs, attemptsMax }) => [pingIntervalMs, attemptsMax]),
      [
        [3000, 9],
        [3000, 9],
      ],
    );
  });

  it("joins the parts of a key, as commas do", () => {
    assert.deepEqual(read("key: [host, 'header:X-User']"), read("key: host,header:X-User"));
    assert.equal(read("key: [host, path]").clusters[0].key.length, 2);
  });

  it("reads a number as it is written", () => {
    assert.equal(read("attempts: 010").clusters[0].attemptsMax, 10);
    assert.match(faultOf("attempts: 1e1"), /must be a whole number, got "1e1"$/);
    assert.match(faultOf("attempts: 0x10"), /must be a whole number, got "0x10"$/);
  });

  for (const [what, text, fault] of [
    [
      "an unknown option",
      "nodes: a\npingInterval: 1s",
      'fnlb.yaml:2:1: has no option "pingInterval", but "ping-interval"',
    ],
    [
      "an unknown option of a cluster",
      "clusters:\n  a:\n    Nodes: b",
      'fnlb.yaml:3:5: cluster "a" has no option "Nodes", but "nodes"',
    ],
    [
      "an option of the process in a cluster",
      "clusters:\n  a:\n    listen: b",
      'fnlb.yaml:3:5: cluster "a" has no option "listen": "listen" is an option of the whole process',
    ],
    ["a bad value", "attempts:\n  many", 'fnlb.yaml:2:3: option "attempts" must be a whole number, got "many"'],
    [
      "a bad value of a cluster",
      "clusters: {a: {attempts: 0}}",
      'fnlb.yaml:1:26: option "attempts" of cluster "a" must be a whole number, at least 1, got "0"',
    ],
    [
      "a key without a value",
      "nodes:\n",
      'fnlb.yaml:1:7: option "nodes" must be a text, a number, true or false, or a list of them, got nothing',
    ],
    [
      "a map for a value",
      "log-level: {a: b}",
      'fnlb.yaml:1:12: option "log-level" must be a text, a number, true or false, got a map',
    ],
    // Not the first of them, silently.
    [
      "a list where one value belongs",
      "policy: [random, maglev]",
      'fnlb.yaml:1:9: option "policy" must be a text, a number, true or false, got a list',
    ],
    [
      "a list in a list",
      "nodes:\n- a\n- [b]",
      'fnlb.yaml:3:3: option "nodes" must be a text, a number, true or false, or a list of them, got a list',
    ],
    ["a list for the file", "- a", "fnlb.yaml:1:1: the file must be a map of keys to values, got a list"],
    ["a list of clusters", "clusters: [a]", 'fnlb.yaml:1:11: "clusters" must be a map of keys to values, got a list'],
    [
      "a cluster that is nothing",
      "clusters:\n  a:",
      'fnlb.yaml:2:5: cluster "a" must be a map of keys to values, got nothing',
    ],
    [
      "a bad name of a cluster",
      "clusters: {'a b': {nodes: a}}",
      'fnlb.yaml:1:12: the name of a cluster must be 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first, got "a b"',
    ],
    ["a map of routes", "routes: {a: b}", 'fnlb.yaml:1:9: "routes" must be a list, got a map'],
    [
      "an unknown key of a route",
      "routes:\n- hosts: a",
      /^fnlb\.yaml:2:3: route 1 has no "hosts": it has name, host, /,
    ],
    [
      "a route that leads nowhere",
      "routes:\n- path: /a",
      'fnlb.yaml:2:3: route 1 must be given with a "cluster", got "none"',
    ],
    [
      "a route to an unknown cluster",
      "routes:\n- path: /a\n  cluster: b",
      'fnlb.yaml:3:12: "cluster" of route 1 must be one of default, got "b"',
    ],
    [
      "a bad toggle of a route",
      "routes: [{exact: maybe, cluster: default}]",
      'fnlb.yaml:1:18: "exact" of route 1 must be true or false, got "maybe"',
    ],
    [
      "a method in lower case",
      "routes: [{method: [PUT, get], cluster: default}]",
      /^fnlb\.yaml:1:19: "method" of route 1 must be GET, got "get": /,
    ],
    [
      "a list of paths",
      "routes: [{path: [/a, /b], cluster: default}]",
      'fnlb.yaml:1:17: "path" of route 1 must be a text, a number, true or false, got a list',
    ],
    [
      "an empty list of hosts",
      "routes: [{host: [], cluster: default}]",
      /^fnlb\.yaml:1:17: "host" of route 1 must be .*, got ""$/,
    ],
    [
      "a header without a map",
      "routes: [{header: x-a, cluster: default}]",
      'fnlb.yaml:1:19: "header" of route 1 must be a map of keys to values, got a text',
    ],
    [
      "a list of values of a header",
      "routes: [{header: {x: [a, b]}, cluster: default}]",
      /^fnlb\.yaml:1:23: "header" of route 1 must be a text, .* got a list$/,
    ],
    [
      "a default name that is taken",
      "routes:\n- {name: route-2, path: /a, cluster: default}\n- {path: /b, cluster: default}",
      'fnlb.yaml:3:3: route 2: "name" must be unique, got "route-2", which is route 1',
    ],
    [
      "two routes for the same requests",
      "routes:\n- {path: /a, cluster: default}\n- {cluster: default, path: /a}",
      /^fnlb\.yaml:3:28: "path" of route 2 must be told from route 1 \(route-1\)/,
    ],
    [
      "several faults of a route, by the first in the file",
      "routes:\n- method: get\n  path: a\n  cluster: nobody",
      /^fnlb\.yaml:2:11: "method"/,
    ],
    [
      "nodes for several clusters at once",
      `nodes: a\n${TWO_CLUSTERS}`,
      'fnlb.yaml:1:8: option "nodes" must be left out where a config file has several clusters, got "a"',
    ],
    [
      "a cluster without nodes beside others",
      "clusters:\n  a: {nodes: a}\n  b: {policy: random}\nroutes: [{cluster: a}]",
      'fnlb.yaml:3:3: cluster "b" must have "nodes" or "discover" where there are several clusters',
    ],
    [
      "several clusters and no route",
      "clusters:\n  a: {nodes: a}\n  b: {nodes: b}",
      'fnlb.yaml:1:1: "routes" must be given where there are several clusters',
    ],
    [
      "an option that the cluster's policy does not read",
      "clusters: {a: {policy: random, spread: 2}}",
      /^fnlb\.yaml:1:40: option "spread" of cluster "a" must be left out unless the policy is ring-hash/,
    ],
    [
      "an option that no cluster's policy reads",
      "rebalance: true\nclusters:\n  a: {nodes: a}\n  b: {nodes: b, policy: maglev}\nroutes: [{cluster: a}]",
      /^fnlb\.yaml:1:12: option "rebalance" must be left out unless the policy is /,
    ],
    [
      "options that contradict each other",
      "breaker-open: 2m",
      'fnlb.yaml:1:15: option "breaker-open" must be at most breaker-open-max, which is 1m, got "2m"',
    ],
    [
      "options that contradict each other, both given",
      "outlier-ejection: 2m\noutlier-ejection-max: 1m",
      'fnlb.yaml:2:23: option "outlier-ejection-max" must be at least outlier-ejection, which is 2m, got "1m"',
    ],
    [
      "a body of an answer to HEAD",
      "check-method: HEAD\ncheck-body: ok",
      /^fnlb\.yaml:1:15: option "check-method" must be GET with check-body/,
    ],
    [
      "a path that no check could ask for",
      "check-path: health",
      'fnlb.yaml:1:13: option "check-path" must be a path from / on without blanks or #, got "health"',
    ],
    [
      "a cookie that browsers would drop",
      "sticky-cookie: __Host-node\nsticky-codec: raw",
      'fnlb.yaml:1:16: option "sticky-cookie" must be used with --sticky-secure, got "__Host-node"',
    ],
    ["what is no YAML", "nodes: [a", /^fnlb\.yaml:1:10: /],
  ] as const)
    it(`refuses ${what}, and says where and what was expected`, () => {
      const message = faultOf(text);
      if (typeof fault === "string") assert.equal(message, fault);
      else assert.match(message, fault);
    });

  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"])
    it(`is not led astray by ${key}`, () => {
      assert.match(faultOf(`${key}: 1`), new RegExp(`fnlb.yaml:1:1: has no option "${key}"`));
      assert.match(faultOf(`clusters: {a: {${key}: 1}}`), new RegExp(`cluster "a" has no option "${key}"`));
      assert.match(faultOf(`routes: [{${key}: 1}]`), new RegExp(`route 1 has no "${key}"`));
      const text = `clusters: {${key}: {nodes: a}}\nroutes: [{header: {${key}: x}, cluster: ${key}}]`;
      if (key === "__proto__") assert.match(faultOf(text), /^fnlb\.yaml:1:12: the name of a cluster must be/);
      else {
        const { clusters, routes } = read(text);
        assert.deepEqual([clusters[0].name, routes[0].cluster], [key, key]);
        assert.deepEqual(routes[0].headers, [{ name: key, value: "x" }]);
      }
      assert.deepEqual(read(`routes: [{header: {${key}: x}, cluster: default}]`).routes[0].headers, [
        { name: key, value: "x" },
      ]);
      assert.equal(({} as Record<string, unknown>).nodes, undefined);
    });

  it("never repeats a secret", () => {
    const secret = "a-secret-that-is";
    for (const text of [
      `sticky-secret: ${secret.slice(1)}`,
      `sticky-secret: ${secret}`,
      `sticky-cookie: n\nsticky-codec: encrypted\nsticky-secret: ${secret}x`,
      `sticky-secret: [[${secret}]]`,
      `sticky-secret: {${secret}: 1}`,
      `sticky-cookie: n\nsticky-secret: [${Array.from({ length: 17 }, (_, index) => `${secret}${index}`).join()}]`,
    ])
      assert.doesNotMatch(faultOf(text), /secret-that/);
  });

  it("is a config or a fault with a place, whatever stands in it", () => {
    const key = fc.oneof(
      fc.constantFrom(
        ...OPTION_LIST.map(([name]) => name),
        "clusters",
        "routes",
        "$schema",
        "__proto__",
        "nodes",
        "default",
      ),
      fc.string({ maxLength: 5 }),
    );
    const word = fc.constantFrom(
      "a",
      "b",
      "",
      "1",
      "true",
      "random",
      "default",
      "/x",
      "*.x",
      "set A: b",
      "5s",
      "signed",
      ",",
      ":1",
      "\0",
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        word,
        fc.jsonValue({ maxDepth: 0 }),
        fc.array(tie("value"), { maxLength: 3 }),
        tie("map"),
      ),
      map: fc.dictionary(fc.oneof(key, fc.constantFrom(...ROUTE_KEYS)), tie("value"), { maxKeys: 4 }),
    }));
    let accepted = 0;
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 5 }), (config) => {
        try {
          read(JSON.stringify(config, null, 1));
          accepted++;
        } catch (error) {
          assert.ok(error instanceof FnlbError, String(error));
          assert.equal(error.code, "ERR_OPTION");
          assert.match(error.message, /^(?:default of option "[\w-]+"|fnlb\.yaml:\d+:\d+:) /);
        }
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 100, `${accepted}`);
  });

  it("holds a thousand clusters and ten thousand routes, and no more", () => {
    const clusters = (count: number) =>
      Array.from({ length: count }, (_, index) => `  c${index}: {nodes: a}\n`).join("");
    const routes = (count: number) =>
      Array.from({ length: count }, (_, index) => `- {path: /${index}, cluster: default}\n`).join("");
    const withClusters = (count: number) => `clusters:\n${clusters(count)}routes: [{cluster: c0}]`;
    assert.equal(read(withClusters(1000)).clusters.length, 1000);
    assert.equal(faultOf(withClusters(1001)), 'fnlb.yaml:1002:3: "clusters" must be at most 1000');
    assert.equal(read(`routes:\n${routes(10_000)}`).routes.length, 10_000);
    assert.equal(faultOf(`routes:\n${routes(10_001)}`), 'fnlb.yaml:10002:3: "routes" must be at most 10000');
  });
});
