import { parseNode } from "../../config/node-address.js";
import { UsageError } from "../usage-error.js";
import type { AdminClient } from "./admin-client.js";
import { askClusters, askEdits, askNodes } from "./answers.js";
import { Failure } from "./display/failure.js";

/** A node as somebody typed it. */
export interface TypedNode {
  readonly id: string;
  /** What stands behind the last `=`. */
  readonly weight: string | undefined;
}

/** Longer ones are no addresses, and would not fit into a line that says so. */
const NODE_LENGTH_MAX = 1024;

/** `10.0.0.1=2` is `10.0.0.1:8080` with the weight 2; what no node looks like is left for the server to judge. */
export function typedNode(text: string): TypedNode {
  if (text.length > NODE_LENGTH_MAX) {
    throw new UsageError(`a node has at most ${NODE_LENGTH_MAX} characters, got ${text.length}: ${text.slice(0, 32)}…`);
  }
  const equals = text.lastIndexOf("=");
  // One before a slash belongs to the path.
  const hasWeight = equals > 0 && !text.includes("/", equals);
  const name = hasWeight ? text.slice(0, equals) : text;
  const node = parseNode(name);
  return { id: "reason" in node ? name : node.id, weight: hasWeight ? text.slice(equals + 1) : undefined };
}

/** Finds out which cluster is meant, asking each question at most once. */
export class ClusterFinder {
  readonly #admin: AdminClient;
  readonly #named: string | undefined;
  #clusters: Promise<readonly string[]> | undefined;

  /** `named` is what --cluster says. */
  constructor(admin: AdminClient, named: string | undefined) {
    this.#admin = admin;
    this.#named = named;
  }

  /** The cluster that is named, or the only one. Rejects with `UsageError` where it must be named. */
  async forNew(): Promise<string> {
    const clusters = await this.#names();
    if (clusters.length === 1) return clusters[0];
    throw new UsageError(`there are several clusters: name one of ${clusters.join(", ")} with --cluster`);
  }

  /** The cluster that is named, the only one, or the only one that has the node. Rejects with `UsageError` or `Failure`. */
  async ofNode(id: string): Promise<string> {
    const clusters = await this.#names();
    if (clusters.length === 1) return clusters[0];
    const { nodes } = await askNodes(this.#admin);
    const having = nodes.filter((node) => node.id === id).map(({ cluster }) => cluster);
    if (having.length === 1) return having[0];
    if (having.length === 0) throw new Failure(`no cluster has a node ${id}: looked in ${clusters.join(", ")}`);
    throw new UsageError(`node ${id} is in several clusters: name one of ${having.join(", ")} with --cluster`);
  }

  /** Where operators have said something about the node, even that it is gone; else as `ofNode`. */
  async ofEdits(id: string): Promise<string> {
    const clusters = await this.#names();
    if (clusters.length === 1) return clusters[0];
    const having: string[] = [];
    for (const cluster of clusters) {
      const { edits } = await askEdits(this.#admin, cluster);
      if (edits.some(({ node }) => node === id)) having.push(cluster);
    }
    if (having.length === 0) return this.ofNode(id);
    if (having.length === 1) return having[0];
    throw new UsageError(`node ${id} was edited in several clusters: name one of ${having.join(", ")} with --cluster`);
  }

  #names(): Promise<readonly string[]> {
    this.#clusters ??= this.#named === undefined ? askClusters(this.#admin) : Promise.resolve([this.#named]);
    return this.#clusters;
  }
}
