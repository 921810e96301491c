import type { ClusterSettings } from "../config/config.js";
import { type NodeConfig, parseNodeName } from "../config/node-address.js";
import { type NodeTlsChoice, nodeTlsOf, securedNodes } from "../config/secured-nodes.js";
import { checkChange, isSameStanding, standingOf } from "../core/node-change.js";
import type { ChangeResult, EditCondition } from "../core/operations.js";
import { type Edited, EMPTY_REGISTRY, mergeNodes, type NodeChange, type Registry } from "../core/registry.js";
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
  /** The last edit of this process: two at a time would both take the registry before them for what they changed. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dependencies: EditedNodesDependencies, cluster: string) {
    this.#dependencies = dependencies;
    this.#cluster = cluster;
  }

  /** See `Registry.version`. */
  get version(): string {
    return this.#registry.version;
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

  /**
   * Says something about a node, which is there or not by what `named` gives when it is its turn. Rejects with
   * `ERR_BAD_REQUEST`, `ERR_CONFLICT`, `ERR_NOT_FOUND` or `ERR_STORE`.
   */
  edit(change: NodeChange, condition: EditCondition, named: () => readonly NodeConfig[]): Promise<ChangeResult> {
    const edit = this.#turn.then(() => this.#editNow(change, condition, named()));
    // Whoever has asked hears of a refusal; the next turn does not care.
    this.#turn = edit.catch(() => {});
    return edit;
  }

  async #editNow(change: NodeChange, condition: EditCondition, named: readonly NodeConfig[]): Promise<ChangeResult> {
    const own = named.find(({ id }) => id === change.id);
    const before = standingOf(own, this.#registry.edits.get(change.id));
    checkChange(change, before, condition);
    const { edits } = await this.#dependencies.store.edit(this.#cluster, [change]);
    return isSameStanding(before, standingOf(own, edits.get(change.id))) ? "unchanged" : "applied";
  }
}

/** Undefined for an id that is none, or that is not how this version would call the node. */
function nodeOf(id: string, settings: NodeTlsChoice): NodeConfig | undefined {
  const node = parseNodeName(id);
  if ("reason" in node || node.id !== id) return undefined;
  return securedNodes([node], nodeTlsOf(settings))[0];
}

/** A node in TLS as operators may add them: what all of them are dialled with must be there before the first is. */
export function securedStandIn(settings: NodeTlsChoice): NodeConfig {
  const address = { kind: "tcp", host: "added.invalid", port: 443, basePath: "", tls: true } as const;
  return { id: "added", address, weight: 1, tls: nodeTlsOf(settings) };
}
