import { POLICIES, type PolicyName } from "../core/policies/table.js";
import { LISTEN_ADDRESS_SHAPE } from "./listen-address.js";
import { NODE_SHAPE } from "./node-address.js";

/** How the text of an option is read. */
type OptionKind = "duration" | "size" | "count" | "number" | "switch" | "choice" | "text" | "list";

/** Headings of `--help` and of docs/options.md. */
export const GROUPS = [
  "Traffic",
  "Routing",
  "Affinity",
  "Timeouts",
  "Health",
  "Retries",
  "Limits",
  "Forwarding",
  "Shutdown",
  "Logging",
] as const;

/** One option: a flag, an environment variable, a default and a sentence. The only place that knows them. */
export interface OptionSpec {
  readonly group: (typeof GROUPS)[number];
  readonly kind: OptionKind;
  /** As it would be written on the command line. */
  readonly default: string;
  /** Smallest and largest value, in the smallest unit. */
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  /** May be given several times; each value may itself be a comma-separated list where `kind` is list. */
  readonly isRepeatable?: true;
  /** One sentence, with what 0 means where it means something else than none. */
  readonly help: string;
}

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;

export const OPTIONS = {
  listen: {
    group: "Traffic",
    kind: "text",
    default: "0.0.0.0:8081",
    isRepeatable: true,
    help: `Where clients connect: ${LISTEN_ADDRESS_SHAPE}; port 0 takes a free one.`,
  },
  "proxy-listen": {
    group: "Traffic",
    kind: "text",
    default: "",
    isRepeatable: true,
    help: "Like --listen, for proxies of --trust-proxy that begin each connection with a PROXY protocol header, version 1 or 2; others are cut off.",
  },
  nodes: {
    group: "Traffic",
    kind: "text",
    default: "127.0.0.1:8080",
    help: `Comma-separated nodes: ${NODE_SHAPE}; the default port is 8080.`,
  },

  key: {
    group: "Routing",
    kind: "list",
    default: "path",
    help: "What is hashed to choose a node: path, target (with query), prefix:N (first N path segments), query:NAME, header:NAME, cookie:NAME, client (address), host, method, or several joined by commas.",
  },
  "key-required": {
    group: "Routing",
    kind: "switch",
    default: "false",
    help: "Refuse a request that has no part of the key with 400 instead of routing it by its path.",
  },
  policy: {
    group: "Routing",
    kind: "choice",
    default: "ring-hash",
    choices: Object.keys(POLICIES) as PolicyName[],
    help: "How a node is chosen; docs/policies.md says which is for what.",
  },
  hash: {
    group: "Routing",
    kind: "choice",
    default: "fast",
    choices: ["fast", "ketama"],
    help: "Hash of ring-hash: fast, or ketama (md5), which puts a key where any ketama client puts it.",
  },
  "balance-factor": {
    group: "Routing",
    kind: "number",
    default: "1.5",
    max: 1000,
    help: "A node with more than eight requests at once and this many times its share takes no new keys; 0 turns the bound off, else at least 1. For policies by key.",
  },
  spread: {
    group: "Routing",
    kind: "count",
    default: "1",
    min: 1,
    max: 1000,
    help: "How many nodes share a key once its node has eight requests at once; below that it stays on one. For policies by key; 1 turns it off.",
  },
  "maglev-table-size": {
    group: "Routing",
    kind: "count",
    default: "65537",
    min: 2,
    max: 5_000_011,
    help: "Places in the table of maglev, a prime; a hundred or more for each node.",
  },
  "wrr-mode": {
    group: "Routing",
    kind: "choice",
    default: "smooth",
    choices: ["smooth", "interleaved"],
    help: "Order of weighted-round-robin for weights 5, 1, 1: smooth a a b a c a a, interleaved (as oxy) a a a a a b c.",
  },
  rebalance: {
    group: "Routing",
    kind: "switch",
    default: "false",
    help: "Move weight away from nodes that fail or are slow, and back when they recover; for weighted-round-robin, least-loaded, p2c-ewma and random.",
  },
  "slow-start": {
    group: "Routing",
    kind: "duration",
    default: "0",
    max: DAY_MS,
    help: "Time in which a node that has come back grows from a tenth of its share to all of it; 0 turns it off.",
  },

  "sticky-cookie": {
    group: "Affinity",
    kind: "text",
    default: "",
    help: "Keep each client on its node by a cookie of this name, whatever the policy says; a node that is dead or silent is left.",
  },
  "sticky-codec": {
    group: "Affinity",
    kind: "list",
    default: "signed",
    help: "What the cookie says: signed (an opaque name of the node and an HMAC), encrypted (AES-GCM), raw or hash (as oxy wrote them); of several the first is written and all are accepted.",
  },
  "sticky-secret": {
    group: "Affinity",
    kind: "list",
    default: "",
    isRepeatable: true,
    help: "Keys of signed (16 bytes or more) and encrypted (16, 24 or 32 bytes) cookies: the first writes, all are accepted. Better set by the environment.",
  },
  "sticky-ttl": {
    group: "Affinity",
    kind: "duration",
    default: "0",
    help: "How long an encrypted cookie is honoured; 0 is for ever.",
  },
  "sticky-max-age": {
    group: "Affinity",
    kind: "duration",
    default: "0",
    help: "Max-Age of the cookie, in whole seconds; 0 lets it end with the browser.",
  },
  "sticky-path": { group: "Affinity", kind: "text", default: "/", help: "Path of the cookie." },
  "sticky-domain": {
    group: "Affinity",
    kind: "text",
    default: "",
    help: "Domain of the cookie; by default the host that was asked and no other.",
  },
  "sticky-secure": { group: "Affinity", kind: "switch", default: "false", help: "Send the cookie over TLS only." },
  "sticky-http-only": {
    group: "Affinity",
    kind: "switch",
    default: "true",
    help: "Keep the cookie out of reach for scripts.",
  },
  "sticky-same-site": {
    group: "Affinity",
    kind: "choice",
    default: "lax",
    choices: ["strict", "lax", "none"],
    help: "SameSite of the cookie; none needs --sticky-secure.",
  },

  "connect-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "2s",
    min: 1,
    help: "Time to connect to a node before it is held to be dead.",
  },
  "dial-deadline": {
    group: "Timeouts",
    kind: "duration",
    default: "5s",
    min: 1,
    help: "Time for all dials of one request together.",
  },
  "response-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "60s",
    help: "Time from a complete request to the first byte of its response, then 504 without repetition; 0 turns it off.",
  },
  "body-idle-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "60s",
    help: "Time in which a body may stand still, in either direction; 0 turns it off.",
  },
  "exchange-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "0",
    help: "Time for a whole request and its response; 0 turns it off.",
  },
  "head-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "10s",
    help: "Time for a request head to arrive, and for the first one after connecting, then 408; 0 turns it off.",
  },
  "keep-alive-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "60s",
    help: "Time that a client connection may be idle between requests; 0 turns it off.",
  },
  "node-keep-alive-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "4s",
    help: "Time that a connection to a node is kept for reuse, or less if the node's Keep-Alive says so (Node servers close after 5s); 0 keeps none.",
  },
  "tunnel-idle-timeout": {
    group: "Timeouts",
    kind: "duration",
    default: "1h",
    help: "Time that a tunnel, such as a websocket, may be silent in both directions; 0 turns it off.",
  },

  "ping-interval": {
    group: "Health",
    kind: "duration",
    default: "1s",
    min: 10,
    max: DAY_MS,
    help: "Pause between two pings (TCP connects) of a dead node, give or take 20 %.",
  },
  "ping-timeout": {
    group: "Health",
    kind: "duration",
    default: "1s",
    min: 1,
    max: DAY_MS,
    help: "Time for a ping, and for the question whether a silent node still answers.",
  },
  silence: {
    group: "Health",
    kind: "duration",
    default: "1s",
    max: DAY_MS,
    help: "A node that keeps requests waiting this long without a byte of any response is asked OPTIONS *; without an answer it takes no new keys. 0 turns it off.",
  },
  "resolve-interval": {
    group: "Health",
    kind: "duration",
    default: "10s",
    max: DAY_MS,
    help: "How often the names of nodes are looked up again, off the request path; 0 looks up once and after failed dials.",
  },

  attempts: {
    group: "Retries",
    kind: "count",
    default: "3",
    min: 1,
    max: 100,
    help: "Nodes that one request may reach; failed dials do not count.",
  },
  "replay-bytes": {
    group: "Retries",
    kind: "size",
    default: "64KiB",
    max: 64 * MIB,
    help: "Body bytes held so that an idempotent request can be sent again; above it the body streams on and that right is given up.",
  },

  connections: {
    group: "Limits",
    kind: "count",
    default: "0",
    max: 10_000_000,
    help: "Client connections at once, then 503 and close; 0 derives it from the limit of open files: (nofile - 64) / 2.",
  },
  "connections-per-client": {
    group: "Limits",
    kind: "count",
    default: "0",
    max: 10_000_000,
    help: "Connections of one client address at once, then 429 and close; 0 turns it off.",
  },
  "requests-per-connection": {
    group: "Limits",
    kind: "count",
    default: "100000",
    max: 1_000_000_000,
    help: "Requests on one client connection, the last answered with Connection: close; 0 turns it off.",
  },
  tunnels: {
    group: "Limits",
    kind: "count",
    default: "10000",
    max: 10_000_000,
    help: "Tunnels at once, then 503; 0 turns it off.",
  },
  "node-connections": {
    group: "Limits",
    kind: "count",
    default: "1024",
    min: 1,
    max: 10_000_000,
    help: "Requests and tunnels at one node at once; then its keys spill along the ring, and when all are full 503.",
  },
  "node-idle-connections": {
    group: "Limits",
    kind: "count",
    default: "100",
    max: 1_000_000,
    help: "Idle connections kept for each node.",
  },
  "head-bytes": {
    group: "Limits",
    kind: "size",
    default: "16KiB",
    min: 256,
    max: MIB,
    help: "Size of a request head, then 431.",
  },
  "head-fields": {
    group: "Limits",
    kind: "count",
    default: "100",
    min: 1,
    max: 10_000,
    help: "Fields of a request head, then 431.",
  },
  "target-bytes": {
    group: "Limits",
    kind: "size",
    default: "8KiB",
    min: 16,
    max: MIB,
    help: "Length of a request target, then 414.",
  },
  "response-head-bytes": {
    group: "Limits",
    kind: "size",
    default: "64KiB",
    min: 256,
    max: MIB,
    help: "Size of a node's response head, then 502.",
  },
  "body-bytes": {
    group: "Limits",
    kind: "size",
    default: "0",
    help: "Size of a request body, then 413; 0 turns it off.",
  },

  "trust-proxy": {
    group: "Forwarding",
    kind: "list",
    default: "",
    isRepeatable: true,
    help: "Addresses and CIDR blocks of proxies in front, whose forwarding fields are kept; peers on a unix socket are always trusted.",
  },
  "forwarded-for": {
    group: "Forwarding",
    kind: "choice",
    default: "append",
    choices: ["append", "replace", "off"],
    help: "X-Forwarded-For: append the client's address to what came, replace it, or leave it alone.",
  },
  "forwarded-headers": {
    group: "Forwarding",
    kind: "choice",
    default: "x-forwarded",
    choices: ["x-forwarded", "forwarded", "both", "none"],
    help: "What else tells nodes how the client came: X-Forwarded-Proto, -Host and -Port, Forwarded (RFC 7239), both or none.",
  },
  "request-id": {
    group: "Forwarding",
    kind: "switch",
    default: "false",
    help: "Give each request an X-Request-Id; one from a trusted proxy is kept.",
  },
  upgrade: {
    group: "Forwarding",
    kind: "list",
    default: "websocket",
    help: "Upgrade tokens that may open a tunnel, comma-separated; none turns upgrades off.",
  },
  "abort-on-close": {
    group: "Forwarding",
    kind: "switch",
    default: "false",
    help: "Give a request up when its client half-closes; by default only a reset or a failed write is an abort.",
  },

  "drain-delay": {
    group: "Shutdown",
    kind: "duration",
    default: "0",
    max: DAY_MS,
    help: "Time between SIGTERM and the close of the listeners, for whoever routes traffic here to notice.",
  },
  "shutdown-timeout": {
    group: "Shutdown",
    kind: "duration",
    default: "25s",
    max: DAY_MS,
    help: "Time for what runs to finish after the listeners have closed; then it is cut and the exit code is 1.",
  },

  "access-log": {
    group: "Logging",
    kind: "text",
    default: "",
    help: "File for one JSON line per request, - for standard output; SIGHUP reopens it. Off by default.",
  },
  "log-file": {
    group: "Logging",
    kind: "text",
    default: "-",
    help: "File for events, - for standard output; SIGHUP reopens it.",
  },
  "log-level": {
    group: "Logging",
    kind: "choice",
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    help: "Events below this level are not logged.",
  },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type OptionName = keyof typeof OPTIONS;

/** Every option by name, in the order of help texts. */
export const OPTION_LIST: readonly (readonly [OptionName, OptionSpec])[] = Object.entries(OPTIONS) as [
  OptionName,
  OptionSpec,
][];

/** `ping-interval` → `FNLB_PING_INTERVAL`. */
export function environmentName(name: OptionName): string {
  return `FNLB_${name.toUpperCase().replaceAll("-", "_")}`;
}
