import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { adminRoutes } from "../../src/admin/routes/admin-routes.js";
import { OPEN_API_SCHEMA } from "../support/open-api-schema.js";

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly security: readonly Readonly<Record<string, unknown>>[];
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>;
    readonly securitySchemes: Readonly<Record<string, unknown>>;
  };
}

/** The document as it comes out of a server: nothing of it depends on what is administered. */
async function documentOf(): Promise<Document> {
  const routes = adminRoutes({ version: "1.2.3" } as never, { files: [] } as never);
  const own = routes.find(({ name }) => name === "getOpenApi");
  const answer = await own?.handle?.({} as never);
  return JSON.parse(JSON.stringify(answer?.body)) as Document;
}

/** Every value below one, itself included. */
function* within(value: unknown): Generator<unknown> {
  yield value;
  if (typeof value !== "object" || value === null) return;
  for (const part of Object.values(value)) yield* within(part);
}

describe("the OpenAPI document, for whoever generates a client from it", () => {
  let document: Document;
  let operations: readonly (readonly [path: string, operation: Operation])[];
  before(async () => {
    document = await documentOf();
    operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.values(methods).map((operation) => [path, operation] as const),
    );
  });

  it("is what OpenAPI 3.1 demands", () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    const validate = ajv.compile(OPEN_API_SCHEMA);
    assert.ok(validate(document), ajv.errorsText(validate.errors, { separator: "\n" }));
    // The check can fail.
    for (const broken of [
      { ...document, openapi: "3.0.0" },
      { ...document, paths: { "v1/x": {} } },
      { ...document, components: { ...document.components, schemas: { Bad: { type: "text" } } } },
      JSON.parse(JSON.stringify(document).replace('"required":true,"description"', '"required":false,"description"')),
    ]) {
      assert.ok(!validate(broken));
    }
  });

  it("names each operation once", () => {
    const ids = operations.map(([, { operationId }]) => operationId);
    assert.ok(ids.length > 20);
    assert.deepEqual([...new Set(ids)], ids);
    // Generators make functions of them, in languages that know no case.
    assert.equal(new Set(ids.map((id) => id.toLowerCase())).size, ids.length);
  });

  it("declares every part of a path in braces, no others, and no parameter twice", () => {
    for (const [path, { parameters = [], operationId }] of operations) {
      const inPath = parameters.filter((one) => one.in === "path").map(({ name }) => name);
      assert.deepEqual(inPath.sort(), [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort(), operationId);
      const names = parameters.map((one) => `${one.in} ${one.name}`);
      assert.deepEqual([...new Set(names)], names, operationId);
    }
  });

  it("refers to nothing that is not there, and has nothing that nobody refers to", () => {
    const refs = [...within(document)].flatMap((value) =>
      typeof value === "object" && value !== null && "$ref" in value ? [String(value.$ref)] : [],
    );
    const there = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    assert.deepEqual([...new Set(refs)].sort(), there.sort());
    for (const [, { security, operationId }] of operations) {
      for (const name of security.flatMap((one) => Object.keys(one)))
        assert.ok(Object.hasOwn(document.components.securitySchemes, name), operationId);
    }
  });

  it("has schemas without a word that a strict reader does not know, and none that contradict themselves", () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
    ajv.addVocabulary(["openapi", "info", "servers", "paths", "components"]);
    ajv.addSchema(document, "document");
    for (const name of Object.keys(document.components.schemas)) {
      assert.doesNotThrow(() => ajv.compile({ $ref: `document#/components/schemas/${name}` }), name);
    }
  });

  it("gives two different schemas no common name", () => {
    // A name that is written twice would have the later one, without a word.
    const titled = new Map<string, string>();
    for (const route of adminRoutes({ version: "1.2.3" } as never, { files: [] } as never)) {
      for (const part of within([route.answers, route.body])) {
        if (typeof part !== "object" || part === null || !("title" in part) || !("type" in part)) continue;
        const [title, text] = [String(part.title), JSON.stringify(part)];
        assert.equal(titled.get(title) ?? text, text, title);
        titled.set(title, text);
      }
    }
    assert.ok(titled.size > 10);
  });
});
