// Hot path: a pick is one remainder, one look at the table and one call of `eligible`; it allocates nothing.
import { FnlbError } from "../../errors.js";
import type { Exchange } from "../exchange.js";
import { digest16 } from "../hash.js";
import type { Node } from "../node.js";
import { FREE_IN_FLIGHT } from "./bounded-load.js";
import { Circle } from "./circle.js";
import { type HotKeyOptions, hotKeyOptions, isOverCap, pickInOrder } from "./key-order.js";
import type { Eligible, Policy } from "./policy.js";

export interface MaglevOptions extends HotKeyOptions {
  /**
   * Places in the table, a prime up to 5,000,011. Default 65,537; a hundred or more for each node keep shares
   * within a percent of fair.
   */
  readonly tableSize?: number;
}

/** The largest prime that other implementations take; the table is then 20 MB. */
const TABLE_SIZE_MAX = 5_000_011;
/** Fewer places than this for each node would leave the shares to chance. */
const PLACES_PER_NODE_MIN = 4;

/**
 * Maglev hashing: a table in which every node has places in proportion to its weight, to within one place, so
 * that shares are more even than a ring's. A key that leaves its node goes on to the next places of the table,
 * where every key finds an order of its own. Equal lists in any order make equal tables.
 *
 * When a node joins or leaves, a few keys of the others move, too: that is what the even shares cost. A ring and
 * rendezvous hashing move none.
 *
 * Throws `ERR_OPTION` for an option out of range.
 *
 * @see Eisenbud et al.: Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016
 */
export function maglev({ tableSize = 65_537, ...options }: MaglevOptions = {}): Policy {
  if (!(Number.isInteger(tableSize) && tableSize <= TABLE_SIZE_MAX && isPrime(tableSize))) {
    throw new FnlbError("ERR_OPTION", `option "tableSize" must be a prime up to ${TABLE_SIZE_MAX}, got ${tableSize}`);
  }
  return new MaglevTable(tableSize, hotKeyOptions(options));
}

class MaglevTable implements Policy {
  readonly isKeyed = true;
  readonly #tableSize: number;
  readonly #options: Required<HotKeyOptions>;
  /** Every node of the cluster, those without places included. */
  #members: readonly Node[] = [];
  #circle = new Circle([], new Uint32Array(0));

  constructor(tableSize: number, options: Required<HotKeyOptions>) {
    this.#tableSize = tableSize;
    this.#options = options;
  }

  update(nodes: readonly Node[]): void {
    this.#members = nodes;
    // Nodes fill the table in turn: unsorted, two replicas could disagree on a place.
    const weighted = nodes.filter((node) => node.weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
    let size = this.#tableSize;
    while (size < weighted.length * PLACES_PER_NODE_MIN || !isPrime(size)) size++;
    this.#circle = new Circle(weighted, weighted.length === 0 ? new Uint32Array(0) : fillTable(weighted, size));
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    const circle = this.#circle;
    if (circle.nodes.length === 0) return undefined;
    const place = exchange.keyHash % circle.owners.length;
    const home = circle.nodes[circle.owners[place]];
    if (home.inFlight < FREE_IN_FLIGHT && eligible(home, exchange)) return home;
    return pickInOrder(circle.from(place), this.#members, exchange, eligible, this.#options);
  }

  order(keyHash: number): Node[] {
    const { owners } = this.#circle;
    return owners.length === 0 ? [] : this.#circle.order(keyHash % owners.length);
  }

  isOverLoad(node: Node, exchange: Exchange, eligible: Eligible): boolean {
    return isOverCap(node, this.#members, exchange, eligible, this.#options);
  }
}

const FREE = 0xffff_ffff;

/**
 * Each node has a permutation of all places of its own and takes, turn by turn, the first free place in it; in
 * each round a node has a turn if its share of the rounds so far, by weight, allows it, and all have one in the first.
 */
function fillTable(nodes: readonly Node[], size: number): Uint32Array {
  const table = new Uint32Array(size).fill(FREE);
  const heaviest = nodes.reduce((most, node) => Math.max(most, node.weight), 0);
  const shares = nodes.map((node) => node.weight / heaviest);
  const taken = new Float64Array(nodes.length);
  const places = new Float64Array(nodes.length);
  const skips = new Float64Array(nodes.length);
  for (const [position, node] of nodes.entries()) {
    const words = new DataView(digest16(node.id).buffer);
    places[position] = words.getUint32(0, true) % size;
    // Never 0, and prime to the size: every place comes up.
    skips[position] = (words.getUint32(4, true) % (size - 1)) + 1;
  }
  let filled = 0;
  for (let round = 0; ; round++) {
    for (let position = 0; position < nodes.length; position++) {
      if (taken[position] > round * shares[position]) continue;
      let place = places[position];
      while (table[place] !== FREE) place = (place + skips[position]) % size;
      table[place] = position;
      places[position] = place;
      taken[position]++;
      if (++filled === size) return table;
    }
  }
}

/** Is this whole number a prime? For numbers as small as table sizes. */
export function isPrime(value: number): boolean {
  if (value < 2) return false;
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}
