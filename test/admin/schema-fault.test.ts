import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import {
  dictionary,
  list,
  nullable,
  number,
  object,
  type SchemaFields,
  text,
  whole,
  word,
} from "../../src/admin/schema.js";
import { schemaFault } from "../../src/admin/schema-fault.js";

const NODE = object(
  { node: text({ minLength: 1, maxLength: 4 }) },
  { weight: nullable(number({ minimum: 0, maximum: 10 })), mode: nullable(word(["active", "disabled"])) },
);

const SCHEMAS: readonly SchemaFields[] = [
  NODE,
  object({}, { a: whole(), b: whole({ minimum: -1, maximum: 1 }) }, { minProperties: 1 }),
  object({ items: list(NODE, { maxItems: 2 }) }),
  dictionary(list(text())),
  nullable(NODE),
];

/** Values near the schemas: the fields that they know, right and wrong. */
const near: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<unknown>(
      null,
      true,
      "",
      "a",
      "abcde",
      "𝒳𝒳𝒳𝒳",
      "𝒳𝒳𝒳𝒳𝒳",
      "active",
      0,
      -0,
      -1,
      1,
      1.5,
      10,
      10.01,
      1e300,
    ),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("node", "weight", "mode", "items", "a", "b", "__proto__", "toString"), tie("value"), {
      maxKeys: 3,
    }),
  ),
})).value;

describe("the check of a body by its schema", () => {
  it("accepts what a validator of JSON Schema accepts, and points at what is there to be found", () => {
    for (const schema of SCHEMAS) {
      const validate = new Ajv2020({ strict: false }).compile(schema);
      fc.assert(
        fc.property(near, (given) => {
          const value: unknown = JSON.parse(JSON.stringify(given));
          const fault = schemaFault(schema, value);
          assert.equal(fault === undefined, validate(value), JSON.stringify(value));
          if (fault !== undefined && fault.detail !== "must be given") assert.ok(hasPointer(value, fault.pointer));
        }),
        { numRuns: 2000 },
      );
    }
  });

  it("says what is expected in a sentence", () => {
    const rows: readonly (readonly [unknown, string, string])[] = [
      [1, "", "must be an object, got number"],
      [[], "", "must be an object, got array"],
      [{}, "/node", "must be given"],
      [{ node: "" }, "/node", "must be a text from 1 to 4 characters"],
      [{ node: "a", weight: "1" }, "/weight", "must be a number from 0 to 10, or null, got string"],
      [{ node: "a", weight: 11 }, "/weight", "must be a number from 0 to 10, or null"],
      [{ node: "a", mode: "off" }, "/mode", "must be one of active, disabled, or null"],
      [{ node: "a", "x/~": 1 }, "/x~1~0", "must be left out: there are only node, weight, mode"],
    ];
    for (const [value, pointer, detail] of rows) assert.deepEqual(schemaFault(NODE, value), { pointer, detail });
  });
});

function hasPointer(value: unknown, pointer: string): boolean {
  let at = value;
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return false;
    at = (at as Readonly<Record<string, unknown>>)[name];
  }
  return true;
}
