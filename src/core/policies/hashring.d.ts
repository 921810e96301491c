/** The part of `hashring` that we use: it builds the continuum, everything else happens in our own arrays. */
declare module "hashring" {
  class HashRing {
    /** `servers` must be an object of server to `vnodes`: an array could not say how many points each one gets. */
    constructor(
      servers: Readonly<Record<string, { readonly vnodes: number }>>,
      algorithm: string | ((key: string) => ArrayLike<number>),
      options: { readonly "vnode count": number },
    );
    /** The continuum, ascending by `value`; servers with equal values stand in the order they were given. */
    readonly ring: readonly { readonly value: number; readonly server: string }[];
    /** Distinct servers clockwise from the point of a key. */
    range(key: string): string[];
  }
  export = HashRing;
}
