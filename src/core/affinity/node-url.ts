import type { Node } from "../node.js";

/** The URL by which cookies of oxy name a node. Default: `http://` and the node's id. */
export type UrlOf = (node: Node) => string;

/** `http://10.0.0.1:8080/base`; a unix socket's id is a URL already. */
export function urlOfNode({ id, address }: Node): string {
  return address.kind === "unix" ? id : `http://${id}`;
}
