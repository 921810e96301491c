// Hot path: `pick` runs for every attempt. In the usual case it is one bucket, one comparison or two, and one
// call of `eligible`; it allocates nothing at any time.
import HashRing from "hashring";
import type { Exchange } from "../exchange.js";
import { digest16 } from "../hash.js";
import { ketamaDigest } from "../ketama.js";
import type { Node } from "../node.js";
import { checkRange } from "../option-range.js";
import { FREE_IN_FLIGHT } from "./bounded-load.js";
import { Circle } from "./circle.js";
import { type HotKeyOptions, hotKeyOptions, isOverCap, pickInOrder } from "./key-order.js";
import type { Arcs, Eligible, Policy } from "./policy.js";

export interface RingHashOptions extends HotKeyOptions {
  /**
   * What places points and keys. `fast` (default): `hashString` and `digest16`. `ketama`: md5, so that a key
   * lands where any other ketama client puts it; keys are then hashed with `ketamaHash`.
   */
  readonly hash?: "fast" | "ketama";
  /** Points of a node of weight 1, rounded to whole fours. Default 160; more share keys more evenly and cost memory. */
  readonly pointsPerNode?: number;
}

export interface RingHash extends Policy {
  /** The nodes in the order in which a key of this hash tries them: its home, then its fallbacks. */
  order(keyHash: number): Node[];
  arcs(sectors: number): Arcs;
}

/**
 * A consistent-hash ring: a key belongs to the node of the first point clockwise from its hash, and falls back
 * to the nodes of the points behind it. The placement is a function of ids, weights and options alone, so that
 * replicas agree without talking; a node that joins or leaves moves only its own share.
 *
 * Throws `ERR_OPTION` for an option out of range.
 */
export function ringHash(options: RingHashOptions = {}): RingHash {
  const { hash = "fast", pointsPerNode = 160 } = options;
  checkRange("pointsPerNode", pointsPerNode, { from: POINTS_PER_DIGEST, to: POINTS_PER_NODE_MAX });
  return new FlatRing({ hash, pointsPerNode, ...hotKeyOptions(options) });
}

/** A digest of 16 bytes is four points. */
const POINTS_PER_DIGEST = 4;
/** Where more points no longer make shares visibly more even. */
const POINTS_PER_NODE_MAX = 16_384;
/** Points of a whole ring. Beyond it all nodes get fewer, in proportion: building a ring stops the process meanwhile. */
const POINTS_MAX = 2 ** 19;
/** How many hashes there are. */
const HASHES = 2 ** 32;

class FlatRing implements RingHash {
  readonly isKeyed = true;
  readonly #options: Required<RingHashOptions>;
  /** Every node of the cluster, those without points included. */
  #members: readonly Node[] = [];
  /** The nodes with points, by id, and to which of them each point belongs. */
  #circle = new Circle([], new Uint32Array(0));
  /** What the circle has, one step nearer: nearly every pick needs no more. */
  #nodes: readonly Node[] = [];
  #owners: Uint32Array = new Uint32Array(0);
  /** Ids and weights that the points were made of. */
  #placement = "";
  /** Points, ascending. */
  #points = new Uint32Array(0);
  /** First point at or behind the start of each bucket; the upper bits of a hash name its bucket. */
  #buckets = new Uint32Array(0);
  #bucketShift = 0;

  constructor(options: Required<RingHashOptions>) {
    this.#options = options;
  }

