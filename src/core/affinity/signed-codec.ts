import { createHmac, timingSafeEqual } from "node:crypto";
import type { Node } from "../node.js";
import { type CodecKey, codecKeys } from "./codec-key.js";
import type { CookieCodec } from "./cookie-codec.js";
import { membershipMemo } from "./membership-memo.js";

export interface SignedCodecOptions {
  /** Secrets of 16 bytes or more: the first signs, all verify. To rotate put a new one in front, and drop the last later. */
  readonly keys: readonly CodecKey[];
}

const KEY_BYTES_MIN = 16;
/** Of the opaque id: enough that no two nodes share one. */
const OPAQUE_BYTES = 12;

/**
 * `<opaque id>.<signature>`: says nothing about the node to whoever lacks the key, and cannot be made without it.
 * The id is a keyed hash of the node's, for a plain hash of an address is found by trying all addresses; the
 * signature is the HMAC-SHA-256 of the opaque id (RFC 2104), compared in constant time. Both in base64url.
 *
 * Whoever has seen a cookie may use it: it chooses a node, and is no proof of who somebody is. Does not expire.
 * Throws `ERR_OPTION` for keys that are none.
 */
export function signedCodec({ keys }: SignedCodecOptions): CookieCodec {
  const signers = codecKeys(keys, (bytes) => bytes >= KEY_BYTES_MIN, `${KEY_BYTES_MIN} or more`).map((key) => {
    const opaqueId = ({ id }: Node) => hmac(key, `fnlb node ${id}`).subarray(0, OPAQUE_BYTES).toString("base64url");
    const signature = (opaque: string) => hmac(key, `fnlb cookie ${opaque}`).toString("base64url");
    const named = membershipMemo(
      (members) =>
        new Map(
          members.map((node) => {
            const opaque = opaqueId(node);
            return [opaque, { node, signature: Buffer.from(signature(opaque)) }];
          }),
        ),
    );
    return { opaqueId, signature, named };
  });
  const [first] = signers;

  return {
    encode(node) {
      const opaque = first.opaqueId(node);
      return `${opaque}.${first.signature(opaque)}`;
    },
    decode(value, members) {
      const dot = value.indexOf(".");
      if (dot !== OPAQUE_LENGTH || value.length !== VALUE_LENGTH) return undefined;
      const opaque = value.slice(0, dot);
      const signature = Buffer.from(value.slice(dot + 1));
      for (const signer of signers) {
        const candidate = signer.named(members).get(opaque);
        if (candidate === undefined || candidate.signature.length !== signature.length) continue;
        if (timingSafeEqual(candidate.signature, signature)) return candidate.node;
      }
      return undefined;
    },
    isCurrent: (value) => value.endsWith(`.${first.signature(value.slice(0, OPAQUE_LENGTH))}`),
  };
}

/** Characters of 12 bytes in base64url, and of those, a dot and 32 bytes more. */
const OPAQUE_LENGTH = 16;
const VALUE_LENGTH = OPAQUE_LENGTH + 1 + 43;

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
