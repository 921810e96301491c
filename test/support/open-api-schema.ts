/**
 * What OpenAPI 3.1.0 demands of a document (spec.openapis.org/oas/v3.1.0), as far as ours goes: fields that it does not use
 * are refused, so that whoever uses one writes down here what it must be.
 */
const closed = (properties: Readonly<Record<string, unknown>>, required: readonly string[]) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

const TEXT = { type: "string", minLength: 1 };
const CONTENT = {
  type: "object",
  propertyNames: { pattern: "^[a-z]+/[a-z0-9.+-]+" },
  additionalProperties: closed({ schema: { $ref: "#/$defs/schema" } }, ["schema"]),
  minProperties: 1,
};
const RESPONSE = closed({ description: TEXT, content: CONTENT }, ["description"]);
const PARAMETER = {
  ...closed(
    {
      name: TEXT,
      in: { enum: ["path", "query"] },
      required: { type: "boolean" },
      description: TEXT,
      schema: { $ref: "#/$defs/schema" },
    },
    ["name", "in", "schema"],
  ),
  if: { properties: { in: { const: "path" } } },
  // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema.
  then: { properties: { required: { const: true } }, required: ["required"] },
};
const OPERATION = closed(
  {
    operationId: { type: "string", pattern: "^[a-z][A-Za-z]*$" },
    summary: { type: "string", pattern: "\\.$" },
    security: { type: "array", items: { type: "object", additionalProperties: { type: "array" } } },
    parameters: { type: "array", items: PARAMETER, minItems: 1 },
    requestBody: closed({ required: { const: true }, content: CONTENT }, ["required", "content"]),
    responses: {
      type: "object",
      propertyNames: { pattern: "^(?:[1-5]\\d\\d|default)$" },
      additionalProperties: RESPONSE,
      required: ["default"],
      minProperties: 2,
    },
  },
  ["operationId", "summary", "security", "responses"],
);
const METHODS = ["get", "put", "post", "delete", "patch"];

export const OPEN_API_SCHEMA = {
  $defs: {
    // Any, or one that is the schema of schemas of its dialect.
    schema: {
      anyOf: [{ $ref: "https://json-schema.org/draft/2020-12/schema" }],
      if: { required: ["$ref"] },
      // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema.
      then: { properties: { $ref: { pattern: "^#/components/schemas/[A-Za-z]+$" } } },
    },
  },
  ...closed(
    {
      openapi: { const: "3.1.0" },
      info: closed({ title: TEXT, version: TEXT, license: closed({ name: TEXT, identifier: TEXT }, ["name"]) }, [
        "title",
        "version",
      ]),
      servers: { type: "array", items: closed({ url: TEXT }, ["url"]) },
      paths: {
        type: "object",
        propertyNames: { pattern: "^/" },
        additionalProperties: closed(Object.fromEntries(METHODS.map((method) => [method, OPERATION])), []),
      },
      components: closed(
        {
          schemas: {
            type: "object",
            propertyNames: { pattern: "^[A-Za-z]+$" },
            additionalProperties: { $ref: "#/$defs/schema" },
          },
          securitySchemes: {
            type: "object",
            additionalProperties: {
              oneOf: [
                closed({ type: { const: "http" }, scheme: { const: "bearer" }, description: TEXT }, ["type", "scheme"]),
                closed({ type: { const: "mutualTLS" }, description: TEXT }, ["type"]),
              ],
            },
          },
        },
        ["schemas", "securitySchemes"],
      ),
    },
    ["openapi", "info", "paths", "components"],
  ),
};
