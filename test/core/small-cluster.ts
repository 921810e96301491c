import type { Exchange } from "../../src/core/exchange.js";
import { hashString } from "../../src/core/hash.js";
import { createNode, type Node } from "../../src/core/node.js";
import { NodeSet } from "../../src/core/node-set.js";

/** Nodes with these ids, in this order; where they listen does not matter to a policy. */
export function nodesOf(ids: readonly string[], weight: number | ((id: string) => number) = 1): Node[] {
  return ids.map((id, index) => {
    const address = { kind: "tcp", host: "127.0.0.1", port: 80, basePath: "" } as const;
    return createNode(id, index, address, typeof weight === "number" ? weight : weight(id));
  });
}

/** `10.0.0.1:8080`, `10.0.0.2:8080` … */
export function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `10.0.${n >> 8}.${(n & 255) + 1}:8080`);
}

export function exchangeOf(key: string, keyHash: number = hashString(key)): Exchange {
  return { keyHash, tried: new NodeSet(), refusal: "none", stamp: 0, key: () => key };
}

/** Every node that was not tried yet. */
export function untried(node: Node, exchange: Exchange): boolean {
  return !exchange.tried.has(node.index);
}

/** `/f/0`, `/f/1` … */
export function paths(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `/f/${n}`);
}
