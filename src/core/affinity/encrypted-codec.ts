import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Clock } from "../clock.js";
import { checkRange } from "../option-range.js";
import { type CodecKey, codecKeys } from "./codec-key.js";
import { COOKIE_VALUE_LENGTH_MAX, type CookieCodec } from "./cookie-codec.js";
import { membershipMemo } from "./membership-memo.js";

export interface EncryptedCodecDependencies {
  readonly clock: Pick<Clock, "wallNow">;
  /** Bytes that nobody can guess and that never repeat, such as `randomBytes` of `node:crypto`. */
  readonly randomBytes: (size: number) => Uint8Array;
}

export interface EncryptedCodecOptions {
  /** Secrets of 16, 24 or 32 bytes for AES-128, -192 or -256: the first encrypts, all decrypt. */
  readonly keys: readonly CodecKey[];
  /** How long a cookie is honoured, in milliseconds. Default 0: for ever. */
  readonly ttlMs?: number;
}

const ALGORITHMS = { 16: "aes-128-gcm", 24: "aes-192-gcm", 32: "aes-256-gcm" } as const;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const EXPIRY_BYTES = 8;
/** Authenticated with each value: what another program encrypts under the same key is not taken for a cookie. */
const CONTEXT = Buffer.from("fnlb cookie 1");

/**
 * base64url of nonce, ciphertext and tag: AES-GCM (NIST SP 800-38D) with a random nonce of 96 bits over the time of
 * expiry and the node's id. Two cookies for one node have nothing in common. A key is good for 2^32 cookies; rotate
 * it before.
 *
 * Throws `ERR_OPTION` for keys that are none and a negative ttl.
 */
export function encryptedCodec(
  { clock, randomBytes }: EncryptedCodecDependencies,
  { keys, ttlMs = 0 }: EncryptedCodecOptions,
): CookieCodec {
  checkRange("ttlMs", ttlMs, { from: 0 });
  const secrets = codecKeys(keys, (bytes) => bytes in ALGORITHMS, "16, 24 or 32");
  const named = membershipMemo((members) => new Map(members.map((node) => [node.id, node])));

  return {
    encode({ id }) {
      const plain = Buffer.alloc(EXPIRY_BYTES + Buffer.byteLength(id));
      plain.writeDoubleBE(ttlMs === 0 ? Number.POSITIVE_INFINITY : clock.wallNow() + ttlMs);
      plain.write(id, EXPIRY_BYTES);
      return encrypt(secrets[0], randomBytes(NONCE_BYTES), plain).toString("base64url");
    },
    decode(value, members) {
      if (value.length > COOKIE_VALUE_LENGTH_MAX || !/^[\w-]+$/.test(value)) return undefined;
      const sealed = Buffer.from(value, "base64url");
      if (sealed.length <= NONCE_BYTES + EXPIRY_BYTES + TAG_BYTES) return undefined;
      for (const secret of secrets) {
        const plain = decrypt(secret, sealed);
        if (plain === undefined) continue;
        const isFresh = clock.wallNow() < plain.readDoubleBE();
        return isFresh ? named(members).get(plain.toString("utf8", EXPIRY_BYTES)) : undefined;
      }
      return undefined;
    },
    isCurrent(value) {
      const plain = decrypt(secrets[0], Buffer.from(value, "base64url"));
      return plain !== undefined && clock.wallNow() + ttlMs / 2 < plain.readDoubleBE();
    },
  };
}

function algorithmOf(secret: Uint8Array): (typeof ALGORITHMS)[keyof typeof ALGORITHMS] {
  // The lengths were checked when the codec was made.
  return ALGORITHMS[secret.length as keyof typeof ALGORITHMS];
}

function encrypt(secret: Uint8Array, nonce: Uint8Array, plain: Buffer): Buffer {
  const cipher = createCipheriv(algorithmOf(secret), secret, nonce, { authTagLength: TAG_BYTES }).setAAD(CONTEXT);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(secret: Uint8Array, sealed: Buffer): Buffer | undefined {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(algorithmOf(secret), secret, nonce, { authTagLength: TAG_BYTES }).setAAD(CONTEXT);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    // Another key's, or forged: what `final` throws says no more than that.
    return undefined;
  }
}
