import { LOG_LEVELS } from "../core/log.js";
import { readLoggedFields } from "./access-log.js";
import { readAdminAddress, readAdminToken } from "./admin.js";
import { readTrustedProxies } from "./forwarding-values.js";
import { LISTEN_ADDRESS_SHAPE, readListenAddresses } from "./listen-address.js";
import type { OptionRow } from "./option-row.js";
import { readStoreUrl, STORE_SHAPE } from "./store-url.js";
import { badOption } from "./units.js";
import { choice, count, duration, type Given, list, listItems, share, single, size, text, toggle } from "./value.js";

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;

/** Options of the whole process: where clients come in, and what they may do. */
export const PROCESS_OPTIONS = {
  listen: {
    field: "listen",
    group: "Traffic",
    ...text(readListenAddresses),
    default: "0.0.0.0:8081",
    isRepeatable: true,
    help: `Where clients connect: ${LISTEN_ADDRESS_SHAPE}; port 0 takes a free one.`,
  },
  "proxy-listen": {
    field: "proxyListen",
    group: "Traffic",
    ...text(readListenAddresses),
    default: "",
    isRepeatable: true,
    help: "Like --listen, for proxies of --trust-proxy that begin each connection with a PROXY protocol header, version 1 or 2; others are cut off.",
  },
  store: {
    field: "store",
    group: "Traffic",
    ...text(readStoreUrl),
    default: "",
    help: `Redis or Valkey server that replicas share: ${STORE_SHAPE}. What operators say about nodes on one replica holds on all; by default it holds on one and ends with it. See docs/replicas.md.`,
  },

  "tls-listen": {
    field: "tlsListen",
    group: "TLS",
    ...text(readListenAddresses),
    default: "",
    isRepeatable: true,
    help: "Like --listen, for clients that speak TLS (1.2 or later).",
  },
  "proxy-tls-listen": {
    field: "proxyTlsListen",
    group: "TLS",
    ...text(readListenAddresses),
    default: "",
    isRepeatable: true,
    help: "Like --tls-listen, for proxies of --trust-proxy that pass TLS on and begin each connection with a PROXY protocol header, as --proxy-listen.",
  },
  "tls-cert": {
    field: "tlsCertFiles",
    group: "TLS",
    ...list(listItems),
    default: "",
    isRepeatable: true,
    help: "PEM files of certificates for --tls-listen and --proxy-tls-listen, each with its chain; clients choose by name (SNI), and the first is for the others. Read again when they change.",
  },
  "tls-key": {
    field: "tlsKeyFiles",
    group: "TLS",
    ...list(listItems),
    default: "",
    isRepeatable: true,
    help: "PEM files of their keys, in the same order; by default each key is in the file of its certificate.",
  },
  "tls-min-version": {
    field: "tlsMinVersion",
    group: "TLS",
    ...choice(["1.2", "1.3"]),
    default: "1.2",
    help: "Lowest version of TLS that clients may speak.",
  },
  "tls-client-auth": {
    field: "tlsClientAuth",
    group: "TLS",
    ...choice(["none", "request", "require"]),
    default: "none",
    help: "Certificates of clients: not asked for, asked for and verified if there is one, or required.",
  },
  "tls-client-ca": {
    field: "tlsClientCaFile",
    group: "TLS",
    ...text(),
    default: "",
    help: "PEM file with the authorities that may sign certificates of clients.",
  },

  "handshake-timeout": {
    field: "handshakeTimeoutMs",
    group: "Timeouts",
    ...duration({ min: 1, max: DAY_MS }),
    default: "10s",
    help: "Time for the TLS handshake of a client, from its connection on.",
  },
  "head-timeout": {
    field: "headTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "10s",
    help: "Time for a request head to arrive, and for the first one after connecting, then 408; 0 turns it off.",
  },
  "keep-alive-timeout": {
    field: "keepAliveTimeoutMs",
    group: "Timeouts",
    ...duration({}),
    default: "60s",
    help: "Time that a client connection may be idle between requests; 0 turns it off.",
  },

  "resolve-interval": {
    field: "resolveIntervalMs",
    group: "Health",
    ...duration({ max: DAY_MS }),
    default: "10s",
    help: "How often the names of nodes are looked up again, off the request path; 0 looks up once and after failed dials.",
  },

  handshakes: {
    field: "handshakesMax",
    group: "Limits",
    ...count({ min: 1, max: 1_000_000 }),
    default: "1024",
    help: "TLS handshakes at once for each listener; connections above it are closed. Each takes a place of --connections, too.",
  },
  connections: {
    field: "connectionsMax",
    group: "Limits",
    ...count({ max: 10_000_000 }),
    default: "0",
    help: "Client connections at once, then 503 and close; 0 derives it from the limit of open files: (nofile - 64) / 2.",
  },
  "connections-per-client": {
    field: "connectionsPerClientMax",
    group: "Limits",
    ...count({ max: 10_000_000 }),
    default: "0",
    help: "Connections of one client address at once, then 429 and close; 0 turns it off.",
  },
  "requests-per-connection": {
    field: "requestsPerConnectionMax",
    group: "Limits",
    ...count({ max: 1_000_000_000 }),
    default: "100000",
    help: "Requests on one client connection, the last answered with Connection: close; 0 turns it off.",
  },
  tunnels: {
    field: "tunnelsMax",
    group: "Limits",
    ...count({ max: 10_000_000 }),
    default: "10000",
    help: "Tunnels at once, then 503; 0 turns it off.",
  },
  "head-bytes": {
    field: "headBytesMax",
    group: "Limits",
    ...size({ min: 256, max: MIB }),
    default: "16KiB",
    help: "Size of a request head, then 431.",
  },
  "head-fields": {
    field: "headFieldsMax",
    group: "Limits",
    ...count({ min: 1, max: 10_000 }),
    default: "100",
    help: "Fields of a request head, then 431.",
  },
  "target-bytes": {
    field: "targetBytesMax",
    group: "Limits",
    ...size({ min: 16, max: MIB }),
    default: "8KiB",
    help: "Length of a request target, then 414.",
  },

  "trust-proxy": {
    field: "trustedProxies",
    group: "Forwarding",
    ...list(readTrustedProxies),
    default: "",
    isRepeatable: true,
    help: "Addresses and CIDR blocks of proxies in front, whose forwarding fields are kept; peers on a unix socket are always trusted.",
  },
  "forwarded-for": {
    field: "forwardedFor",
    group: "Forwarding",
    ...choice(["append", "replace", "off"]),
    default: "append",
    help: "X-Forwarded-For: append the client's address to what came, replace it, or leave it alone.",
  },
  "forwarded-headers": {
    field: "forwardedHeaders",
    group: "Forwarding",
    ...choice(["x-forwarded", "forwarded", "both", "none"]),
    default: "x-forwarded",
    help: "What else tells nodes how the client came: X-Forwarded-Proto, -Host and -Port, Forwarded (RFC 7239), both or none.",
  },
  "request-id": {
    field: "requestId",
    group: "Forwarding",
    ...toggle(),
    default: "false",
    help: "Give each request an X-Request-Id; one from a trusted proxy is kept.",
  },
  traceparent: {
    field: "traceparent",
    group: "Forwarding",
    ...choice(["off", "pass", "create"]),
    default: "pass",
    help: "W3C Trace Context: remove traceparent and tracestate, pass them on as they come, or begin a trace for each request without a valid traceparent.",
  },
  "trace-sampled-share": {
    field: "traceSampledShare",
    group: "Forwarding",
    ...share(),
    default: "1",
    help: "Share of the traces begun by --traceparent create that are marked as sampled.",
  },
  "abort-on-close": {
    field: "abortOnClose",
    group: "Forwarding",
    ...toggle(),
    default: "false",
    help: "Give a request up when its client half-closes; by default only a reset or a failed write is an abort.",
  },

  "drain-delay": {
    field: "drainDelayMs",
    group: "Shutdown",
    ...duration({ max: DAY_MS }),
    default: "0",
    help: "Time between SIGTERM and the close of the listeners, for whoever routes traffic here to notice.",
  },
  "shutdown-timeout": {
    field: "shutdownTimeoutMs",
    group: "Shutdown",
    ...duration({ max: DAY_MS }),
    default: "25s",
    help: "Time for what runs to finish after the listeners have closed; then it is cut and the exit code is 1.",
  },

  "access-log": {
    field: "accessLog",
    group: "Logging",
    ...text(),
    default: "",
    help: "File for one JSON line per request, - for standard output; SIGHUP reopens it. Off by default.",
  },
  "access-log-headers": {
    field: "accessLogFields",
    group: "Logging",
    ...list(readLoggedFields),
    default: "",
    help: "Fields of requests that stand in the access log as well, such as user-agent, comma-separated.",
  },
  "log-file": {
    field: "logFile",
    group: "Logging",
    ...text(readLogFile),
    default: "-",
    help: "File for events, - for standard output; SIGHUP reopens it.",
  },
  "log-level": {
    field: "logLevel",
    group: "Logging",
    ...choice(LOG_LEVELS),
    default: "info",
    help: "Events below this level are not logged.",
  },

  admin: {
    field: "admin",
    group: "Admin",
    ...text(readAdminAddress),
    default: "",
    help: "Where the admin API listens: 127.0.0.1:9081, [::1]:9081, host:port or unix:/path; off by default. See docs/admin-api.md.",
  },
  "admin-token": {
    field: "adminToken",
    group: "Admin",
    ...text(readAdminToken),
    default: "",
    isSecret: true,
    help: "Bearer token of the admin API (16 bytes or more): needed unless --admin is loopback or a unix socket, or --admin-client-ca is given. Better set by the environment.",
  },
  "admin-tls-cert": {
    field: "adminTlsCertFile",
    group: "Admin",
    ...text(),
    default: "",
    help: "PEM file with the certificate and chain with which the admin API speaks TLS. Read again when it changes.",
  },
  "admin-tls-key": {
    field: "adminTlsKeyFile",
    group: "Admin",
    ...text(),
    default: "",
    help: "PEM file with its key; by default it is in the file of the certificate.",
  },
  "admin-client-ca": {
    field: "adminClientCaFile",
    group: "Admin",
    ...text(),
    default: "",
    help: "PEM file with authorities: whoever has a certificate of theirs may use the admin API without a token.",
  },
  "admin-connections": {
    field: "adminConnectionsMax",
    group: "Admin",
    ...count({ min: 1, max: 10_000 }),
    default: "64",
    help: "Connections to the admin API at once, then 503 and close.",
  },
} as const satisfies Readonly<Record<string, OptionRow>>;

function readLogFile(given: Given): string {
  const file = single(given);
  if (file === "") throw badOption(given.source, "a file or -", file);
  return file;
}
