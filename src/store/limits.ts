import { WEIGHT_MAX } from "../config/node-address.js";
import type { NodeChange } from "../core/registry.js";
import { FnlbError } from "../errors.js";

/** Statements about nodes that one cluster may have: each weight, mode, addition and removal is one. */
export const STATEMENTS_MAX = 10_000;
/** Changes that may be made in one edit. */
export const CHANGES_MAX = 1000;
const NODE_ID_BYTES_MAX = 1024;
const SESSION_ID_BYTES_MAX = 256;
const SESSION_BYTES_MAX = 4096;
const SESSION_TTL_MS_MAX = 365 * 86_400_000;

/** Throws `ERR_BAD_REQUEST` for an edit that no store should hold. */
export function checkChanges(changes: readonly NodeChange[]): void {
  refuseUnless(changes.length <= CHANGES_MAX, `an edit has at most ${CHANGES_MAX} changes`);
  for (const { id, presence, weight, mode } of changes) {
    refuseUnless(isText(id, NODE_ID_BYTES_MAX), `a node id has 1 to ${NODE_ID_BYTES_MAX} bytes of UTF-8`);
    refuseUnless(isOneOf(presence, [undefined, null, "added", "removed"]), "a presence is added or removed");
    refuseUnless(
      isOneOf(mode, [undefined, "active", "draining", "disabled"]),
      "a mode is active, draining or disabled",
    );
    const isWeight = weight === undefined || weight === null || (weight >= 0 && weight <= WEIGHT_MAX);
    refuseUnless(isWeight, `a weight is a number from 0 to ${WEIGHT_MAX}`);
  }
}

/** Throws `ERR_BAD_REQUEST` for a session that no store should hold. */
export function checkSession(id: string, value = "", ttlMs = 1): void {
  refuseUnless(isText(id, SESSION_ID_BYTES_MAX), `the id of a session has 1 to ${SESSION_ID_BYTES_MAX} bytes of UTF-8`);
  refuseUnless(Buffer.byteLength(value) <= SESSION_BYTES_MAX, `a session has at most ${SESSION_BYTES_MAX} bytes`);
  const isTtl = Number.isSafeInteger(ttlMs) && ttlMs >= 1 && ttlMs <= SESSION_TTL_MS_MAX;
  refuseUnless(isTtl, "a session lives for a whole number of milliseconds, at most a year");
}

/** Half a surrogate pair would come back as something else. */
function isText(text: string, bytesMax: number): boolean {
  const bytes = Buffer.from(text);
  return bytes.length > 0 && bytes.length <= bytesMax && bytes.toString() === text;
}

function isOneOf(value: unknown, values: readonly unknown[]): boolean {
  return values.includes(value);
}

function refuseUnless(isGood: boolean, message: string): void {
  if (!isGood) throw new FnlbError("ERR_BAD_REQUEST", message);
}

/** A cluster has so many statements that an edit would be one too many. */
export function fullRegistry(cluster: string): FnlbError {
  return new FnlbError(
    "ERR_STORE",
    `the registry of cluster "${cluster}" is full: it holds at most ${STATEMENTS_MAX} statements`,
  );
}

/** An edit was not made, because its guard was not so. */
export function movedRegistry(cluster: string): FnlbError {
  return new FnlbError("ERR_CONFLICT", `somebody else has edited the nodes of cluster "${cluster}" meanwhile`);
}