  update(nodes: readonly Node[]): void {
    this.#members = nodes;
    // Equal points tie by the order of the list: unsorted, two replicas could disagree on a key.
    const weighted = nodes.filter((node) => node.weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
    const placement = JSON.stringify(weighted.map(({ id, weight }) => [id, weight]));
    if (placement === this.#placement) {
      // A reload that says the same must not stop the process for a thousand nodes' points.
      this.#join(weighted, this.#circle.owners);
      return;
    }
    this.#placement = placement;
    this.#flatten(weighted, continuum(weighted, this.#options));
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    if (this.#points.length === 0) return undefined;
    const point = this.#find(exchange.keyHash);
    const home = this.#nodes[this.#owners[point]];
    if (home.inFlight < FREE_IN_FLIGHT && eligible(home, exchange)) return home;
    return pickInOrder(this.#circle.from(point), this.#members, exchange, eligible, this.#options);
  }

  order(keyHash: number): Node[] {
    return this.#points.length === 0 ? [] : this.#circle.order(this.#find(keyHash));
  }

  isOverLoad(node: Node, exchange: Exchange, eligible: Eligible): boolean {
    return isOverCap(node, this.#members, exchange, eligible, this.#options);
  }

  arcs(sectors: number): Arcs {
    const points = this.#points;
    const widths = new Map<string, number>();
    for (const [position, point] of points.entries()) {
      // A point has the keys behind the one before it; the first one those behind the last, around the end.
      const before = position === 0 ? points[points.length - 1] - HASHES : points[position - 1];
      const { id } = this.#nodes[this.#owners[position]];
      widths.set(id, (widths.get(id) ?? 0) + point - before);
    }
    return {
      shares: new Map([...widths].map(([id, width]) => [id, width / HASHES])),
      sectors: Array.from({ length: sectors }, (_, sector) => {
        const middle = Math.floor(((sector + 0.5) * HASHES) / sectors);
        return points.length === 0 ? undefined : this.#nodes[this.#owners[this.#find(middle)]].id;
      }),
    };
  }

  /** Position of the first point at or behind a hash; behind the last point comes the first. */
  #find(keyHash: number): number {
    const points = this.#points;
    let position = this.#buckets[keyHash >>> this.#bucketShift];
    while (position < points.length && points[position] < keyHash) position++;
    return position === points.length ? 0 : position;
  }

  #join(nodes: readonly Node[], owners: Uint32Array): void {
    this.#circle = new Circle(nodes, owners);
    this.#nodes = nodes;
    this.#owners = owners;
  }

  #flatten(nodes: readonly Node[], points: HashRing["ring"]): void {
    const positions = new Map(nodes.map((node, position) => [NAME_MARK + node.id, position]));
    this.#points = Uint32Array.from(points, (point) => point.value);
    this.#join(
      nodes,
      Uint32Array.from(points, (point) => positions.get(point.server)!),
    );
    // About as many buckets as points: a lookup then looks at one or two of them, however many nodes there are.
    const bits = Math.max(1, Math.ceil(Math.log2(points.length + 1)));
    this.#bucketShift = 32 - bits;
    this.#buckets = new Uint32Array(2 ** bits);
    let position = 0;
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      const start = bucket * 2 ** this.#bucketShift;
      while (position < points.length && this.#points[position] < start) position++;
      this.#buckets[bucket] = position;
    }
  }
}

/** The points of all nodes; `server` is the id of a node behind a `NAME_MARK`. */
function continuum(nodes: readonly Node[], options: Required<RingHashOptions>): HashRing["ring"] {
  const digest = options.hash === "ketama" ? ketamaDigest : digest16;
  const vnodesPerWeight = options.pointsPerNode / POINTS_PER_DIGEST;
  const vnodesWanted = nodes.reduce((sum, node) => sum + node.weight * vnodesPerWeight, 0);
  const scale = Math.min(1, POINTS_MAX / POINTS_PER_DIGEST / vnodesWanted);
  // `hashring` gets explicit `vnodes`, because what it makes of weights loses points to rounding, and a default
  // of 0 for them, because it ignores `vnodes` that equal its default.
  const servers: Record<string, { vnodes: number }> = {};
  for (const node of nodes) {
    servers[NAME_MARK + node.id] = { vnodes: Math.max(1, Math.round(node.weight * vnodesPerWeight * scale)) };
  }
  return new HashRing(servers, (name) => digest(name.slice(NAME_MARK.length)), { "vnode count": 0 }).ring;
}

/**
 * Stands before each id while `hashring` has it, and is no part of what is hashed. Names are keys of plain objects
 * there: bare, `__proto__` would get no points, and a number would leave the order of the list.
 */
const NAME_MARK = "@";
