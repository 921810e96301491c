import { FnlbError } from "../../errors.js";
import type { Exchange } from "../exchange.js";
import { type Node, passesChecks } from "../node.js";
import type { Eligible } from "../policies/policy.js";
import { type CookieAttributes, checkCookieName, cookieAttributes, cookieValues, isCookieValue } from "./cookie.js";
import type { CookieCodec } from "./cookie-codec.js";

export interface StickySessionOptions extends CookieAttributes {
  /** Name of the cookie: a token. */
  readonly name: string;
  /** What its value says; `signedCodec` for most, `codecList` while a format migrates. */
  readonly codec: CookieCodec;
  /**
   * Write a good cookie again when its key or format is no longer the first, or half of its time is over: keys and
   * formats can then go while their clients stay. Default false: a good cookie is not written again.
   */
  readonly renews?: boolean;
}

/** What a request brings: its `Cookie` header, several joined by `; `, and the cluster's nodes. */
export interface StickyRequest {
  readonly cookieHeader: string | undefined;
  /** The same array as long as the membership is. */
  readonly members: readonly Node[];
  readonly exchange: Exchange;
}

export interface StickyPick {
  readonly node: Node;
  /** Value of a `Set-Cookie` header for the response; `undefined`: the client's cookie is good. */
  readonly setCookie: string | undefined;
}

/**
 * May a client stay on its node? Not on a dead, suspect or disabled one, not on one whose checks do not pass, nor on
 * one that this request has tried. A draining node, and one of weight 0, keeps its clients: that is what draining means.
 */
export function mayStay(node: Node, exchange: Exchange): boolean {
  if (!node.alive || node.suspect || node.mode === "disabled" || !passesChecks(node)) return false;
  return !exchange.tried.has(node.index);
}

/**
 * Cookie affinity: a client stays on the node that its cookie names. Above any policy, which picks for those without
 * a cookie and for those whose node is gone.
 */
export class StickySession {
  readonly #name: string;
  readonly #codec: CookieCodec;
  readonly #renews: boolean;
  readonly #attributes: string;

  /** Throws `ERR_OPTION` for a name or an attribute that cannot stand in a header. */
  constructor({ name, codec, renews = false, ...attributes }: StickySessionOptions) {
    checkCookieName(name, attributes);
    this.#name = name;
    this.#codec = codec;
    this.#renews = renews;
    this.#attributes = cookieAttributes(attributes);
  }

  /** The node that the client should stay on, if it may; asked again for each attempt. Never throws. */
  find({ cookieHeader, members, exchange }: StickyRequest, eligible: Eligible = mayStay): Node | undefined {
    return this.#named(cookieHeader, members, (node) => eligible(node, exchange))?.node;
  }

  /** Whom the cookie names, whether the client may stay there or not; undefined where none of the name came. */
  named({ cookieHeader, members }: Omit<StickyRequest, "exchange">): { readonly node: Node | undefined } | undefined {
    if (cookieHeader === undefined || cookieValues(cookieHeader, this.#name).length === 0) return undefined;
    return { node: this.#named(cookieHeader, members, () => true)?.node };
  }

  /**
   * Value of the `Set-Cookie` header when `node` has answered; `undefined` when the client's cookie names it already
   * and need not be renewed.
   */
  setCookie({ cookieHeader, members }: Omit<StickyRequest, "exchange">, node: Node): string | undefined {
    const sent = this.#named(cookieHeader, members, (named) => named === node);
    const isGood = sent !== undefined && !(this.#renews && this.#codec.isCurrent?.(sent.value, members) === false);
    if (isGood) return undefined;
    const value = this.#codec.encode(node);
    // A codec may be the caller's own: what it writes must not become a second attribute or line.
    if (!isCookieValue(value))
      throw new FnlbError("ERR_OPTION", `option "codec" must give values that a cookie may have`);
    return `${this.#name}=${value}${this.#attributes}`;
  }

  /** The client's node, or the one that `pickNew` gives with a new cookie. `undefined`: no node, and no cookie. */
  pick(request: StickyRequest, pickNew: () => Node | undefined, eligible: Eligible = mayStay): StickyPick | undefined {
    const node = this.find(request, eligible) ?? pickNew();
    return node === undefined ? undefined : { node, setCookie: this.setCookie(request, node) };
  }

  /** Several cookies of one name come from several paths: the first that names an acceptable node counts. */
  #named(header: string | undefined, members: readonly Node[], accepts: (node: Node) => boolean): Sent | undefined {
    if (header === undefined) return undefined;
    for (const value of cookieValues(header, this.#name)) {
      const node = this.#codec.decode(value, members);
      if (node !== undefined && accepts(node)) return { node, value };
    }
    return undefined;
  }
}

/** A cookie that a client has sent, and whom it names. */
interface Sent {
  readonly node: Node;
  readonly value: string;
}
