import { FnlbError } from "../../errors.js";
import type { CookieCodec } from "./cookie-codec.js";

/**
 * Writes with the first codec and accepts what any of them reads, asked in order: how formats migrate. Put the new
 * one in front, and drop the old one when its cookies have expired. A list is as hard to forge as its weakest.
 *
 * Throws `ERR_OPTION` for an empty list.
 */
export function codecList(codecs: readonly CookieCodec[]): CookieCodec {
  const [first] = codecs;
  if (first === undefined) throw new FnlbError("ERR_OPTION", `option "codecs" must be one codec or more, got none`);
  return {
    encode: (node) => first.encode(node),
    decode(value, members) {
      for (const codec of codecs) {
        const node = codec.decode(value, members);
        if (node !== undefined) return node;
      }
      return undefined;
    },
    isCurrent: (value, members) =>
      first.decode(value, members) !== undefined && first.isCurrent?.(value, members) !== false,
  };
}
