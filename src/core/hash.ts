// The lookup hash of the ring. Hot path: a parser folds every byte of a target through `hashByte` while it
// scans, so nothing here allocates and nothing here calls out.

/** Start of every lookup hash: the offset basis of FNV-1a. An int32, so that the running hash never leaves small integers. */
export const HASH_SEED = 0x811c9dc5 | 0;

/** Seeds of the four words of a digest. The first is the lookup hash, the others only place more points. */
const DIGEST_SEEDS = [HASH_SEED, 0x9e3779b9 | 0, 0x243f6a88 | 0, 0xb7e15162 | 0] as const;

const encoder = new TextEncoder();

/** Folds one byte into a running hash (FNV-1a). */
export function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

/**
 * Ends a running hash over `length` bytes; a uint32.
 *
 * FNV-1a alone leaves the upper bits of similar short keys nearly equal, and a ring reads the upper bits
 * first: `/f/1` to `/f/9` would share one arc. The finalizer of MurmurHash3 spreads every bit over all others.
 */
export function finishHash(hash: number, length: number): number {
  let mixed = hash ^ length;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Lookup hash of `bytes[start, end)`; a uint32. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number = HASH_SEED): number {
  let hash = seed;
  for (let at = start; at < end; at++) hash = hashByte(hash, bytes[at]);
  return finishHash(hash, end - start);
}

/** Lookup hash of the UTF-8 bytes of a string; a uint32. Allocates only for characters outside ASCII. */
export function hashString(text: string): number {
  let hash = HASH_SEED;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) return hashUtf8(text);
    hash = hashByte(hash, unit);
  }
  return finishHash(hash, text.length);
}

function hashUtf8(text: string): number {
  const bytes = encoder.encode(text);
  return hashBytes(bytes, 0, bytes.length);
}

/**
 * Sixteen bytes that place four points of a ring: four little-endian words over the UTF-8 bytes of a string, of
 * which the first is its lookup hash. The shape of an md5 digest, because that is what `hashring` reads.
 */
export function digest16(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  const digest = new Uint8Array(16);
  const words = new DataView(digest.buffer);
  for (const [word, seed] of DIGEST_SEEDS.entries()) {
    words.setUint32(word * 4, hashBytes(bytes, 0, bytes.length, seed), true);
  }
  return digest;
}
