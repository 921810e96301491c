import type { CookieCodec } from "./cookie-codec.js";
import { membershipMemo } from "./membership-memo.js";
import { type UrlOf, urlOfNode } from "./node-url.js";

export interface HashCodecOptions {
  /** Hashed before the URL. Default: empty. */
  readonly salt?: string;
  /** The URL that names a node, character by character as oxy had it. Default: `http://` and the node's id. */
  readonly url?: UrlOf;
}

/**
 * FNV-1a-64 of salt and URL in hexadecimal, as oxy writes it: to read cookies of the past. Not a secret: whoever
 * guesses an address can compute it. The whole URL counts, on both ways, so that a node whose URL has userinfo or
 * a query knows its own cookie.
 *
 * @see Fowler, Noll, Vo: The FNV Non-Cryptographic Hash Algorithm, draft-eastlake-fnv
 */
export function hashCodec({ salt = "", url = urlOfNode }: HashCodecOptions = {}): CookieCodec {
  const named = membershipMemo((members) => new Map(members.map((node) => [fnv1a64(salt + url(node)), node])));
  return {
    encode: (node) => fnv1a64(salt + url(node)),
    decode: (value, members) => named(members).get(value),
  };
}

function fnv1a64(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16);
}
