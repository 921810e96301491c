import type { HeaderRule } from "../core/header-rule.js";
import { isPrime } from "../core/policies/maglev.js";
import { POLICIES, type PolicyName } from "../core/policies/table.js";
import { DISCOVERY_SHAPE, readDiscovery } from "./discovery.js";
import { readUpgradeTokens } from "./forwarding-values.js";
import { HEADER_RULE_SHAPE, parseHeaderRule, shownHeaderRule } from "./header-rule.js";
import { readCheckHost, readCheckMinVersion, readCheckPath } from "./http-check.js";
import { readKeyParts } from "./key-parts.js";
import { isHostName } from "./listen-address.js";
import { NODE_SHAPE, readNodes } from "./node-address.js";
import type { OptionRow } from "./option-row.js";
import { readRetryOn } from "./retry-on.js";
import { parseStatuses, STATUSES_SHAPE } from "./statuses.js";
import { readStickyCodecs, readStickyDomain, readStickyName, readStickyPath, readStickySecrets } from "./sticky.js";
import { badOption } from "./units.js";
import { choice, count, duration, type Given, list, share, single, size, TOKEN, text, toggle } from "./value.js";

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
const BALANCE_FACTOR_MIN = 1;
const BALANCE_FACTOR_MAX = 1000;
const RETRY_BUDGET_MAX = 10;

