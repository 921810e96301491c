import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Node } from "../../src/core/node.js";
import { loadCap } from "../../src/core/policies/bounded-load.js";
import { Outcome, type Policy } from "../../src/core/policies/policy.js";
import type { PolicyName } from "../../src/core/policies/table.js";
import { BY_KEY, POLICY_NAMES, policyNamed } from "../core/every-policy.js";
import { addresses, exchangeOf, nodesOf } from "../core/small-cluster.js";

const RESPONSE_MS = 5;

const policyName = fc.constantFrom(...POLICY_NAMES);
const byKey = fc.constantFrom(...BY_KEY);
const wrrMode = fc.constantFrom("smooth" as const, "interleaved" as const);
const weight = fc.integer({ min: 1, max: 5 });
const hash = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const decimal = fc.constantFrom(1, 0.1, 0.25, 10, 3);

/** Policies whose shares are not left to hashes or chance. */
const EXACT: readonly PolicyName[] = ["weighted-round-robin", "least-loaded"];

interface Step {
  readonly hash: number;
  /** Nodes that are not eligible, by index. */
  readonly away: readonly number[];
}
const step: fc.Arbitrary<Step> = fc.record({
  hash,
  away: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.uniqueArray(fc.nat(5), { maxLength: 6 })),
});

function weighted(weights: readonly number[]): Node[] {
  const ids = addresses(weights.length);
  return nodesOf(ids, (id) => weights[ids.indexOf(id)]);
}

/** A policy with a clock that each exchange moves on by a millisecond. */
function driven(name: PolicyName, nodes: readonly Node[], mode: "smooth" | "interleaved" = "smooth") {
  let nowMs = 0;
  const policy = policyNamed(name, { now: () => nowMs, mode, tableSize: 2003 });
  policy.update(nodes);
  return {
    policy,
    /** One exchange, begun and ended. */
    exchange({ hash, away }: Step): Node | undefined {
      nowMs++;
      const node = policy.pick(exchangeOf("", hash), ({ index }) => !away.includes(index));
      if (node === undefined) return undefined;
      start(policy, node);
      end(policy, node);
      return node;
    },
  };
}

function start(policy: Policy, node: Node): void {
  node.inFlight++;
  policy.noteLoad?.(node);
}

function end(policy: Policy, node: Node): void {
  node.inFlight--;
  policy.noteLoad?.(node);
  policy.observe?.(node, Outcome.ANSWERED, RESPONSE_MS);
}

/** Hashes that are spread like those of keys. */
function hashAt(turn: number): number {
  return Math.imul(turn + 1, 0x9e3779b1) >>> 0;
}

/** How often each node is picked in so many exchanges with ever other keys. */
function countsOf(exchange: (step: Step) => Node | undefined, count: number, picks: number, away: number[] = []) {
  const counts = Array.from({ length: count }, () => 0);
  for (let turn = 0; turn < picks; turn++) {
    const node = exchange({ hash: hashAt(turn), away });
    if (node !== undefined) counts[node.index]++;
  }
  return counts;
}

