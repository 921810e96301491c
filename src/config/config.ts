import type { CLUSTER_OPTIONS } from "./cluster-options.js";
import type { ListenAddress } from "./listen-address.js";
import type { Values } from "./option-row.js";
import type { PROCESS_OPTIONS } from "./process-options.js";
import type { RouteConfig } from "./routes.js";
import type { TlsListenerConfig } from "./tls.js";

export type { KeyPart } from "./key-parts.js";
export type { ListenAddress } from "./listen-address.js";
export type { NodeConfig } from "./node-address.js";
export type { RouteConfig } from "./routes.js";

export interface ListenerConfig {
  readonly address: ListenAddress;
  /** Connections begin with a PROXY protocol header (v1 or v2), and come from trusted proxies only. */
  readonly proxyProtocol: boolean;
  /** Speaks TLS; else in the clear. */
  readonly tls?: TlsListenerConfig;
}

/** Settings of the whole process. Times in milliseconds, sizes in bytes; what 0 means is in docs/options.md. */
export type ProcessSettings = Omit<
  Values<typeof PROCESS_OPTIONS>,
  "listen" | "proxyListen" | "tlsListen" | "proxyTlsListen"
>;

/** Settings of one cluster, its nodes among them. */
export type ClusterSettings = Values<typeof CLUSTER_OPTIONS>;

export interface ClusterConfig extends ClusterSettings {
  readonly name: string;
}

/** A complete, checked configuration. */
export interface Config extends ProcessSettings {
  readonly listeners: readonly ListenerConfig[];
  /** At least one. */
  readonly clusters: readonly ClusterConfig[];
  /** At least one; the most specific that matches a request decides. */
  readonly routes: readonly RouteConfig[];
}
