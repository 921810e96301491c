import type { RouteKey } from "./check-routes.js";
import { CLUSTER_OPTIONS } from "./cluster-options.js";
import { CLUSTER_NAME, ROUTE_KEYS } from "./config-file.js";
import type { OptionRow, OptionSpec } from "./option-row.js";
import { PROCESS_OPTIONS } from "./process-options.js";

/** A JSON Schema, as data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const DURATION = "^\\d+(\\.\\d+)?\\s*(ms|s|m|h|d)?$";
const SIZE = "^\\d+(\\.\\d+)?\\s*([bB]|[kKmMgG]([iI]?[bB])?)?$";

/**
 * The config file as a JSON Schema (draft 2020-12), made from the tables of options, for editors. The program itself
 * knows more: what options say together, and what text such as the list of nodes must look like.
 */
export function configSchema(): JsonSchema {
  const clusterOptions = optionSchemas(CLUSTER_OPTIONS);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "fnlb config file",
    type: "object",
    additionalProperties: false,
    properties: {
      ...optionSchemas(PROCESS_OPTIONS),
      ...clusterOptions,
      clusters: {
        description: "Clusters by name, with the options that are theirs alone.",
        type: "object",
        propertyNames: { pattern: CLUSTER_NAME },
        additionalProperties: { type: "object", additionalProperties: false, properties: clusterOptions },
      },
      routes: {
        description: "Which requests go to which cluster; the most specific route decides.",
        type: "array",
        items: { type: "object", additionalProperties: false, required: ["cluster"], properties: routeSchemas() },
      },
    },
  };
}

function optionSchemas(table: Readonly<Record<string, OptionRow>>): JsonSchema {
  return Object.fromEntries(
    Object.entries(table).map(([name, row]) => [
      name,
      { description: row.help, ...(row.default === "" ? {} : { default: row.default }), ...schemaOf(row) },
    ]),
  );
}

const SCALARS = { type: ["string", "number", "boolean"] };

function schemaOf({ kind, min, max, choices }: OptionSpec): JsonSchema {
  const range = { ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) };
  switch (kind) {
    case "duration":
      return {
        anyOf: [
          { type: "string", pattern: DURATION },
          { type: "number", minimum: 0, ...range },
        ],
      };
    case "size":
      return {
        anyOf: [
          { type: "string", pattern: SIZE },
          { type: "number", minimum: 0, ...range },
        ],
      };
    case "count":
      return { type: "integer", minimum: 0, ...range };
    case "number":
      return { type: "number", minimum: 0, ...range };
    case "switch":
      return { type: "boolean" };
    case "choice":
      return { enum: choices };
    case "text":
    case "list":
      return { anyOf: [SCALARS, { type: "array", minItems: 1, items: SCALARS }] };
    default:
      return kind satisfies never;
  }
}

const WORDS = { anyOf: [{ type: "string" }, { type: "array", minItems: 1, items: { type: "string" } }] };

const ROUTE_SCHEMAS: Readonly<Record<RouteKey, JsonSchema>> = {
  name: { description: "Name in errors and in the access log; its place by default.", type: "string" },
  host: { description: "Host or hosts, such as api.example.com or *.example.com; any by default.", ...WORDS },
  path: { description: "Prefix of the path, by whole segments; any by default.", type: "string", pattern: "^/" },
  exact: { description: "The path must be equal.", type: "boolean" },
  method: { description: "Method or methods; any by default.", ...WORDS },
  header: {
    description: "Fields that must be there, each with its value, or null for any.",
    type: "object",
    additionalProperties: { type: ["string", "number", "boolean", "null"] },
  },
  cluster: { description: "Where the requests go.", type: "string" },
  "strip-prefix": { description: "Nodes see the path without the prefix.", type: "boolean" },
  "redirect-slash": {
    description: "The path without its last slash is redirected to the path with it.",
    type: "boolean",
  },
};

function routeSchemas(): JsonSchema {
  return Object.fromEntries(ROUTE_KEYS.map((key) => [key, ROUTE_SCHEMAS[key]]));
}
