import { isIP } from "node:net";
import type { AddressFamily } from "../core/lookup.js";
import { type NodeConfig, parseNodes } from "./node-address.js";
import { badOption } from "./units.js";
import { type Given, single } from "./value.js";

/** Where the nodes of a cluster come from besides its list. */
export type DiscoveryConfig =
  | { readonly kind: "none" }
  | {
      readonly kind: "file";
      /** As it was written, for log lines. */
      readonly name: string;
      readonly path: string;
    }
  | {
      /** `dns`: every address of a name is a node. `srv`: every address of the targets of a service is one. */
      readonly kind: "dns" | "srv";
      readonly name: string;
      /** Which addresses are asked for. */
      readonly families: readonly AddressFamily[];
      /** What the nodes are like: scheme, base path, of `dns` also port and weight. Its host is the name to ask for. */
      readonly node: NodeConfig & { readonly address: { readonly kind: "tcp" } };
    };

/** What a source of nodes looks like, for error messages and help. */
export const DISCOVERY_SHAPE = "file:PATH, dns:HOST:PORT or srv:_SERVICE._tcp.HOST";

const SOURCE = /^(?:(file)|(dns|srv)([46])?):(.*)$/s;
/** Scheme, name and base path: ports and weights are what the records say. */
const SERVICE = /^(?:https?:\/\/)?[^/:=]+(?:\/[^=]*)?$/i;

/** "" is none. Throws `ERR_OPTION`. */
export function readDiscovery(given: Given): DiscoveryConfig {
  const name = single(given);
  if (name === "") return { kind: "none" };
  const bad = (reason: string) => badOption(given.source, `${DISCOVERY_SHAPE}${reason}`, name);
  const match = SOURCE.exec(name);
  if (match === null) throw bad("");
  const [, file, kind, family, subject] = match;
  if (file !== undefined) {
    if (subject === "" || subject.includes("\0")) throw bad(", but it names no file");
    return { kind: "file", name, path: subject };
  }
  if (kind === "srv" && !SERVICE.test(subject)) {
    throw bad(", but a service must have neither port nor weight: its records say them");
  }
  const nodes = parseNodes(subject);
  if ("reason" in nodes) throw bad(`, but it ${nodes.reason}`);
  if (nodes.length > 1) throw bad(", but it has more than one name");
  const [{ address, ...node }] = nodes;
  if (address.kind !== "tcp" || isIP(address.host) !== 0) throw bad(", but there is no name to ask for");
  return {
    kind: kind === "srv" ? "srv" : "dns",
    name,
    families: family === undefined ? [4, 6] : [family === "4" ? 4 : 6],
    node: { ...node, address },
  };
}

/** May there be https nodes among those that are found? In a file there may. */
export function mayFindTls(discover: DiscoveryConfig): boolean {
  return discover.kind === "file" || (discover.kind !== "none" && discover.node.address.tls === true);
}
