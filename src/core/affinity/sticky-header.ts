import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { Affinity } from "./affinity.js";
import type { CookieCodec } from "./cookie-codec.js";
import { mayStay } from "./sticky-session.js";

export interface StickyHeaderOptions {
  /** Name of the field, in requests and in responses. */
  readonly name: string;
  /** What its value says. */
  readonly codec: CookieCodec;
}

/**
 * Affinity by a field of its own, for programs that keep no cookies: a response says it, and a client that sends it
 * back stays on the node that it names.
 */
export class StickyHeader implements Affinity {
  readonly field: string;
  /** Only one can be meant: what is joined of several decodes to nobody. */
  readonly separator = ", ";
  readonly #name: string;
  readonly #codec: CookieCodec;

  constructor({ name, codec }: StickyHeaderOptions) {
    this.field = name.toLowerCase();
    this.#name = name;
    this.#codec = codec;
  }

  find(exchange: Exchange, members: readonly Node[]): Node | undefined {
    const node = this.#decode(exchange.affinity, members);
    return node !== undefined && mayStay(node, exchange) ? node : undefined;
  }

  named({ affinity: sent }: Exchange, members: readonly Node[]): { readonly node: Node | undefined } | undefined {
    return sent === undefined ? undefined : { node: this.#decode(sent, members) };
  }

  line(sent: string | undefined, members: readonly Node[], node: Node): string {
    const isGood =
      sent !== undefined &&
      this.#decode(sent, members) === node &&
      // One of an old key or format is replaced, so that keys and formats can go.
      this.#codec.isCurrent?.(sent, members) !== false;
    return isGood ? "" : `${this.#name}: ${this.#codec.encode(node)}`;
  }

  #decode(sent: string | undefined, members: readonly Node[]): Node | undefined {
    return sent === undefined ? undefined : this.#codec.decode(sent, members);
  }
}
