import type { NodeMode } from "./node.js";

/** What operators have said about one node. Nothing said is what config and discovery say. */
export interface NodeEdit {
  /** "added": it is there, whoever else names it; "removed": it is not, whoever names it. */
  readonly presence?: "added" | "removed";
  /** Instead of the config's. */
  readonly weight?: number;
  /** Active where it does not stand. */
  readonly mode?: Exclude<NodeMode, "active">;
}

/** What operators have said about the nodes of one cluster, over what its config and its discovery say. */
export interface Registry {
  /** Another text after each change and the same in every replica; "" where nobody has said anything yet. */
  readonly version: string;
  /** By node id. */
  readonly edits: ReadonlyMap<string, NodeEdit>;
}

/** Everything that operators have said about a node is taken back: it is again what config and discovery say. */
export const FORGOTTEN = { presence: null, weight: null, mode: "active" } as const satisfies Omit<NodeChange, "id">;

/** What an operator says about one node. What is left out stays as it is; null takes back what was said before. */
export interface NodeChange {
  /** `10.0.0.1:8080`, as `Node.id`. */
  readonly id: string;
  /** Removing a node takes back what was said about its weight and mode: whoever adds it again begins anew. */
  readonly presence?: "added" | "removed" | null;
  readonly weight?: number | null;
  /** "active" takes back "draining" and "disabled". */
  readonly mode?: NodeMode;
}

/**
 * How the store of registries is doing: "none" where a process keeps for itself what it is told, "connecting" until the
 * first answer or the first failure of one that replicas share.
 */
export type StoreState = "none" | "connecting" | "up" | "down" | "closed";

export const EMPTY_REGISTRY: Registry = { version: "", edits: new Map() };

/** A node with the mode that operators have given it. */
export type Edited<N> = N & { readonly mode: NodeMode };

/** What the nodes of a cluster come from. */
export interface NodeSources<N> {
  /** By config and discovery, in this order. */
  readonly named: readonly N[];
  /** By operators. */
  readonly edits: ReadonlyMap<string, NodeEdit>;
  /** A node of weight 1 that nobody but an operator names; undefined for an id that names none. */
  readonly nodeOf: (id: string) => N | undefined;
}

/**
 * The nodes of a cluster: those that are named, in their order, then those that operators have added, by id, so that the
 * order is the same in every replica; without those that they have removed, with the weights and modes that they have given.
 * Of several that are named with one id the first counts.
 */
export function mergeNodes<N extends { readonly id: string; readonly weight: number }>({
  named,
  edits,
  nodeOf,
}: NodeSources<N>): Edited<N>[] {
  const found = new Map<string, N>();
  for (const node of named) if (!found.has(node.id)) found.set(node.id, node);
  const added = [...edits.keys()].filter((id) => edits.get(id)?.presence === "added" && !found.has(id)).sort();
  for (const id of added) {
    const node = nodeOf(id);
    // Another version of this program may know kinds of nodes that this one does not.
    if (node !== undefined) found.set(id, node);
  }
  const nodes: Edited<N>[] = [];
  for (const [id, node] of found) {
    const { presence, weight = node.weight, mode = "active" } = edits.get(id) ?? {};
    if (presence !== "removed") nodes.push({ ...node, weight, mode });
  }
  return nodes;
}