/** Options that each cluster may have of its own. */
export const CLUSTER_OPTIONS = {
  nodes: {
    field: "nodes",
    group: "Traffic",
    ...list(readNodes),
    default: "127.0.0.1:8080",
    help: `Comma-separated nodes: ${NODE_SHAPE}; the default port is 8080.`,
  },

  discover: {
    field: "discover",
    group: "Discovery",
    ...text(readDiscovery),
    default: "",
    help: `Where nodes come from besides --nodes, whose default then is none: ${DISCOVERY_SHAPE}; dns4, dns6, srv4 and srv6 ask for one family of addresses.`,
  },
  "discover-min-interval": {
    field: "discoverIntervalMinMs",
    group: "Discovery",
    ...duration({ min: 100, max: DAY_MS }),
    default: "1s",
    help: "Shortest time between two questions to DNS, whatever its TTLs are, and time between two looks at a file.",
  },
  "discover-max-interval": {
    field: "discoverIntervalMaxMs",
    group: "Discovery",
    ...duration({ min: 1000, max: DAY_MS }),
    default: "1m",
    help: "Longest time between two questions to DNS, whatever its TTLs are and however often it fails; at least --discover-min-interval.",
  },
  "discover-allow-empty": {
    field: "discoverAllowsEmpty",
    group: "Discovery",
    ...toggle(),
    default: "false",
    help: "Let an answer without nodes take all discovered ones away; otherwise it is logged and ignored.",
  },
  "discover-nodes": {
    field: "discoverNodesMax",
    group: "Discovery",
    ...count({ min: 1, max: 100_000 }),
    default: "10000",
    help: "Nodes that are taken of an answer; of more the first by id.",
  },

  "node-tls-ca": {
    field: "nodeTlsCaFile",
    group: "TLS",
    ...text(),
    default: "",
    help: "PEM file with the authorities that may sign the certificates of https nodes; by default the public ones.",
  },
  "node-tls-name": {
    field: "nodeTlsName",
    group: "TLS",
    ...text(readNodeTlsName),
    default: "",
    help: "Name that https nodes are asked for and that their certificates must be for; by default the host of each.",
  },
  "node-tls-cert": {
    field: "nodeTlsCertFile",
    group: "TLS",
    ...text(),
    default: "",
    help: "PEM file of a certificate for https nodes that ask for one.",
  },
  "node-tls-key": {
    field: "nodeTlsKeyFile",
    group: "TLS",
    ...text(),
    default: "",
    help: "PEM file of its key; by default it is in the file of the certificate.",
  },
  "node-tls-verify": {
    field: "nodeTlsVerifies",
    group: "TLS",
    ...toggle(),
    default: "true",
    help: "Take no https node for itself whose certificate does not prove it.",
  },

  key: {
    field: "key",
    group: "Routing",
    ...list(readKeyParts),
    default: "path",
    help: "What is hashed to choose a node: path, target (with query), prefix:N (first N path segments), query:NAME, header:NAME, cookie:NAME, client (address), host, method, or several joined by commas.",
  },
  "key-required": {
    field: "keyRequired",
    group: "Routing",
    ...toggle(),
    default: "false",
    help: "Refuse a request that has no part of the key with 400 instead of routing it by its path.",
  },
  policy: {
    field: "policy",
    group: "Routing",
    ...choice(Object.keys(POLICIES) as PolicyName[]),
    default: "ring-hash",
    help: "How a node is chosen; docs/policies.md says which is for what.",
  },
  hash: {
    field: "hash",
    group: "Routing",
    ...choice(["fast", "ketama"]),
    default: "fast",
    help: "Hash of ring-hash: fast, or ketama (md5), which puts a key where any ketama client puts it.",
  },
  "balance-factor": {
    field: "balanceFactor",
    group: "Routing",
    kind: "number",
    minUnlessZero: BALANCE_FACTOR_MIN,
    max: BALANCE_FACTOR_MAX,
    read: readBalanceFactor,
    default: "1.5",
    help: "A node with more than eight requests at once and this many times its share takes no new keys; 0 turns the bound off, else at least 1. For policies by key.",
  },
  spread: {
    field: "spread",
    group: "Routing",
    ...count({ min: 1, max: 1000 }),
    default: "1",
    help: "How many nodes share a key once its node has eight requests at once; below that it stays on one. For policies by key; 1 turns it off.",
  },
  "maglev-table-size": {
    field: "maglevTableSize",
    group: "Routing",
    ...count({ min: 2, max: 5_000_011 }),
    read: readTableSize,
    default: "65537",
    help: "Places in the table of maglev, a prime; a hundred or more for each node.",
  },
  "wrr-mode": {
    field: "wrrMode",
    group: "Routing",
    ...choice(["smooth", "interleaved"]),
    default: "smooth",
    help: "Order of weighted-round-robin for weights 5, 1, 1: smooth a a b a c a a, interleaved (as oxy) a a a a a b c.",
  },
  rebalance: {
    field: "rebalance",
    group: "Routing",
    ...toggle(),
    default: "false",
    help: "Move weight away from nodes that fail or are slow, and back when they recover; for weighted-round-robin, least-loaded, p2c-ewma and random.",
  },
  "slow-start": {
    field: "slowStartMs",
    group: "Routing",
    ...duration({ max: DAY_MS }),
    default: "0",
    help: "Time in which a node that has come back grows from a tenth of its share to all of it; 0 turns it off.",
  },

  "sticky-cookie": {
    field: "stickyCookie",
    group: "Affinity",
    ...text(readStickyName),
    default: "",
    help: "Keep each client on its node by a cookie of this name, whatever the policy says; a node that is dead or silent is left.",
  },
  "sticky-header": {
    field: "stickyHeader",
    group: "Affinity",
    ...text(readStickyName),
    default: "",
    help: "Like --sticky-cookie, by a field of this name: a response says it, and a client that sends it back stays; for programs that keep no cookies.",
  },
  "sticky-codec": {
    field: "stickyCodecs",
    group: "Affinity",
    ...list(readStickyCodecs),
    default: "signed",
    help: "What the cookie or field says: signed (an opaque name of the node and an HMAC), encrypted (AES-GCM), raw or hash (as oxy wrote them); of several the first is written and all are accepted.",
  },
  "sticky-secret": {
    field: "stickySecrets",
    group: "Affinity",
    ...list(readStickySecrets),
    default: "",
    isSecret: true,
    isRepeatable: true,
    help: "Keys of signed (16 bytes or more) and encrypted (16, 24 or 32 bytes) values: the first writes, all are accepted. Better set by the environment.",
  },
  "sticky-ttl": {
    field: "stickyTtlMs",
    group: "Affinity",
    ...duration({}),
    default: "0",
    help: "How long an encrypted value is honoured; 0 is for ever.",
  },
  "sticky-max-age": {
    field: "stickyMaxAgeMs",
    group: "Affinity",
    ...duration({}),
    default: "0",
    help: "Max-Age of the cookie, in whole seconds; 0 lets it end with the browser.",
  },
  "sticky-path": {
    field: "stickyPath",
    group: "Affinity",
    ...text(readStickyPath),
    default: "/",
    help: "Path of the cookie.",
  },
  "sticky-domain": {
    field: "stickyDomain",
    group: "Affinity",
    ...text(readStickyDomain),
    default: "",
    help: "Domain of the cookie; by default the host that was asked and no other.",
  },
  "sticky-secure": {
    field: "stickySecure",
    group: "Affinity",
    ...toggle(),
    default: "false",
    help: "Send the cookie over TLS only.",
  },
  "sticky-http-only": {
    field: "stickyHttpOnly",
    group: "Affinity",
    ...toggle(),
    default: "true",
    help: "Keep the cookie out of reach for scripts.",
  },
  "sticky-same-site": {
    field: "stickySameSite",
    group: "Affinity",
    ...choice(["strict", "lax", "none"]),
    default: "lax",
    help: "SameSite of the cookie; none needs --sticky-secure.",
  },

  "connect-timeout": {
    field: "connectTimeoutMs",
    group: "Timeouts",
    ...duration({ min: 1 }),
    default: "2s",
    help: "Time to connect to a node before it is held to be dead.",
  },
  "dial-deadline": {
    field: "dialDeadlineMs",
    group: "Timeouts",
    ...duration({ min: 1 }),
    default: "5s",
    help: "Time for all dials of one request together.",
  },
  "response-timeout": {
    field: "responseTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "60s",
    help: "Time from a complete request to the first byte of its response, then 504 without repetition; 0 turns it off.",
  },
  "body-idle-timeout": {
    field: "bodyIdleTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "60s",
    help: "Time in which a body may stand still, in either direction; 0 turns it off.",
  },
  "exchange-timeout": {
    field: "exchangeTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "0",
    help: "Time for a whole request and its response; 0 turns it off.",
  },
  "node-keep-alive-timeout": {
    field: "nodeKeepAliveTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "4s",
    help: "Time that a connection to a node is kept for reuse, or less if the node's Keep-Alive says so (Node servers close after 5s); 0 keeps none.",
  },
  "tunnel-idle-timeout": {
    field: "tunnelIdleTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "1h",
    help: "Time that a tunnel, such as a websocket, may be silent in both directions; 0 turns it off.",
  },

  "ping-interval": {
    field: "pingIntervalMs",
    group: "Health",
    ...duration({ min: 10, max: DAY_MS }),
    default: "1s",
    help: "Pause between two pings (TCP connects) of a dead node, give or take 20 %.",
  },
  "ping-timeout": {
    field: "pingTimeoutMs",
    group: "Health",
    ...duration({ min: 1, max: DAY_MS }),
    default: "1s",
    help: "Time for a ping, and for the question whether a silent node still answers.",
  },
  silence: {
    field: "silenceMs",
    group: "Health",
    ...duration({ max: DAY_MS }),
    default: "1s",
    help: "A node that keeps requests waiting this long without a byte of any response is asked OPTIONS *; without an answer it takes no new keys. 0 turns it off.",
  },

  "check-path": {
    field: "checkPath",
    group: "Health",
    ...text(readCheckPath),
    default: "",
    help: "Ask each node for this path, and send it nothing before its first passed check and while its checks fail; off by default.",
  },
  "check-interval": {
    field: "checkIntervalMs",
    group: "Health",
    ...duration({ min: 10, max: DAY_MS }),
    default: "3s",
    help: "Pause between two checks of a node, give or take 20 %.",
  },
  "check-timeout": {
    field: "checkTimeoutMs",
    group: "Health",
    ...duration({ min: 1, max: DAY_MS }),
    default: "5s",
    help: "Time for a whole check.",
  },
  "check-method": {
    field: "checkMethod",
    group: "Health",
    ...choice(["GET", "HEAD"]),
    default: "GET",
    help: "Method of a check.",
  },
  "check-host": {
    field: "checkHost",
    group: "Health",
    ...text(readCheckHost),
    default: "",
    help: "Host field of a check; by default the node's own.",
  },
  "check-statuses": {
    field: "checkStatuses",
    group: "Health",
    ...list(readStatuses),
    default: "200-299",
    help: "Statuses and ranges of them that pass a check.",
  },
  "check-body": {
    field: "checkBody",
    group: "Health",
    ...text(),
    default: "",
    help: "Text that the first 64 KiB of a check's answer must contain.",
  },
  "check-min-version": {
    field: "checkMinVersion",
    group: "Health",
    ...text(readCheckMinVersion),
    default: "",
    help: 'Lowest version that passes a check whose answer is JSON with a "version", as of fnproject.',
  },
  "check-healthy": {
    field: "checkHealthyThreshold",
    group: "Health",
    ...count({ min: 1, max: 1000 }),
    default: "1",
    help: "Passed checks in a row that bring a node back.",
  },
  "check-unhealthy": {
    field: "checkUnhealthyThreshold",
    group: "Health",
    ...count({ min: 1, max: 1000 }),
    default: "2",
    help: "Failed checks in a row that take a node out.",
  },

  "outlier-consecutive": {
    field: "outlierConsecutive",
    group: "Protection",
    ...count({ max: 1_000_000 }),
    default: "0",
    help: "Eject a node for a while after so many faults in a row (5xx, no answer, failed dials); 0 turns it off.",
  },
  "outlier-share": {
    field: "outlierShareMax",
    group: "Protection",
    ...share(),
    default: "0",
    help: "Eject a node for a while when this share of its answers are faults; 0 turns it off.",
  },
  "outlier-window": {
    field: "outlierWindowMs",
    group: "Protection",
    ...duration({ min: 100, max: DAY_MS }),
    default: "10s",
    help: "Time over which --outlier-share is taken.",
  },
  "outlier-volume": {
    field: "outlierVolumeMin",
    group: "Protection",
    ...count({ min: 1, max: 1_000_000 }),
    default: "50",
    help: "Answers in that time without which the share says nothing.",
  },
  "outlier-ejection": {
    field: "outlierEjectionMs",
    group: "Protection",
    ...duration({ min: 1, max: DAY_MS }),
    default: "30s",
    help: "How long a node stays ejected, times its ejections in a row.",
  },
  "outlier-ejection-max": {
    field: "outlierEjectionMaxMs",
    group: "Protection",
    ...duration({ min: 1, max: DAY_MS }),
    default: "5m",
    help: "The longest that a node stays ejected.",
  },
  "outlier-ejected-share": {
    field: "outlierEjectedShareMax",
    group: "Protection",
    ...share(),
    default: "0.5",
    help: "Share of the nodes that may be ejected at once; of two nodes one, and never the only one.",
  },
  "panic-share": {
    field: "panicShare",
    group: "Protection",
    ...share(),
    default: "0.5",
    help: "When fewer than this share of the nodes are healthy, ejected ones serve again; 0 turns it off.",
  },
  "breaker-faults": {
    field: "breakerFaults",
    group: "Protection",
    ...count({ max: 1_000_000 }),
    default: "0",
    help: "Faults in a row that open the circuit breaker of a node; 0 turns breakers off.",
  },
  "breaker-open": {
    field: "breakerOpenMs",
    group: "Protection",
    ...duration({ min: 1, max: DAY_MS }),
    default: "500ms",
    help: "How long a breaker stays open before a single request probes the node, give or take half; longer after each failed probe.",
  },
  "breaker-open-max": {
    field: "breakerOpenMaxMs",
    group: "Protection",
    ...duration({ min: 1, max: DAY_MS }),
    default: "1m",
    help: "The longest that a breaker stays open before the next probe.",
  },

  attempts: {
    field: "attemptsMax",
    group: "Retries",
    ...count({ min: 1, max: 100 }),
    default: "3",
    help: "Nodes that one request may reach; failed dials do not count.",
  },
  "replay-bytes": {
    field: "replayBytesMax",
    group: "Retries",
    ...size({ max: 64 * MIB }),
    default: "64KiB",
    help: "Body bytes held so that an idempotent request can be sent again; above it the body streams on and that right is given up.",
  },

  "retry-on": {
    field: "retryOn",
    group: "Retries",
    ...list(readRetryOn),
    default: "closed,silent",
    help: "What a request that may be repeated is repeated for, besides dials that fail: closed (before an answer), silent (its node is), and statuses such as 503; none turns it off.",
  },
  "retry-budget": {
    field: "retryBudget",
    group: "Retries",
    kind: "number",
    max: RETRY_BUDGET_MAX,
    read: readRetryBudget,
    default: "0.2",
    help: "Repeats that each request earns for all; 0 leaves those of --retry-reserve.",
  },
  "retry-reserve": {
    field: "retryReserve",
    group: "Retries",
    ...count({ max: 1_000_000 }),
    default: "100",
    help: "Repeats that can be saved up; a tenth of them is there from the start, and 0 turns repeats off.",
  },

  "cluster-connections": {
    field: "clusterConnectionsMax",
    group: "Limits",
    ...count({ max: 10_000_000 }),
    default: "0",
    help: "Requests and tunnels in a cluster at once; 0 turns it off.",
  },
  queue: {
    field: "queueMax",
    group: "Limits",
    ...count({ max: 1_000_000 }),
    default: "0",
    help: "Requests that wait, first come first served, while all nodes or the cluster are at their limits; above it 503, and 0 lets none wait.",
  },
  "queue-timeout": {
    field: "queueTimeoutMs",
    group: "Limits",
    ...duration({ min: 1, max: DAY_MS }),
    default: "5s",
    help: "Time that a request may wait in the queue, then 503.",
  },
  "node-connections": {
    field: "nodeConnectionsMax",
    group: "Limits",
    ...count({ min: 1, max: 10_000_000 }),
    default: "1024",
    help: "Requests and tunnels at one node at once; then its keys spill along the ring, and when all are full 503.",
  },
  "node-idle-connections": {
    field: "nodeIdleConnectionsMax",
    group: "Limits",
    ...count({ max: 1_000_000 }),
    default: "100",
    help: "Idle connections kept for each node.",
  },
  "response-head-bytes": {
    field: "responseHeadBytesMax",
    group: "Limits",
    ...size({ min: 256, max: MIB }),
    default: "64KiB",
    help: "Size of a node's response head, then 502.",
  },
  "body-bytes": {
    field: "bodyBytesMax",
    group: "Limits",
    ...size({}),
    default: "0",
    help: "Size of a request body, then 413; 0 turns it off.",
  },

  upgrade: {
    field: "upgradeTokens",
    group: "Forwarding",
    ...list(readUpgradeTokens),
    default: "websocket",
    help: "Upgrade tokens that may open a tunnel, comma-separated; none turns upgrades off.",
  },

  "request-header": {
    field: "requestHeaders",
    group: "Headers",
    ...text(readHeaderRules),
    default: "",
    isRepeatable: true,
    separator: "\n",
    help: "Change requests on their way to nodes: 'set X-Env: prod', 'add X-Env: prod' or 'remove X-Env'; see docs/headers.md. Several in one variable stand on lines of their own.",
  },
  "response-header": {
    field: "responseHeaders",
    group: "Headers",
    ...text(readHeaderRules),
    default: "",
    isRepeatable: true,
    separator: "\n",
    help: "Change responses on their way to clients, likewise.",
  },
  "load-header": {
    field: "loadHeader",
    group: "Headers",
    ...text(readLoadHeader),
    default: "",
    help: "Field by which nodes say how long a call waited there (fnproject's is XXX-FXLB-WAIT); where a path has to wait, others are asked. Clients never see it.",
  },
} as const satisfies Readonly<Record<string, OptionRow>>;

