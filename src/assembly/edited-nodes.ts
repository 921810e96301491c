import type { ClusterSettings } from "../config/config.js";
import { type NodeConfig, parseNode } from "../config/node-address.js";
import { type NodeTlsChoice, nodeTlsOf, securedNodes } from "../config/secured-nodes.js";
import { type Edited, EMPTY_REGISTRY, mergeNodes, type Registry } from "../core/registry.js";
import { FnlbError } from "../errors.js";
import type { Store } from "../store/store.js";

export interface EditedNodesDependencies {
  readonly store: Store;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Operators have said something else: `appliedTo` gives other nodes. */
  readonly onChange: () => void;
}

/** What operators say about the nodes of one cluster, on whichever replica they say it. */
export class EditedNodes {
  readonly #dependencies: EditedNodesDependencies;
  readonly #cluster: string;
  #registry: Registry = EMPTY_REGISTRY;

  constructor(dependencies: EditedNodesDependencies, cluster: string) {
    this.#dependencies = dependencies;
    this.#cluster = cluster;
  }

  /** Starts to listen; resolves when it is known what has been said before, or that the store cannot be asked. */
  async open(): Promise<void> {
    const { store, signal, onChange } = this.#dependencies;
    const onRegistry = (registry: Registry) => {
      this.#registry = registry;
      onChange();
    };
    store.watch(this.#cluster, onRegistry, signal);
    await store.opened();
    try {
      await store.read(this.#cluster);
    } catch (error) {
      // The config is what there is without a store, and the watch tells the rest when it is back.
      if (!(error instanceof FnlbError)) throw error;
    }
  }

  /** The nodes of config and discovery as operators want them, with those that they have added. */
  appliedTo(named: readonly NodeConfig[], settings: ClusterSettings): readonly Edited<NodeConfig>[] {
    return mergeNodes({ named, edits: this.#registry.edits, nodeOf: (id) => nodeOf(id, settings) });
  }
}

/** Undefined for an id that is none, or that is not how this version would call the node. */
function nodeOf(id: string, settings: NodeTlsChoice): NodeConfig | undefined {
  // With a weight, for the last "=" of an id may be part of a path.
  const node = parseNode(`${id}=1`);
  if ("reason" in node || node.id !== id) return undefined;
  return securedNodes([node], nodeTlsOf(settings))[0];
}

/** A node in TLS as operators may add them: what all of them are dialled with must be there before the first is. */
export function securedStandIn(settings: NodeTlsChoice): NodeConfig {
  const address = { kind: "tcp", host: "added.invalid", port: 443, basePath: "", tls: true } as const;
  return { id: "added", address, weight: 1, tls: nodeTlsOf(settings) };
}
