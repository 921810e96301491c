import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { mergeNodes, type NodeEdit } from "../../src/core/registry.js";

interface PlainNode {
  readonly id: string;
  readonly weight: number;
}

const id = fc.constantFrom(..."abcdefgh");
const node: fc.Arbitrary<PlainNode> = fc.record({ id, weight: fc.nat(9) });
const edit: fc.Arbitrary<NodeEdit> = fc.record(
  {
    presence: fc.constantFrom("added" as const, "removed" as const),
    weight: fc.nat(9),
    mode: fc.constantFrom("draining" as const, "disabled" as const),
  },
  { requiredKeys: [] },
);
const named = fc.array(node, { maxLength: 10 });
const edits = fc.array(fc.tuple(id, edit), { maxLength: 10 }).map((entries) => new Map(entries));
/** Whoever is called h cannot be made. */
const nodeOf = (wanted: string): PlainNode | undefined => (wanted === "h" ? undefined : { id: wanted, weight: 1 });

describe("merged nodes", () => {
  it("are what is named where nobody has said anything", () => {
    fc.assert(
      fc.property(fc.uniqueArray(node, { selector: (one) => one.id }), (given) => {
        const nodes = mergeNodes({ named: given, edits: new Map(), nodeOf });
        assert.deepEqual(
          nodes,
          given.map((one) => ({ ...one, mode: "active" })),
        );
      }),
    );
  });

  it("are each there once, and there exactly if operators or else the names say so", () => {
    fc.assert(
      fc.property(named, edits, (given, said) => {
        const ids = mergeNodes({ named: given, edits: said, nodeOf }).map((one) => one.id);
        assert.equal(new Set(ids).size, ids.length);
        for (const one of "abcdefgh") {
          const presence = said.get(one)?.presence;
          const isNamed = given.some((other) => other.id === one);
          const isThere = presence === "removed" ? false : isNamed || (presence === "added" && one !== "h");
          assert.equal(ids.includes(one), isThere, `${one} is ${presence}`);
        }
      }),
    );
  });

  it("have the weights and modes that operators gave them, else their own", () => {
    fc.assert(
      fc.property(named, edits, (given, said) => {
        for (const one of mergeNodes({ named: given, edits: said, nodeOf })) {
          const own = given.find((other) => other.id === one.id) ?? nodeOf(one.id);
          assert.equal(one.weight, said.get(one.id)?.weight ?? own?.weight);
          assert.equal(one.mode, said.get(one.id)?.mode ?? "active");
        }
      }),
    );
  });

  it("come in the order of the names, then by id, whenever what was said", () => {
    fc.assert(
      fc.property(named, edits, fc.integer(), (given, said, seed) => {
        const nodes = mergeNodes({ named: given, edits: said, nodeOf });
        const order = given.map((one) => one.id);
        const known = nodes.filter((one) => order.includes(one.id)).map((one) => order.indexOf(one.id));
        assert.deepEqual(
          known,
          [...known].sort((one, other) => one - other),
        );
        const added = nodes.slice(known.length).map((one) => one.id);
        assert.deepEqual(added, [...added].sort());
        const entries = [...said];
        const shuffled = new Map([...entries.slice(seed % 7), ...entries.slice(0, seed % 7)]);
        assert.deepEqual(mergeNodes({ named: given, edits: shuffled, nodeOf }), nodes);
      }),
    );
  });
});
