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
  /** Live exchanges and tunnels. */
  inFlight: number;
}

/** A live, active node with zeroed counters. */
export function createNode(id: string, index: number, address: NodeAddress, weight: number): Node {
  return { id, index, address, weight, mode: "active", alive: true, suspect: false, inFlight: 0 };
}
