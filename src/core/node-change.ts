import { FnlbError } from "../errors.js";
import type { NodeMode } from "./node.js";
import type { EditCondition } from "./operations.js";
import type { NodeChange, NodeEdit } from "./registry.js";

/** What a cluster knows of an id. */
export type NodeStanding =
  | { readonly kind: "there"; readonly weight: number; readonly mode: NodeMode }
  /** Operators do not want it, whoever names it. */
  | { readonly kind: "removed" }
  /** Something was said about it, but nobody names it now. */
  | { readonly kind: "away"; readonly edit: NodeEdit }
  | { readonly kind: "unknown" };

/** Follows from what config or discovery say of a node, if they name it, and from what operators say. */
export function standingOf(named: { readonly weight: number } | undefined, edit: NodeEdit | undefined): NodeStanding {
  if (edit?.presence === "removed") return { kind: "removed" };
  if (named !== undefined || edit?.presence === "added") {
    return { kind: "there", weight: edit?.weight ?? named?.weight ?? 1, mode: edit?.mode ?? "active" };
  }
  return edit === undefined ? { kind: "unknown" } : { kind: "away", edit };
}

/** Is a node the same to everybody before and after? */
export function isSameStanding(one: NodeStanding, other: NodeStanding): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * Throws `ERR_CONFLICT` or `ERR_NOT_FOUND` for a change that does not fit a node as it stands, `ERR_BAD_REQUEST` for one
 * that contradicts itself. Whoever adds a node need not know of it; everything else is said of one that is known, and
 * weight and mode of one that is not removed: nobody would see them, and whoever adds it again begins anew.
 */
export function checkChange(
  cluster: string,
  { id, presence, weight, mode }: NodeChange,
  { kind }: NodeStanding,
  { expects }: EditCondition = {},
): void {
  if (presence === "removed" && (weight !== undefined || mode !== undefined)) {
    throw new FnlbError("ERR_BAD_REQUEST", "a node that is removed has neither weight nor mode");
  }
  if (expects === "absent" && kind === "there") {
    throw new FnlbError("ERR_CONFLICT", `node "${id}" is there already`);
  }
  const isMissing =
    (expects === "present" && kind !== "there") ||
    (presence !== "added" && kind === "unknown") ||
    (presence === undefined && kind === "removed");
  if (isMissing) throw new FnlbError("ERR_NOT_FOUND", `there is no node "${id}" in cluster "${cluster}"`);
}
