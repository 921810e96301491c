// Hot path: `of` is asked for every pick and every attempt.
import type { Node } from "./node.js";

/** What a cluster keeps about one of its nodes. */
interface NodeRecord {
  node: Node;
}

/** One record for each node of a cluster, found by `node.index` instead of a hash. */
export class NodeMap<R extends NodeRecord> {
  readonly #create: (node: Node) => R;
  #records: readonly R[] = [];
  #byIndex: (R | undefined)[] = [];

  constructor(create: (node: Node) => R) {
    this.#create = create;
  }

  /** In the order of the cluster's list. */
  get records(): readonly R[] {
    return this.#records;
  }

  /** By identity: a node that has left may have had the index of another. */
  of(node: Node): R | undefined {
    const record = this.#byIndex[node.index];
    return record !== undefined && record.node === node ? record : undefined;
  }

  /** The membership changed. Nodes that stay, which are those with the same id, keep their records. */
  update(nodes: readonly Node[]): void {
    const before = new Map(this.#records.map((record) => [record.node.id, record]));
    this.#records = nodes.map((node) => {
      const record = before.get(node.id) ?? this.#create(node);
      record.node = node;
      return record;
    });
    this.#byIndex = [];
    for (const record of this.#records) this.#byIndex[record.node.index] = record;
  }
}
