import type { NodeAddress } from "../core/node.js";
import type { PolicyName } from "../core/policies/table.js";
import type { TlsListenerConfig, TlsNodeConfig } from "./tls.js";

/** Where clients connect. Port 0 asks the system for a free one; `fd` is an inherited listening socket. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "fd"; readonly fd: number };

export interface ListenerConfig {
  readonly address: ListenAddress;
  /** Connections begin with a PROXY protocol header (v1 or v2), and come from trusted proxies only. */
  readonly proxyProtocol: boolean;
  /** Speaks TLS; else in the clear. */
  readonly tls?: TlsListenerConfig;
}

export interface NodeConfig {
  readonly id: string;
  readonly address: NodeAddress;
  readonly weight: number;
  /** For an address with TLS. Default: public authorities, the node's own host as its name, no certificate of ours. */
  readonly tls?: TlsNodeConfig;
}

/** One source of the key; several are joined in order. */
export type KeyPart =
  | { readonly kind: "path" }
  | { readonly kind: "target" }
  | { readonly kind: "prefix"; readonly depth: number }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  | { readonly kind: "client" }
  | { readonly kind: "host" }
  | { readonly kind: "method" };

export type StickyCodecName = "signed" | "encrypted" | "raw" | "hash";

/** A complete, checked configuration. Times in milliseconds and sizes in bytes; 0 is "off" where the table of options says so. */
export interface Config {
  readonly listeners: readonly ListenerConfig[];
  readonly nodes: readonly NodeConfig[];

  readonly key: readonly KeyPart[];
  /** Refuse a request that has none of the key's parts; else it is routed by its path. */
  readonly keyRequired: boolean;
  readonly policy: PolicyName;
  readonly hash: "fast" | "ketama";
  readonly balanceFactor: number;
  /** How many nodes share a hot key. */
  readonly spread: number;
  readonly maglevTableSize: number;
  /** Weights follow what nodes answer. */
  readonly rebalance: boolean;
  readonly wrrMode: "smooth" | "interleaved";
  readonly slowStartMs: number;

  /** Name of the cookie that keeps clients on their nodes; "" is off. */
  readonly stickyCookie: string;
  /** The first writes, all are accepted. */
  readonly stickyCodecs: readonly StickyCodecName[];
  readonly stickySecrets: readonly string[];
  readonly stickyTtlMs: number;
  /** 0: the cookie ends with the browser. */
  readonly stickyMaxAgeMs: number;
  readonly stickyPath: string;
  /** "": the host that was asked and no other. */
  readonly stickyDomain: string;
  readonly stickySecure: boolean;
  readonly stickyHttpOnly: boolean;
  readonly stickySameSite: "strict" | "lax" | "none";

  /** How often the names of nodes are resolved again. */
  readonly resolveIntervalMs: number;
  readonly connectTimeoutMs: number;
  readonly dialDeadlineMs: number;
  readonly responseTimeoutMs: number;
  readonly silenceMs: number;
  readonly bodyIdleTimeoutMs: number;
  readonly exchangeTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly nodeKeepAliveTimeoutMs: number;
  readonly tunnelIdleTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;

  readonly attemptsMax: number;
  readonly replayBytesMax: number;

  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  readonly targetBytesMax: number;
  readonly responseHeadBytesMax: number;
  readonly bodyBytesMax: number;

  /** 0 derives it from the limit of open files. */
  readonly connectionsMax: number;
  readonly connectionsPerClientMax: number;
  readonly requestsPerConnectionMax: number;
  readonly tunnelsMax: number;
  readonly nodeConnectionsMax: number;
  readonly nodeIdleConnectionsMax: number;

  /** CIDR blocks or addresses whose forwarding headers and PROXY headers are believed. */
  readonly trustedProxies: readonly string[];
  readonly forwardedFor: "append" | "replace" | "off";
  readonly forwardedHeaders: "x-forwarded" | "forwarded" | "both" | "none";
  readonly requestId: boolean;
  readonly upgradeTokens: readonly string[];
  readonly abortOnClose: boolean;

  readonly drainDelayMs: number;
  readonly shutdownTimeoutMs: number;

  /** `""` is off, `"-"` standard output, anything else a file that SIGHUP reopens. */
  readonly accessLog: string;
  /** `"-"` is standard output, anything else a file that SIGHUP reopens. */
  readonly logFile: string;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
}
