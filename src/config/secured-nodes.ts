import type { NodeConfig } from "./node-address.js";
import type { TlsNodeConfig } from "./tls.js";

/** What the options of a cluster say of TLS to its nodes. */
export interface NodeTlsChoice {
  readonly nodeTlsCaFile: string;
  readonly nodeTlsName: string;
  readonly nodeTlsCertFile: string;
  readonly nodeTlsKeyFile: string;
  readonly nodeTlsVerifies: boolean;
}

/** How TLS is spoken to the https nodes of a cluster. */
export function nodeTlsOf(settings: NodeTlsChoice): TlsNodeConfig {
  return {
    caFile: settings.nodeTlsCaFile,
    serverName: settings.nodeTlsName,
    certFile: settings.nodeTlsCertFile,
    keyFile: settings.nodeTlsKeyFile === "" ? settings.nodeTlsCertFile : settings.nodeTlsKeyFile,
    verifies: settings.nodeTlsVerifies,
  };
}

/** The nodes, each https one with how TLS is spoken to it. */
export function securedNodes(nodes: readonly NodeConfig[], tls: TlsNodeConfig): readonly NodeConfig[] {
  return nodes.map((node) => (node.address.kind === "tcp" && node.address.tls === true ? { ...node, tls } : node));
}
