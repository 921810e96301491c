import { RequestError } from "./admin-problem.js";
import type { SchemaFields } from "./schema.js";
import { schemaFault } from "./schema-fault.js";

const PARAMETERS_MAX = 256;

/**
 * A query by the schema of its parameters: each once unless it is a list, `+` is a space, numbers are numbers. Throws
 * `ERR_BAD_REQUEST` with the name of the parameter.
 */
export function readQuery(schema: SchemaFields, query: string): Readonly<Record<string, unknown>> {
  const { properties = {}, required = [] } = schema;
  const values = new Map<string, unknown>();
  const parts = query.split("&").filter((part) => part !== "");
  if (parts.length > PARAMETERS_MAX) throw new RequestError(`the query must have at most ${PARAMETERS_MAX} parameters`);
  for (const part of parts) {
    const equals = part.indexOf("=");
    const name = decode(equals < 0 ? part : part.slice(0, equals), "the query");
    const text = equals < 0 ? "" : decode(part.slice(equals + 1), name);
    if (!Object.hasOwn(properties, name)) {
      const known = Object.keys(properties).join(", ");
      const others = known === "" ? "there are none" : `there are only ${known}`;
      throw new RequestError(`parameter "${name}" must be left out: ${others}`, { parameter: name });
    }
    const { type, items } = properties[name];
    if (type === "array") {
      values.set(name, [...((values.get(name) as unknown[] | undefined) ?? []), parameterValue(items ?? {}, text)]);
      continue;
    }
    if (values.has(name)) throw new RequestError(`parameter "${name}" must be given once`, { parameter: name });
    values.set(name, parameterValue(properties[name], text));
  }
  for (const name of required) {
    if (!values.has(name)) throw new RequestError(`parameter "${name}" must be given`, { parameter: name });
  }
  for (const [name, value] of values) {
    const fault = schemaFault(properties[name], value);
    if (fault !== undefined) throw new RequestError(`parameter "${name}" ${fault.detail}`, { parameter: name });
  }
  return Object.fromEntries(values);
}

/** Text stays text where it is none of what is wished, for the schema to refuse it. */
function parameterValue({ type }: SchemaFields, text: string): unknown {
  const isNumber = type === "number" || type === "integer";
  return isNumber && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : text;
}

function decode(text: string, name: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new RequestError(`${name} must be percent-encoded UTF-8`, { parameter: name });
  }
}