function readTableSize(given: Given): number {
  const value = count({ min: 2, max: 5_000_011 }).read(given);
  if (!isPrime(value)) throw badOption(given.source, "a prime number such as 65537", single(given));
  return value;
}

function readBalanceFactor(given: Given): number {
  const text = single(given);
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const isGood = value === 0 || (value >= BALANCE_FACTOR_MIN && value <= BALANCE_FACTOR_MAX);
  if (!isGood) throw badOption(given.source, `0 or a number from ${BALANCE_FACTOR_MIN} to ${BALANCE_FACTOR_MAX}`, text);
  return value;
}

function readStatuses(given: Given): readonly (readonly [number, number])[] {
  const text = given.texts.join(",");
  const statuses = parseStatuses(text);
  if (statuses === undefined) throw badOption(given.source, STATUSES_SHAPE, text);
  return statuses;
}

function readRetryBudget(given: Given): number {
  const text = single(given);
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= RETRY_BUDGET_MAX)) throw badOption(given.source, `a number from 0 to ${RETRY_BUDGET_MAX}`, text);
  return value;
}

function readHeaderRules(given: Given): readonly HeaderRule[] {
  if (given.texts.join("") === "") return [];
  return given.texts.map((text) => {
    const rule = parseHeaderRule(text);
    if (rule === undefined) throw badOption(given.source, HEADER_RULE_SHAPE, shownHeaderRule(text));
    return rule;
  });
}

function readLoadHeader(given: Given): string {
  const name = single(given);
  if (name !== "" && !TOKEN.test(name)) throw badOption(given.source, "the name of a field", name);
  return name.toLowerCase();
}

function readNodeTlsName(given: Given): string {
  const name = single(given);
  if (name !== "" && !isHostName(name)) throw badOption(given.source, "a host name", name);
  return name;
}
