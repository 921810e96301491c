// Hot path: one step is one pass over the bytes of a part, one lookup by a small integer, one comparison.
import { HASH_SEED, hashByte } from "../core/hash.js";

/** Bytes as they are. */
export const AS_RECEIVED = Uint8Array.from({ length: 256 }, (_, byte) => byte);
/** ASCII letters in lower case. */
export const ANY_CASE = AS_RECEIVED.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));

/**
 * A place in a tree of names that are made of parts: segments of a path, labels of a host. Whoever looks a name up
 * goes down part by part as far as there are branches, and then up again until a value fits: the first that fits is
 * the most specific one. The way is never longer than the longest name in the tree, whatever a client sends.
 */
export class Branch<Value> {
  readonly parent: Branch<Value> | undefined;
  /** For the name that ends here. */
  whole: Value | undefined;
  /** For names that go on below. */
  below: Value | undefined;
  /** For both. */
  through: Value | undefined;
  readonly #fold: Uint8Array;
  readonly #part: Uint8Array;
  #children: Map<number, Branch<Value>> | undefined;
  /** The next child of the same parent with the same hash. */
  #twin: Branch<Value> | undefined;

  /** A tree's root; `fold` says which bytes count as equal. */
  constructor(fold: Uint8Array, parent?: Branch<Value>, part: Uint8Array = new Uint8Array(0)) {
    this.parent = parent;
    this.#fold = fold;
    this.#part = part;
  }

  get isLeaf(): boolean {
    return this.#children === undefined;
  }

  /** The child for the part `bytes[start, end)`. */
  child(bytes: Uint8Array, start: number, end: number): Branch<Value> | undefined {
    if (this.#children === undefined) return undefined;
    const fold = this.#fold;
    let hash = HASH_SEED;
    for (let at = start; at < end; at++) hash = hashByte(hash, fold[bytes[at]]);
    let child = this.#children.get(hash);
    while (child !== undefined && !child.#isFor(bytes, start, end)) child = child.#twin;
    return child;
  }

  #isFor(bytes: Uint8Array, start: number, end: number): boolean {
    const part = this.#part;
    const fold = this.#fold;
    if (end - start !== part.length) return false;
    for (let index = 0; index < part.length; index++) if (fold[bytes[start + index]] !== part[index]) return false;
    return true;
  }

  /** The branch at the end of these parts, grown where it was missing. */
  grow(parts: readonly string[]): Branch<Value> {
    let branch: Branch<Value> = this;
    for (const part of parts) branch = branch.#growOne(Buffer.from(part, "latin1"));
    return branch;
  }

  #growOne(bytes: Uint8Array): Branch<Value> {
    const existing = this.child(bytes, 0, bytes.length);
    if (existing !== undefined) return existing;
    const part = bytes.map((byte) => this.#fold[byte]);
    const child = new Branch<Value>(this.#fold, this, part);
    let hash = HASH_SEED;
    for (const byte of part) hash = hashByte(hash, byte);
    this.#children ??= new Map();
    child.#twin = this.#children.get(hash);
    this.#children.set(hash, child);
    return child;
  }
}
