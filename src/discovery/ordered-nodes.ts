import type { NodeConfig } from "../config/node-address.js";

/**
 * Each node once, by id, so that the order of an answer means nothing and every replica has the same list. Of one that
 * is there twice the heavier is taken: which of them came first is chance.
 */
export function orderedNodes(nodes: readonly NodeConfig[]): readonly NodeConfig[] {
  const byId = new Map<string, NodeConfig>();
  for (const node of nodes) {
    const known = byId.get(node.id);
    if (known === undefined || known.weight < node.weight) byId.set(node.id, node);
  }
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A cluster's own nodes and those that were discovered; of one that is both the list knows better. */
export function joinedNodes(listed: readonly NodeConfig[], discovered: readonly NodeConfig[]): readonly NodeConfig[] {
  if (discovered.length === 0) return listed;
  const ids = new Set(listed.map(({ id }) => id));
  return [...listed, ...discovered.filter(({ id }) => !ids.has(id))];
}
