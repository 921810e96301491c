import type { RouteKey } from "./check-routes.js";
import { CLUSTER_OPTIONS } from "./cluster-options.js";
import { CLUSTER_NAME, ROUTE_KEYS, takesList } from "./config-file.js";
import type { OptionRow, OptionSpec } from "./option-row.js";
import { PROCESS_OPTIONS } from "./process-options.js";
import { DURATION_MS_MAX } from "./units.js";

/** A JSON Schema, as data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Whole milliseconds: fractions of a unit up to a thousandth. */
const DURATION = "^(\\d+\\s*(ms)?|\\d+(\\.\\d{1,3})?\\s*[smhd])$";
/** Whole bytes: thousandths of decimal units, quarters of binary ones. */
const SIZE = "^(\\d+\\s*[bB]?|\\d+(\\.\\d{1,3})?\\s*[kKmMgG][bB]|\\d+(\\.(25|5|75))?\\s*[kKmMgG]([iI][bB])?)$";
const DIGITS = "^\\d+$";
const DECIMAL = "^\\d+(\\.\\d+)?$";

/**
 * The config file as a JSON Schema (draft 2020-12), made from the tables of options, for editors. What it accepts the
 * program accepts, but for what it cannot know: the range of a quantity with a unit, what options say together, and
 * what a text such as a list of nodes must look like.
 */
export function configSchema(): JsonSchema {
  const clusterOptions = optionSchemas(CLUSTER_OPTIONS);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "fnlb config file",
    type: "object",
    additionalProperties: false,
    properties: {
      $schema: { description: "This schema, for editors.", type: "string" },
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
      { description: row.help, ...(row.default === "" ? {} : { default: defaultOf(row) }), ...schemaOf(row) },
    ]),
  );
}

function defaultOf({ kind, default: text }: OptionRow): unknown {
  if (kind === "switch") return text === "true";
  return kind === "count" || kind === "number" ? Number(text) : text;
}

const SCALARS = { type: ["string", "number", "boolean"] };
const SWITCH = { enum: [true, false, "true", "false", "yes", "no", "on", "off"] };

function schemaOf(spec: OptionSpec): JsonSchema {
  const { kind, choices } = spec;
  switch (kind) {
    case "duration":
      return quantity({ type: "integer", maximum: DURATION_MS_MAX }, spec, DURATION);
    case "size":
      return quantity({ type: "integer", maximum: Number.MAX_SAFE_INTEGER }, spec, SIZE);
    case "count":
      return quantity({ type: "integer", maximum: Number.MAX_SAFE_INTEGER }, spec, DIGITS);
    case "number":
      return quantity({ type: "number" }, spec, DECIMAL);
    case "switch":
      return SWITCH;
    case "choice":
      return { enum: choices };
    case "text":
    case "list":
      return takesList(spec) ? { anyOf: [SCALARS, { type: "array", items: SCALARS }] } : SCALARS;
    default:
      return kind satisfies never;
  }
}

/** A number within its range, or the same as text. */
function quantity(number: JsonSchema, { min, max, minUnlessZero }: OptionSpec, pattern: string): JsonSchema {
  const ranged = { ...number, minimum: minUnlessZero ?? min ?? 0, ...(max === undefined ? {} : { maximum: max }) };
  const zero = minUnlessZero === undefined ? [] : [{ const: 0 }];
  return { anyOf: [...zero, ranged, { type: "string", pattern }] };
}

const WORDS = { anyOf: [{ type: "string" }, { type: "array", minItems: 1, items: { type: "string" } }] };

const ROUTE_SCHEMAS: Readonly<Record<RouteKey, JsonSchema>> = {
  name: { description: "Name in errors and in the access log; route-N by default.", type: "string" },
  host: { description: "Host or hosts, such as api.example.com or *.example.com; any by default.", ...WORDS },
  path: { description: "Prefix of the path, by whole segments; any by default.", type: "string", pattern: "^/" },
  exact: { description: "The path must be equal.", ...SWITCH },
  method: { description: "Method or methods, in the case that clients send; any by default.", ...WORDS },
  header: {
    description: "Fields that must be there, each with its value, or null for any.",
    type: "object",
    additionalProperties: { type: ["string", "number", "boolean", "null"] },
  },
  cluster: { description: "Where the requests go.", type: "string" },
  "strip-prefix": { description: "Nodes see the path without the prefix.", ...SWITCH },
  "redirect-slash": { description: "GET and HEAD of the path itself are redirected to it and a slash.", ...SWITCH },
};

function routeSchemas(): JsonSchema {
  return Object.fromEntries(ROUTE_KEYS.map((key) => [key, ROUTE_SCHEMAS[key]]));
}
