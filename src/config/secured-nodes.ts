import type { DiscoveryConfig } from "./discovery.js";
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

/**
 * The same for nodes that are discovered. One of a DNS name has an address for a host, and no certificate for that:
 * unless told otherwise it must prove to be the name.
 */
export function discoveredTlsOf({ discover, ...settings }: NodeTlsChoice & { readonly discover: DiscoveryConfig }) {
  const tls = nodeTlsOf(settings);
  return discover.kind === "dns" ? { ...tls, serverName: tls.serverName || discover.node.address.host } : tls;
}

/** The nodes, each https one with how TLS is spoken to it. */
export function securedNodes(nodes: readonly NodeConfig[], tls: TlsNodeConfig): readonly NodeConfig[] {
  return nodes.map((node) => (node.address.kind === "tcp" && node.address.tls === true ? { ...node, tls } : node));
}
