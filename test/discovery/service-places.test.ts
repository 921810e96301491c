import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ServiceRecord } from "../../src/core/lookup.js";
import { chosenServices } from "../../src/discovery/service-places.js";

const at = (target: string, priority = 0, weight = 0, port = 80): ServiceRecord => ({ target, port, priority, weight });

const shares = (records: readonly ServiceRecord[]) =>
  chosenServices(records).map((group) => group.map(({ target, weight }) => `${target}=${weight}`));

describe("the places of a service", () => {
  it("come by priority, the lowest number first", () => {
    assert.deepEqual(shares([at("c", 20), at("a", 10), at("b", 10)]), [["a=1", "b=1"], ["c=1"]]);
  });

  it("have weights relative to the heaviest of their priority", () => {
    assert.deepEqual(shares([at("a", 0, 10), at("b", 0, 60), at("c", 1, 7)]), [["a=0.17", "b=1"], ["c=1"]]);
    assert.deepEqual(shares([at("a", 0, 1), at("b", 0, 65_535)]), [["a=0.01", "b=1"]]);
  });

  it("weigh the same however many equal ones there are", () => {
    assert.deepEqual(shares([at("a", 0, 25), at("b", 0, 25)]), shares([at("a", 0, 20), at("b", 0, 20)]));
  });

  it("get a very small share for a weight of 0 beside others, and an equal one among their like", () => {
    assert.deepEqual(shares([at("a", 0, 0), at("b", 0, 5)]), [["a=0.01", "b=1"]]);
    assert.deepEqual(shares([at("a", 0, 0), at("b", 0, 0)]), [["a=1", "b=1"]]);
  });

  it("are left out when they are the root, have port 0, or no host's name", () => {
    assert.deepEqual(chosenServices([at(""), at("."), at("a", 0, 0, 0), at("a b"), at("-x")]), []);
    assert.deepEqual(shares([at("A.Example.")]), [["a.example=1"]]);
  });

  it("have weights from 0.01 to 1, the heaviest of each priority 1", () => {
    const record = fc.record({
      target: fc.constantFrom("a", "b", "c"),
      port: fc.integer({ min: 1, max: 65_535 }),
      priority: fc.nat(3),
      weight: fc.nat(65_535),
    });
    fc.assert(
      fc.property(fc.array(record), (records) => {
        for (const group of chosenServices(records)) {
          assert.equal(Math.max(...group.map(({ weight }) => weight)), 1);
          assert.ok(group.every(({ weight }) => weight >= 0.01 && weight <= 1));
        }
      }),
    );
  });
});
