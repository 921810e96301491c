import type { SchemaFields } from "./schema.js";

/** What is wrong with a value, and where. */
export interface SchemaFault {
  /** To the place in the value (RFC 6901): "" is all of it, `/node` a field. */
  readonly pointer: string;
  /** `must be a number from 0 to 1000`. */
  readonly detail: string;
}

/** The first thing that a schema does not accept in a value that JSON can say; undefined: all is well. */
export function schemaFault(schema: SchemaFields, value: unknown, pointer = ""): SchemaFault | undefined {
  const kind = kindOf(value);
  const { type } = schema;
  const types = type === undefined ? undefined : typeof type === "string" ? [type] : type;
  if (types !== undefined && !types.some((one) => one === kind || (one === "number" && kind === "integer"))) {
    return { pointer, detail: `must be ${expected(schema)}, got ${kind === "integer" ? "number" : kind}` };
  }
  if (schema.enum !== undefined && !schema.enum.some((one) => one === value)) {
    return { pointer, detail: `must be ${expected(schema)}` };
  }
  if (typeof value === "string") return textFault(schema, value, pointer);
  if (typeof value === "number") return numberFault(schema, value, pointer);
  if (Array.isArray(value)) return listFault(schema, value, pointer);
  if (typeof value === "object" && value !== null) return objectFault(schema, value, pointer);
  return undefined;
}

function textFault(schema: SchemaFields, value: string, pointer: string): SchemaFault | undefined {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema;
  // In characters, as JSON Schema counts them.
  const length = value.length < minLength * 2 || value.length > maxLength ? [...value].length : value.length;
  return length < minLength || length > maxLength ? { pointer, detail: `must be ${expected(schema)}` } : undefined;
}

function numberFault(schema: SchemaFields, value: number, pointer: string): SchemaFault | undefined {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  return value < minimum || value > maximum ? { pointer, detail: `must be ${expected(schema)}` } : undefined;
}

function listFault({ items, maxItems }: SchemaFields, value: readonly unknown[], pointer: string) {
  if (maxItems !== undefined && value.length > maxItems)
    return { pointer, detail: `must have at most ${maxItems} items` };
  if (items === undefined) return undefined;
  for (const [index, item] of value.entries()) {
    const fault = schemaFault(items, item, `${pointer}/${index}`);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function objectFault(schema: SchemaFields, value: object, pointer: string): SchemaFault | undefined {
  const { properties = {}, required = [], additionalProperties, minProperties = 0 } = schema;
  for (const [name, field] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    const at = `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (known === false) return { pointer: at, detail: `must be left out: there are only ${namesOf(properties)}` };
    const fault = known === undefined ? undefined : schemaFault(known, field, at);
    if (fault !== undefined) return fault;
  }
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return { pointer: `${pointer}/${missing}`, detail: "must be given" };
  if (Object.keys(value).length >= minProperties) return undefined;
  return { pointer, detail: `must have one or more of ${namesOf(properties)}` };
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

function namesOf(properties: object): string {
  return Object.keys(properties).join(", ") || "none";
}

/** `a number from 0 to 1000, or null`. */
function expected({ type, enum: words, minimum, maximum, minLength = 0, maxLength }: SchemaFields): string {
  if (words !== undefined) return `one of ${words.join(", ")}`;
  const [first, ...others] = typeof type === "string" ? [type] : (type ?? []);
  const orNull = others.length > 0 ? `, or ${others.join(", or ")}` : "";
  return `${NAMES[first] ?? first}${rangeOf(minimum, maximum, "")}${rangeOf(minLength || undefined, maxLength, " characters")}${orNull}`;
}

const NAMES: Readonly<Record<string, string>> = {
  object: "an object",
  array: "a list",
  string: "a text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
};

function rangeOf(from: number | undefined, to: number | undefined, unit: string): string {
  if (from === undefined) return to === undefined ? "" : ` up to ${to}${unit}`;
  return to === undefined ? ` from ${from}${unit} upwards` : ` from ${from} to ${to}${unit}`;
}