describe("every policy", () => {
  it("O3: picks an eligible node with a weight whenever there is one, and else nobody", () => {
    fc.assert(
      fc.property(
        policyName,
        wrrMode,
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 6 }),
        fc.array(step, { maxLength: 60 }),
        (name, mode, weights, steps) => {
          const nodes = weighted(weights);
          const { exchange } = driven(name, nodes, mode);
          for (const each of steps) {
            const candidates = nodes.filter((node) => node.weight > 0 && !each.away.includes(node.index));
            const node = exchange(each);
            if (candidates.length === 0) assert.equal(node, undefined);
            else assert.ok(node !== undefined && candidates.includes(node), `${node?.id}`);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it("asks a node that it picks in that same pick", () => {
    fc.assert(
      fc.property(policyName, wrrMode, fc.array(step, { maxLength: 30 }), (name, mode, steps) => {
        const nodes = weighted([1, 2, 3, 1, 1, 2]);
        const { policy } = driven(name, nodes, mode);
        for (const { hash, away } of steps) {
          const asked = new Set<Node>();
          const node = policy.pick(exchangeOf("", hash), (candidate) => {
            asked.add(candidate);
            return !away.includes(candidate.index);
          });
          assert.ok(node === undefined || asked.has(node));
        }
      }),
    );
  });

  it("O5: does not notice an update that says the same", () => {
    fc.assert(
      fc.property(
        policyName,
        wrrMode,
        fc.array(weight, { minLength: 1, maxLength: 6 }),
        fc.array(fc.record({ step, updates: fc.boolean() }), { maxLength: 80 }),
        (name, mode, weights, steps) => {
          const plain = driven(name, weighted(weights), mode);
          const updated = driven(name, weighted(weights), mode);
          for (const { step, updates } of steps) {
            if (updates) updated.policy.update(weighted(weights));
            assert.equal(updated.exchange(step)?.id, plain.exchange(step)?.id);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it("O6: never picks a node after it was removed, whatever joins and changes", () => {
    const change = fc.record({
      present: fc.subarray([0, 1, 2, 3, 4, 5]),
      weight,
      steps: fc.array(step, { maxLength: 20 }),
    });
    fc.assert(
      fc.property(policyName, wrrMode, fc.array(change, { maxLength: 8 }), (name, mode, changes) => {
        const all = weighted([1, 1, 2, 3, 1, 1]);
        const { policy, exchange } = driven(name, all, mode);
        for (const { present, weight, steps } of changes) {
          const nodes = all.filter((node) => present.includes(node.index));
          for (const node of nodes) node.weight = node.index === 0 ? weight : node.weight;
          policy.update(nodes);
          for (const each of steps) {
            const node = exchange(each);
            assert.ok(node === undefined || nodes.includes(node));
            assert.equal(
              node === undefined,
              nodes.every(({ index }) => each.away.includes(index)),
            );
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("shares by weight", () => {
    fc.assert(
      fc.property(policyName, wrrMode, fc.array(weight, { minLength: 2, maxLength: 5 }), (name, mode, weights) => {
        const nodes = weighted(weights);
        const counts = countsOf(driven(name, nodes, mode).exchange, nodes.length, 6000);
        const sum = weights.reduce((total, each) => total + each, 0);
        const tolerance = EXACT.includes(name) ? 0.01 : 0.4;
        for (const [index, own] of counts.entries()) {
          const fair = (6000 * weights[index]) / sum;
          assert.ok(Math.abs(own - fair) <= fair * tolerance, `${name}: ${counts} for ${weights}`);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("shares what a dead node would have had by weight, too", () => {
    fc.assert(
      fc.property(policyName, wrrMode, fc.array(weight, { minLength: 3, maxLength: 5 }), (name, mode, weights) => {
        const nodes = weighted(weights);
        const counts = countsOf(driven(name, nodes, mode).exchange, nodes.length, 6000, [0]);
        const sum = weights.slice(1).reduce((total, each) => total + each, 0);
        const tolerance = EXACT.includes(name) ? 0.01 : 0.4;
        assert.equal(counts[0], 0);
        for (const [index, own] of counts.entries()) {
          const fair = (6000 * weights[index]) / sum;
          if (index > 0) assert.ok(Math.abs(own - fair) <= fair * tolerance, `${name}: ${counts} for ${weights}`);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("starves nobody, whatever has happened before", () => {
    fc.assert(
      fc.property(policyName, wrrMode, fc.array(step, { maxLength: 100 }), (name, mode, history) => {
        const nodes = weighted([1, 1, 2, 4, 1, 3]);
        const { exchange } = driven(name, nodes, mode);
        for (const each of history) exchange(each);
        for (const own of countsOf(exchange, nodes.length, 400)) assert.notEqual(own, 0, name);
      }),
    );
  });

  it("gives a node that comes back no burst for the time it was away", () => {
    fc.assert(
      fc.property(policyName, wrrMode, fc.nat(3), fc.integer({ min: 1, max: 3000 }), (name, mode, index, awayFor) => {
        const nodes = weighted([1, 1, 1, 1]);
        const { policy, exchange } = driven(name, nodes, mode);
        countsOf(exchange, 4, 37);
        countsOf(exchange, 4, awayFor, [index]);
        // A reload in between must not bring it back either.
        if (awayFor % 2 === 0) policy.update(weighted([1, 1, 1, 1]));
        const isByChance = name === "random" || name === "p2c-ewma" || BY_KEY.includes(name);
        const picks = isByChance ? 1000 : 40;
        const [own] = countsOf(exchange, 4, picks).slice(index);
        assert.ok(own <= (isByChance ? 350 : 11), `${name}: ${own} of ${picks}`);
      }),
      { numRuns: 200 },
    );
  });
});

describe("weighted round robin", () => {
  for (const mode of ["smooth", "interleaved"] as const) {
    it(`O1: gives every node exactly w / g of each cycle of Σw / g picks, ${mode}`, () => {
      fc.assert(
        fc.property(
          fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 8 }),
          decimal,
          (parts, unit) => {
            const nodes = weighted(parts.map((part) => part * unit));
            const { exchange } = driven("weighted-round-robin", nodes, mode);
            const divisor = parts.reduce(greatestCommonDivisor, 0) || 1;
            const cycle = parts.map((part) => part / divisor);
            const picks = cycle.reduce((sum, each) => sum + each, 0);
            for (let round = 0; round < 5; round++) assert.deepEqual(countsOf(exchange, nodes.length, picks), cycle);
          },
        ),
        { numRuns: 300 },
      );
    });
  }

  it("comes back to exact cycles after nodes were away, smooth", () => {
    fc.assert(
      fc.property(
        fc.array(weight, { minLength: 6, maxLength: 6 }),
        fc.array(step, { maxLength: 60 }),
        (parts, steps) => {
          const divisor = parts.reduce(greatestCommonDivisor, 0);
          const { exchange } = driven("weighted-round-robin", weighted(parts));
          for (const each of steps) exchange(each);
          const picks = parts.reduce((sum, each) => sum + each, 0) / divisor;
          // Those who return wait for their next turn: in the first cycle one more or less.
          countsOf(exchange, 6, picks);
          for (let round = 0; round < 3; round++) {
            for (const [index, own] of countsOf(exchange, 6, picks).entries()) {
              assert.ok(Math.abs(own - parts[index] / divisor) <= 1, `${own} of ${parts[index] / divisor}`);
            }
          }
        },
      ),
    );
  });

  it("keeps the turns of a node apart, smooth: between two of them the others have about their parts", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 6 }), (parts) => {
        const sum = parts.reduce((total, each) => total + each, 0);
        const { exchange } = driven("weighted-round-robin", weighted(parts));
        const picked = Array.from({ length: 3 * sum }, (_, turn) => exchange({ hash: turn, away: [] })!.index);
        for (const [index, part] of parts.entries()) {
          const turns = picked.flatMap((each, at) => (each === index ? [at] : []));
          for (let at = 1; at < turns.length; at++) {
            const gap = turns[at] - turns[at - 1];
            assert.ok(gap <= sum / part + parts.length, `${gap} for ${part} of ${sum}`);
          }
        }
      }),
    );
  });
});

describe("least loaded", () => {
  it("always picks an eligible node with the fewest in flight per weight", () => {
    const move = fc.record({ step, ends: fc.nat(20) });
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 }),
        fc.array(move, { maxLength: 120 }),
        (weights, moves) => {
          const nodes = weighted(weights);
          const { policy } = driven("least-loaded", nodes);
          const running: Node[] = [];
          for (const { step, ends } of moves) {
            if (ends < running.length) end(policy, running.splice(ends, 1)[0]);
            const eligible = (node: Node) => !step.away.includes(node.index);
            const loads = nodes.filter((node) => eligible(node) && node.weight > 0).map((n) => n.inFlight / n.weight);
            const node = policy.pick(exchangeOf(""), eligible);
            assert.equal(node === undefined, loads.length === 0);
            if (node === undefined) continue;
            assert.equal(node.inFlight / node.weight, Math.min(...loads));
            start(policy, node);
            running.push(node);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("policies by key", () => {
  it("send a key to the same node as long as nothing changes", () => {
    fc.assert(
      fc.property(byKey, fc.array(hash, { minLength: 1 }), (name, hashes) => {
        const { exchange } = driven(name, weighted([1, 2, 1, 3]));
        for (const each of [...hashes, ...hashes]) {
          assert.equal(exchange({ hash: each, away: [] }), exchange({ hash: each, away: [] }));
        }
      }),
    );
  });

  it("give a key one order of all nodes, in which it falls on", () => {
    fc.assert(
      fc.property(byKey, hash, fc.uniqueArray(fc.nat(5)), (name, hash, dead) => {
        const { exchange } = driven(name, weighted([1, 1, 2, 1, 1, 1]));
        const order: number[] = [];
        for (let turn = 0; turn < 6; turn++) order.push(exchange({ hash, away: order })!.index);
        const expected = order.find((index) => !dead.includes(index));
        assert.equal(exchange({ hash, away: dead })?.index, expected);
      }),
    );
  });

  it("move only the keys of a node that leaves; maglev a few more", () => {
    fc.assert(
      fc.property(byKey, fc.integer({ min: 2, max: 12 }), fc.nat(11), (name, count, leaver) => {
        const nodes = weighted(Array.from({ length: count }, () => 1));
        const rest = nodes.filter((node) => node.index !== leaver % count);
        const before = driven(name, nodes);
        const after = driven(name, rest);
        let moved = 0;
        for (let turn = 0; turn < 2000; turn++) {
          const home = before.exchange({ hash: hashAt(turn), away: [] })!;
          if (home.index === leaver % count) continue;
          if (after.exchange({ hash: hashAt(turn), away: [] })?.id !== home.id) moved++;
        }
        if (name === "maglev") assert.ok(moved < 2000 * 0.06, `${moved}`);
        else assert.equal(moved, 0);
      }),
      { numRuns: 60 },
    );
  });

  it("take no node over ⌈c · average⌉ by weight, and eight are always free, with any spread", () => {
    fc.assert(
      fc.property(
        byKey,
        fc.array(weight, { minLength: 2, maxLength: 6 }),
        fc.constantFrom(1, 1.25, 1.5, 3),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.oneof(fc.constantFrom(0, 2 ** 31), hash), { minLength: 50, maxLength: 200, size: "max" }),
        (name, weights, balanceFactor, spread, hashes) => {
          const nodes = weighted(weights);
          const policy = policyNamed(name, { balanceFactor, spread });
          policy.update(nodes);
          const sum = weights.reduce((total, each) => total + each, 0);
          for (const [inFlight, each] of hashes.entries()) {
            const node = policy.pick(exchangeOf("", each), () => true)!;
            start(policy, node);
            const cap = loadCap({ inFlight, weight: sum }, node.weight, balanceFactor);
            assert.ok(node.inFlight <= cap, `${node.inFlight} over ${cap}`);
          }
        },
      ),
    );
  });

  it("use no more than the first k nodes of a key with spread k while they are below their caps", () => {
    fc.assert(
      fc.property(byKey, fc.integer({ min: 1, max: 6 }), hash, (name, spread, hash) => {
        const nodes = weighted([1, 1, 1, 1, 1, 1]);
        const policy = policyNamed(name, { balanceFactor: 0, spread });
        policy.update(nodes);
        for (let turn = 0; turn < 120; turn++) start(policy, policy.pick(exchangeOf("", hash), () => true)!);
        const used = nodes.filter((node) => node.inFlight > 0);
        assert.equal(used.length, spread);
        for (const node of used) assert.equal(node.inFlight, 120 / spread);
      }),
    );
  });
});

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}
