import type { CheckVerdict } from "./check-state.js";
import { NodeStats } from "./node-stats.js";

/** Where a node listens. A TCP address or a unix socket, with the path that requests are put under. */
export type NodeAddress =
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      readonly basePath: string;
      /** Spoken to in TLS. */
      readonly tls?: boolean;
    }
  | { readonly kind: "unix"; readonly path: string; readonly basePath: string };

/** The operator's word; a ping never changes it. */
export type NodeMode = "active" | "draining" | "disabled";

/**
 * What the HTTP checks of its cluster say of a node: "off" where there are none, "unknown" until its first check has
 * ended.
 */
export type NodeCheck = "off" | CheckVerdict;

/** One destination and its live counters. */
export interface Node {
  /** `10.0.0.1:8080`, `10.0.0.1:8080/base`, `[::1]:8080`, `unix:/run/fn.sock`; unique in its cluster. */
  readonly id: string;
  /** Dense in its cluster, 0 upwards, so that eligibility, tried nodes and meters are arrays and bits. */
  readonly index: number;
  readonly address: NodeAddress;
  /** Share of the keys relative to the other nodes; 0 takes no new keys. */
  weight: number;
  mode: NodeMode;
  /** False while the node is in the dead-host set. */
  alive: boolean;
  /** True while the node accepts but does not answer: no new keys as long as another node is not suspect. */
  suspect: boolean;
  check: NodeCheck;
  /** True while outlier detection keeps the node out: no new keys, unless the cluster is in panic. */
  ejected: boolean;
  /** Live exchanges and tunnels. */
  inFlight: number;
  readonly stats: NodeStats;
}

/** A live, active node without checks, with zeroed counters. */
export function createNode(id: string, index: number, address: NodeAddress, weight: number): Node {
  return {
    id,
    index,
    address,
    weight,
    mode: "active",
    alive: true,
    suspect: false,
    ejected: false,
    check: "off",
    inFlight: 0,
    stats: new NodeStats(),
  };
}

/** May it get traffic as far as checks are asked? A new node not before its first passed one. */
export function passesChecks({ check }: Node): boolean {
  return check === "off" || check === "passing";
}

/** May it get new keys as far as operators are concerned? */
export function takesNewKeys({ mode, weight }: Node): boolean {
  return mode === "active" && weight > 0;
}

/** May it get new keys but for what passes by itself or is ignored in need: a suspicion, an ejection, an open breaker? */
export function canServe(node: Node): boolean {
  return takesNewKeys(node) && node.alive && passesChecks(node);
}

/** `10.0.0.1:8080`, `[::1]:8080`; the port of the scheme is left out, a unix socket is `localhost`. */
export function hostOf({ address }: Node): string {
  if (address.kind === "unix") return "localhost";
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return address.port === (address.tls === true ? 443 : 80) ? host : `${host}:${address.port}`;
}
