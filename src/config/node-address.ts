import { isIP, SocketAddress } from "node:net";
import type { NodeAddress } from "../core/node.js";
import { withoutPasswords } from "../core/secrets.js";
import { isHostName } from "./listen-address.js";
import type { TlsNodeConfig } from "./tls.js";
import { badOption, parsePort } from "./units.js";
import type { Given } from "./value.js";

export interface NodeConfig {
  readonly id: string;
  readonly address: NodeAddress;
  readonly weight: number;
  /** For an address with TLS. Default: public authorities, the node's own host as its name, no certificate of ours. */
  readonly tls?: TlsNodeConfig;
}

const ADDRESS_SHAPE = "host, host:port, http://host:port/base, https://host, [::1]:8080 or unix:/path";
/** What a node of the list looks like, for error messages and help. */
export const NODE_SHAPE = `${ADDRESS_SHAPE}, each with an optional =weight`;

const DEFAULT_NODE_PORT = 8080;
const DEFAULT_TLS_PORT = 443;
/** Enough to tell a large machine from a small one; the ring has 160 points for each. */
export const WEIGHT_MAX = 1000;

/** Why an item of a list is not a node. */
export interface BadNode {
  readonly reason: string;
}

/** Reads one item of a list of nodes. */
export function parseNode(text: string): NodeConfig | BadNode {
  const item = text.trim();
  if (item === "") return { reason: "has an empty item" };
  const last = item.lastIndexOf("=");
  // One before a slash belongs to the path.
  const equals = item.includes("/", last) ? -1 : last;
  const name = equals < 0 ? item : item.slice(0, equals).trim();
  const weight = equals < 0 ? 1 : parseWeight(item.slice(equals + 1).trim());
  if (weight === undefined)
    return { reason: `has "${withoutPasswords(item)}", whose weight is not a number from 0 to ${WEIGHT_MAX}` };
  const address = parseNodeAddress(name);
  if ("reason" in address) return { reason: `has "${withoutPasswords(item)}", ${address.reason}` };
  return { id: nodeId(address), address, weight };
}

/** Reads a node without a weight: an "=" is part of its path. */
export function parseNodeName(text: string): NodeConfig | BadNode {
  const name = text.trim();
  const address = parseNodeAddress(name);
  if (!("reason" in address)) return { id: nodeId(address), address, weight: 1 };
  // A port is no number because of what is behind it: to say so would send its writer the wrong way.
  const isWeighted = !("reason" in parseNode(name)) && name.includes("=");
  const reason = isWeighted ? "whose weight is to be said apart from it" : address.reason;
  return { reason: `${JSON.stringify(withoutPasswords(name))}, ${reason}` };
}

/** Reads a comma-separated list; every bad or repeated item is named. */
export function parseNodes(text: string): readonly NodeConfig[] | BadNode {
  const nodes: NodeConfig[] = [];
  const ids = new Set<string>();
  for (const item of text.split(",")) {
    const node = parseNode(item);
    if ("reason" in node) return node;
    if (ids.has(node.id)) return { reason: `has "${node.id}" twice` };
    ids.add(node.id);
    nodes.push(node);
  }
  return nodes;
}

export function readNodes(given: Given): readonly NodeConfig[] {
  const text = given.texts.join(",");
  const nodes = parseNodes(text);
  if ("reason" in nodes) throw badOption(given.source, `a list of nodes, but it ${nodes.reason}`, text);
  return nodes;
}

function parseWeight(text: string): number | undefined {
  if (!/^\d+(?:\.\d+)?$/.test(text)) return undefined;
  const weight = Number(text);
  return weight <= WEIGHT_MAX ? weight : undefined;
}

function parseNodeAddress(name: string): NodeAddress | BadNode {
  if (name.startsWith("unix:")) {
    const path = name.slice("unix:".length);
    return path === "" || path.includes("\0")
      ? { reason: "which names no socket" }
      : { kind: "unix", path, basePath: "" };
  }
  const scheme = /^([a-z][a-z\d+.-]*):\/\//i.exec(name)?.[1].toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https")
    return { reason: `whose scheme is neither http nor https: ${scheme} is not spoken to nodes` };
  const security = scheme === "https" ? { tls: true } : {};
  const rest = scheme === undefined ? name : name.slice(scheme.length + 3);
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const basePath = slash < 0 ? "" : rest.slice(slash).replace(/\/+$/, "");
  if (!/^[!$-;=@-Z_a-z~]*$/.test(basePath)) return { reason: "whose base path has characters that a path cannot have" };
  if (basePath.includes("//")) return { reason: "whose base path has an empty segment" };
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(authority);
  if (match === null) return { reason: `which is not ${ADDRESS_SHAPE}` };
  const [, bracketed, plain, portText] = match;
  const port =
    portText === undefined ? (scheme === "https" ? DEFAULT_TLS_PORT : DEFAULT_NODE_PORT) : parsePort(portText, 1);
  if (port === undefined) return { reason: "whose port is not a number from 1 to 65535" };
  if (bracketed !== undefined) {
    return isIP(bracketed) === 6
      ? { kind: "tcp", host: shortest(bracketed), port, basePath, ...security }
      : { reason: "whose address is not IPv6" };
  }
  if (!isHostName(plain)) return { reason: `which is not ${ADDRESS_SHAPE}` };
  return { kind: "tcp", host: plain.toLowerCase(), port, basePath, ...security };
}

/** An IPv6 address as RFC 5952 writes it, which is how resolvers write theirs. */
function shortest(address: string): string {
  // What follows a % is this machine's own business, and gets lost there.
  return address.includes("%") ? address : new SocketAddress({ address, family: "ipv6" }).address;
}

/** A node at an address that is known already. */
export function tcpNode(address: NodeAddress & { readonly kind: "tcp" }, weight: number): NodeConfig {
  return { id: nodeId(address), address, weight };
}

/** One name for one node, however it was written: `10.0.0.1:8080`, `https://[::1]:443/base`, `unix:/run/fn.sock`. */
function nodeId(address: NodeAddress): string {
  if (address.kind === "unix") return `unix:${address.path}${address.basePath}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${address.tls === true ? "https://" : ""}${host}:${address.port}${address.basePath}`;
}
