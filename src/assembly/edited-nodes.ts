import { isDeepStrictEqual } from "node:util";
import type { ClusterSettings } from "../config/config.js";
import { type NodeConfig, parseNodeName } from "../config/node-address.js";
import { type NodeTlsChoice, nodeTlsOf, securedNodes } from "../config/secured-nodes.js";
import { checkChange, isSameStanding, standingOf } from "../core/node-change.js";
import type { ChangeResult, EditCondition } from "../core/operations.js";
import {
  type Edited,
  EMPTY_REGISTRY,
  mergeNodes,
  type NodeChange,
  type NodeEdit,
  type Registry,
} from "../core/registry.js";
import { type ErrorCode, FnlbError } from "../errors.js";
import type { EditGuard, Store } from "../store/store.js";

/** How often an edit is tried that others get ahead of. */
const TURNS_MAX = 5;
/** Nodes that something may have been said about before removals that nobody needs any more are forgotten. */
const REMEMBERED_MAX = 1000;
/** How many of those one edit forgets. */
const FORGOTTEN_MAX = 100;
/** What another edit may have made wrong. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["ERR_CONFLICT", "ERR_NOT_FOUND"]);

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

  /** As the store told it last. */
  get registry(): Registry {
    return this.#registry;
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
   * Says something about a node, which is there or not by what `named` gives as well. Rejects with `ERR_BAD_REQUEST`,
   * `ERR_CONFLICT`, `ERR_NOT_FOUND` or `ERR_STORE`.
   */
  async edit(change: NodeChange, condition: EditCondition, named: () => readonly NodeConfig[]): Promise<ChangeResult> {
    for (let turn = 1; ; turn++) {
      const { version } = this.#registry;
      try {
        return await this.#editAsKnown(change, condition, named());
      } catch (error) {
        if (!(error instanceof FnlbError) || !REFUSALS.has(error.code) || turn === TURNS_MAX) throw error;
        // Somebody else may have been faster, or what he said has not come here yet.
        await this.#dependencies.store.read(this.#cluster);
        if (this.#registry.version === version) throw error;
      }
    }
  }

  async #editAsKnown(
    change: NodeChange,
    condition: EditCondition,
    named: readonly NodeConfig[],
  ): Promise<ChangeResult> {
    const { id } = change;
    const { edits: known } = this.#registry;
    const own = named.find((node) => node.id === id);
    checkChange(this.#cluster, change, standingOf(own, known.get(id)), condition);
    const guard = guardOf(change, condition, own !== undefined);
    const changes = [...forgotten(known, named), change];
    const { edits, before } = await this.#dependencies.store.edit(this.#cluster, changes, guard);
    const [old, said] = [before.get(id), edits.get(id)];
    // Whoever takes something back asks about what was said, which may have been what the config says.
    const isSame =
      change.presence === null
        ? isDeepStrictEqual(old, said)
        : isSameStanding(standingOf(own, old), standingOf(own, said));
    return isSame ? "unchanged" : "applied";
  }
}

/**
 * Takes removals of nodes back that neither config nor discovery names: those are gone without it. It is kept while there
 * are few, so that whoever removes a node again hears that it was known. A cluster whose nodes come and go, each with an
 * address of its own, would fill the registry otherwise, and then nobody could edit anything.
 */
function forgotten(edits: Registry["edits"], named: readonly NodeConfig[]): readonly NodeChange[] {
  if (edits.size <= REMEMBERED_MAX) return [];
  const names = new Set(named.map(({ id }) => id));
  const isNeedless = ([id, { presence }]: readonly [string, NodeEdit]) => presence === "removed" && !names.has(id);
  return [...edits]
    .filter(isNeedless)
    .slice(0, FORGOTTEN_MAX)
    .map(([id]) => ({ id, presence: null }));
}

/** What the store must say for a change to be made as `checkChange` has allowed it, whoever edits the node at the same time. */
function guardOf({ id, presence }: NodeChange, { expects }: EditCondition, isNamed: boolean): EditGuard | undefined {
  // A node that is named is there unless it is removed; another one is there only if it is added.
  const isThere = { id, presence: isNamed ? "removed" : "added", isSaid: !isNamed } as const;
  if (expects === "present") return isThere;
  if (expects === "absent") return { ...isThere, isSaid: isNamed };
  return presence === undefined ? { id, presence: "removed", isSaid: false } : undefined;
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
