import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";

/** Keeps clients on their nodes by something that they are given and send back. */
export interface Affinity {
  /** Lower-case name of the request field that brings it; the values of several are joined by `separator`. */
  readonly field: string;
  readonly separator: string;
  /** The node that `exchange.affinity` names, if the client may stay on it. Never throws. */
  find(exchange: Exchange, members: readonly Node[]): Node | undefined;
  /**
   * Whom the client names by what it sent, whether it may stay there or not: nobody where that is forged, expired or
   * of a node that has left. Undefined: it has sent nothing of the kind. Never throws.
   */
  named(exchange: Exchange, members: readonly Node[]): { readonly node: Node | undefined } | undefined;
  /** The response field by which the client comes back to `node`, without its line end; "" where it knows already. */
  line(sent: string | undefined, members: readonly Node[], node: Node): string;
}
