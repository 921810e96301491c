// Hot path: a pick is the next of a prepared list; it allocates nothing while all are eligible.
import type { Exchange } from "../exchange.js";
import type { Node } from "../node.js";
import type { Eligible, Policy } from "./policy.js";
import { wholeWeights } from "./whole-weights.js";

interface Member {
  readonly node: Node;
  readonly position: number;
  readonly whole: number;
  isEligible: boolean;
}

/**
 * The interleaved weighted round robin of LVS, as oxy has it: a level goes down from the highest weight to 1,
 * and at each level every node of at least that weight has one turn, in the order of the list.
 *
 * The nodes of a level are listed once, when the level comes to a weight that some node has. A level gives at
 * least as many picks as it lists nodes, so that this costs a pick little and nothing when weights are equal.
 */
export class InterleavedTurns implements Policy {
  #members: readonly Member[] = [];
  #unit = 1;
  /** 0 before the first pick. */
  #level = 0;
  /** The members of this level, by position. */
  #listed: Member[] = [];
  /** The highest weight below those that are listed. */
  #nextWeight = 0;
  /** The next turn in `#listed`. */
  #at = 0;
  /** Position of the member that had the latest turn at this level, -1 before the first one. */
  #latest = -1;

  update(nodes: readonly Node[]): void {
    const weighted = nodes.filter((node) => node.weight > 0);
    const { whole, unit } = wholeWeights(weighted.map((node) => node.weight));
    const positions = new Map(weighted.map((node, position) => [node.id, position]));
    // Behind the node whose turn was the latest, or behind the one before it in the list, if it has left.
    let latest = -1;
    for (let position = this.#latest; position >= 0 && latest < 0; position--) {
      latest = positions.get(this.#members[position].node.id) ?? -1;
    }
    const level = Math.ceil((this.#level * this.#unit) / unit - ROUNDING);
    this.#members = weighted.map((node, position) => ({ node, position, whole: whole[position], isEligible: true }));
    this.#unit = unit;
    this.#latest = latest;
    const heaviest = this.#heaviest();
    this.#list(level > 0 ? Math.min(level, heaviest) : heaviest);
    while (this.#at < this.#listed.length && this.#listed[this.#at].position <= latest) this.#at++;
  }

  pick(exchange: Exchange, eligible: Eligible): Node | undefined {
    if (this.#members.length === 0) return undefined;
    if (this.#at >= this.#listed.length) this.#enter(this.#level > 1 ? this.#level - 1 : this.#heaviest());
    const member = this.#listed[this.#at];
    if (!eligible(member.node, exchange)) return this.#pickAmong(exchange, eligible);
    return this.#take();
  }

  /** Somebody is not eligible: the same walk as if the others were alone. Looks at all, but at each once. */
  #pickAmong(exchange: Exchange, eligible: Eligible): Node | undefined {
    let heaviest = 0;
    for (const member of this.#members) {
      member.isEligible = eligible(member.node, exchange);
      if (member.isEligible && member.whole > heaviest) heaviest = member.whole;
    }
    if (heaviest === 0) return undefined;
    this.#skip();
    if (this.#at < this.#listed.length) return this.#take();
    // Levels at which only others have turns are passed over.
    this.#enter(Math.min(this.#level > 1 ? this.#level - 1 : heaviest, heaviest));
    this.#skip();
    return this.#take();
  }

  #skip(): void {
    while (this.#at < this.#listed.length && !this.#listed[this.#at].isEligible) this.#at++;
  }

  #take(): Node {
    const member = this.#listed[this.#at++];
    this.#latest = member.position;
    return member.node;
  }

  #enter(level: number): void {
    if (level > this.#level || level <= this.#nextWeight) this.#list(level);
    this.#level = level;
    this.#at = 0;
    this.#latest = -1;
  }

  #list(level: number): void {
    this.#level = level;
    this.#at = 0;
    this.#listed = this.#members.filter(({ whole }) => whole >= level);
    this.#nextWeight = 0;
    for (const { whole } of this.#members) {
      if (whole < level && whole > this.#nextWeight) this.#nextWeight = whole;
    }
  }

  #heaviest(): number {
    let heaviest = 0;
    for (const { whole } of this.#members) if (whole > heaviest) heaviest = whole;
    return heaviest;
  }
}

/** A level is a whole number of units, whatever a division made of it. */
const ROUNDING = 1e-6;
