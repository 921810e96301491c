// Hot path: conditions are compared with bytes where they are.
import type { RouteConfig } from "../config/routes.js";
import { slashLocation } from "../http1/redirect.js";
import type { RequestHead } from "../http1/request-head.js";

/** A route as requests meet it. */
export class Route {
  readonly config: RouteConfig;
  /** Its place in the list. */
  readonly index: number;
  /**
   * How many bytes at the start of the path the node does not see. What is left is the rest of the received bytes;
   * if it does not begin with a slash it is empty, and `/` stands for it.
   */
  readonly stripBytes: number;
  readonly #methods: readonly string[];
  readonly #names: readonly string[];
  /** The bytes of a value, undefined for any. */
  readonly #values: readonly (Buffer | undefined)[];
  readonly #barePathBytes: number;

  constructor(config: RouteConfig, index: number) {
    const { path, methods, headers, stripsPrefix, redirectsSlash } = config;
    this.config = config;
    this.index = index;
    this.stripBytes = stripsPrefix ? (path.endsWith("/") ? path.length - 1 : path.length) : 0;
    this.#methods = methods;
    this.#names = headers.map(({ name }) => name.toLowerCase());
    this.#values = headers.map(({ value }) => (value === undefined ? undefined : Buffer.from(value)));
    this.#barePathBytes = redirectsSlash ? path.length : 0;
  }

  /** More specific ones first, among those of one host and path. */
  static compare(a: Route, b: Route): number {
    const byMethods = Math.sign(b.#methods.length) - Math.sign(a.#methods.length);
    return byMethods || b.#names.length - a.#names.length || b.#countValues() - a.#countValues() || a.index - b.index;
  }

  #countValues(): number {
    return this.#values.filter((value) => value !== undefined).length;
  }

  /** One of the fields it asks for together with the value, one character a byte; undefined when there is none. */
  get valuedField(): { readonly lowerName: string; readonly value: string } | undefined {
    const index = this.#values.findIndex((value) => value !== undefined);
    const value = this.#values[index];
    return value === undefined ? undefined : { lowerName: this.#names[index], value: value.toString("latin1") };
  }

  /** Do method and fields fit? Host and path are what the table looks at. */
  accepts(head: RequestHead, buffer: Buffer): boolean {
    if (this.#methods.length > 0 && !this.#methods.includes(head.method)) return false;
    for (let index = 0; index < this.#names.length; index++) {
      if (!hasField(head, buffer, this.#names[index], this.#values[index])) return false;
    }
    return true;
  }

  /**
   * Where a request of this route is to be sent on to instead of being served: the bare path and a slash, with the
   * query as received. Only GET and HEAD, which a browser repeats for its relative links; a body would be sent in vain,
   * and a websocket's client follows no redirect.
   */
  slashLocation(head: RequestHead, buffer: Buffer): string | undefined {
    if (this.#barePathBytes === 0 || head.pathEnd - head.targetStart !== this.#barePathBytes) return undefined;
    if ((head.method !== "GET" && head.method !== "HEAD") || head.wantsUpgrade) return undefined;
    return slashLocation(buffer, head.targetStart, head.pathEnd, head.targetEnd);
  }
}

function hasField(head: RequestHead, buffer: Buffer, lowerName: string, value: Buffer | undefined): boolean {
  const { fields } = head;
  for (let index = fields.find(buffer, lowerName); index >= 0; index = fields.find(buffer, lowerName, index + 1)) {
    if (value === undefined || equals(buffer, fields.valueStart[index], fields.valueEnd[index], value)) return true;
  }
  return false;
}

function equals(buffer: Buffer, start: number, end: number, value: Buffer): boolean {
  if (end - start !== value.length) return false;
  for (let index = 0; index < value.length; index++) if (buffer[start + index] !== value[index]) return false;
  return true;
}
