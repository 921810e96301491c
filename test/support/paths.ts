import type { ClusterSettings } from "../../src/config/config.js";
import { hashString } from "../../src/core/hash.js";
import { createNode } from "../../src/core/node.js";
import { ringHash } from "../../src/core/policies/ring-hash.js";

/** `count` paths whose home, by the ring of this list, is the node with that id. */
export function pathsOf(nodes: ClusterSettings["nodes"], id: string, count: number): string[] {
  const paths: string[] = [];
  for (let number = 0; paths.length < count; number++) {
    const path = `/f${number}`;
    if (orderOf(nodes, path)[0] === id) paths.push(path);
  }
  return paths;
}

/** A key `fn0`, `fn1`, … whose home, by the ring of this list, is the node with that id. */
export function keyOf(nodes: ClusterSettings["nodes"], id: string, prefix: string): string {
  for (let number = 0; ; number++) if (orderOf(nodes, `${prefix}${number}`)[0] === id) return `${prefix}${number}`;
}

/** The ids of the nodes in the order in which the ring tries them for a key, a path for example. */
export function orderOf(nodes: ClusterSettings["nodes"], key: string): string[] {
  const ring = ringHash();
  ring.update(nodes.map(({ id, address, weight }, index) => createNode(id, index, address, weight)));
  return ring.order(hashString(key)).map((node) => node.id);
}

/** A path that the ring gives to these nodes first, in this order. */
export function pathThrough(nodes: ClusterSettings["nodes"], ids: readonly string[]): string {
  for (let number = 0; ; number++) {
    const path = `/f${number}`;
    const order = orderOf(nodes, path);
    if (ids.every((id, position) => order[position] === id)) return path;
  }
}
