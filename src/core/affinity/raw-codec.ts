import { FnlbError } from "../../errors.js";
import { COOKIE_VALUE_LENGTH_MAX, type CookieCodec } from "./cookie-codec.js";
import { membershipMemo } from "./membership-memo.js";
import { type UrlOf, urlOfNode } from "./node-url.js";

export interface RawCodecOptions {
  /** The URL that names a node. Default: `http://` and the node's id. */
  readonly url?: UrlOf;
}

/**
 * The node's URL as it is, as oxy writes it: to read cookies of the past. Shows every client where the nodes are,
 * and lets it choose among them.
 *
 * Scheme, host and path count. Userinfo, query and fragment are neither compared nor written, so that a node whose
 * URL has them knows its own cookie and no password leaves the house.
 */
export function rawCodec({ url = urlOfNode }: RawCodecOptions = {}): CookieCodec {
  const named = membershipMemo((members) => new Map(members.map((node) => [plainUrl(url(node)), node])));
  return {
    encode(node) {
      const plain = plainUrl(url(node));
      if (plain === undefined) throw new FnlbError("ERR_OPTION", `option "url" must give the URL of node ${node.id}`);
      return plain;
    },
    decode(value, members) {
      if (value.length > COOKIE_VALUE_LENGTH_MAX) return undefined;
      const plain = plainUrl(value);
      return plain === undefined ? undefined : named(members).get(plain);
    },
  };
}

/** Scheme, host and path in one spelling that a cookie may hold; `undefined` for what is no URL. */
function plainUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`.replaceAll(/[",;\\]/g, encodeURIComponent);
}
