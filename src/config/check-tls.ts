import type { ClusterConfig, ListenerConfig } from "./config.js";
import { mayFindTls } from "./discovery.js";
import { OPTIONS, type OptionName } from "./options.js";
import type { Origin } from "./origin.js";
import { badOption } from "./units.js";

const LISTENER_OPTIONS: readonly OptionName[] = ["tls-cert", "tls-min-version", "tls-client-auth"];
const NODE_OPTIONS: readonly OptionName[] = [
  "node-tls-ca",
  "node-tls-name",
  "node-tls-cert",
  "node-tls-key",
  "node-tls-verify",
];

/** Throws `ERR_OPTION` for options of TLS where nobody speaks it: whoever sets them believes that it is spoken. */
export function refuseIdleTls(
  listeners: readonly ListenerConfig[],
  clusters: readonly Pick<ClusterConfig, "name" | "nodes" | "discover" | "nodeTlsCertFile">[],
  originOf: (name: OptionName, cluster?: string) => Origin,
): void {
  if (listeners.every(({ tls }) => tls === undefined)) {
    for (const name of LISTENER_OPTIONS) {
      refuse(name, originOf(name), "left out without --tls-listen or --proxy-tls-listen");
    }
  }
  for (const { name, nodeTlsCertFile } of clusters) {
    if (nodeTlsCertFile === "")
      refuse("node-tls-key", originOf("node-tls-key", name), "left out without --node-tls-cert");
  }
  const isPlain = ({ nodes, discover }: Pick<ClusterConfig, "nodes" | "discover">) =>
    nodes.every(({ tls }) => tls === undefined) && !mayFindTls(discover);
  for (const cluster of clusters.filter(isPlain)) {
    for (const name of NODE_OPTIONS) {
      const given = originOf(name, cluster.name);
      // What stands for all clusters may be meant for another one.
      if (given.isOwn || clusters.every(isPlain)) refuse(name, given, "left out where no node is https");
    }
  }
}

function refuse(name: OptionName, { source, texts }: Origin, expected: string): void {
  const text = texts.join(",");
  if (text !== OPTIONS[name].default) throw badOption(source, expected, text);
}
