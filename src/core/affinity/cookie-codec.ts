import type { Node } from "../node.js";

/** How a cookie's value names a node. */
export interface CookieCodec {
  /** The value for a node, in characters that a cookie may have (RFC 6265 §4.1.1). */
  encode(node: Node): string;
  /**
   * The node that a value names; `undefined` for one that is garbage, forged or expired, or whose node has left.
   * Never throws: values come from clients. `members` is the same array as long as the membership is.
   */
  decode(value: string, members: readonly Node[]): Node | undefined;
  /**
   * Is a value, which `decode` has read, as good as a new one? False for one of an old key or format, and for one that
   * has lived more than half of its time. Absent: always.
   */
  isCurrent?(value: string, members: readonly Node[]): boolean;
}

/** No codec writes longer values; longer ones are refused before any work is done for them. */
export const COOKIE_VALUE_LENGTH_MAX = 4096;
