import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { digest16, finishHash, HASH_SEED, hashByte, hashBytes, hashString } from "../../src/core/hash.js";
import { addresses } from "./small-cluster.js";

/** How far the counts of 1024 buckets are from uniform, in standard deviations; random hashes stay within ±4. */
function deviation(hashes: readonly number[], bucketOf: (hash: number) => number): number {
  const counts = new Float64Array(1024);
  for (const hash of hashes) counts[bucketOf(hash)]++;
  const expected = hashes.length / counts.length;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  return (chiSquare - (counts.length - 1)) / Math.sqrt(2 * (counts.length - 1));
}

const KEYS: Record<string, string[]> = {
  "short numbered functions": Array.from({ length: 100_000 }, (_, n) => `/f/${n}`),
  "long paths with a common prefix": Array.from(
    { length: 100_000 },
    (_, n) => `/api/v1/tenants/acme/users/${n}/invoke`,
  ),
  "three letters": Array.from({ length: 26 ** 3 }, (_, n) => n.toString(27).padStart(3, "0")),
  "points of nodes by address": addresses(500).flatMap((id) => Array.from({ length: 160 }, (_, n) => `${id}-${n}`)),
  "points of nodes by port": Array.from({ length: 80_000 }, (_, n) => `127.0.0.1:${3000 + (n % 500)}-${n / 500}`),
};

describe("lookup hash", () => {
  it("never changes: replicas of different versions must agree", () => {
    assert.equal(hashString(""), 0xab3e7c0b);
    assert.equal(hashString("/"), 0xdf8284b3);
    assert.equal(hashString("/f/hello"), 0xc44c556c);
    assert.equal(hashString("/straße/☃"), 0xada77142);
  });

  it("is the same folded byte by byte, over a buffer, and over a string", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(9), (text, offset) => {
        const bytes = Buffer.from(text);
        let folded = HASH_SEED;
        for (const byte of bytes) folded = hashByte(folded, byte);
        const expected = finishHash(folded, bytes.length);
        assert.equal(hashString(text), expected);
        const framed = Buffer.concat([Buffer.alloc(offset, 7), bytes, Buffer.alloc(3, 9)]);
        assert.equal(hashBytes(framed, offset, offset + bytes.length), expected);
      }),
    );
  });

  it("is a uint32", () => {
    fc.assert(fc.property(fc.string(), (text) => hashString(text) === hashString(text) >>> 0));
  });

  for (const [name, keys] of Object.entries(KEYS)) {
    it(`spreads ${name} evenly, by its upper and by its lower bits`, () => {
      const hashes = keys.map(hashString);
      assert.ok(Math.abs(deviation(hashes, (hash) => hash >>> 22)) < 4);
      assert.ok(Math.abs(deviation(hashes, (hash) => hash & 1023)) < 4);
    });

    it(`collides on ${name} no more often than chance`, () => {
      const collisions = keys.length - new Set(keys.map(hashString)).size;
      const expected = keys.length ** 2 / 2 ** 33;
      assert.ok(collisions <= expected + 4 * Math.sqrt(expected) + 1, `${collisions} collisions`);
    });
  }

  it("changes every bit of the result with a probability of one half when one bit of a key changes", () => {
    const flips = new Float64Array(32);
    let samples = 0;
    for (let n = 0; n < 500; n++) {
      const bytes = Buffer.from(`/f/${n}/invoke`);
      const before = hashBytes(bytes, 0, bytes.length);
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        bytes[bit >> 3] ^= 1 << (bit & 7);
        const changed = (hashBytes(bytes, 0, bytes.length) ^ before) >>> 0;
        bytes[bit >> 3] ^= 1 << (bit & 7);
        for (let out = 0; out < 32; out++) flips[out] += (changed >>> out) & 1;
        samples++;
      }
    }
    for (const count of flips) assert.ok(Math.abs(count / samples - 0.5) < 0.02, `${count / samples}`);
  });
});

describe("digest of a point", () => {
  it("is sixteen bytes, of which the first word is the lookup hash, little endian", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const digest = digest16(text);
        assert.equal(digest.length, 16);
        assert.equal(new DataView(digest.buffer).getUint32(0, true), hashString(text));
      }),
    );
  });

  it("has four words that are independent of one another", () => {
    const words = KEYS["points of nodes by address"].map((text) => new Uint32Array(digest16(text).buffer));
    for (let a = 0; a < 4; a++) {
      for (let b = 0; b < a; b++) {
        const differences = words.map((word) => (word[a] ^ word[b]) >>> 0);
        assert.ok(Math.abs(deviation(differences, (hash) => hash >>> 22)) < 4);
      }
    }
  });
});
