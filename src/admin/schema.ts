/** The part of JSON Schema (draft 2020-12) that the admin API is described in; what it is given is checked by the same. */
export interface SchemaFields {
  /** Named in the OpenAPI document, and referred to from elsewhere. */
  readonly title?: string;
  readonly description?: string;
  readonly type?: SchemaType | readonly SchemaType[];
  readonly enum?: readonly (string | null)[];
  readonly properties?: Readonly<Record<string, SchemaFields>>;
  readonly required?: readonly string[];
  /** False: no others. A schema: what the others are. */
  readonly additionalProperties?: false | SchemaFields;
  readonly minProperties?: number;
  readonly items?: SchemaFields;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

type SchemaType = "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";

declare const VALUE: unique symbol;

/** A schema, and the type of what it accepts, so that code and document cannot say different things. */
export type Schema<T> = SchemaFields & { readonly [VALUE]?: T };

/** What a schema accepts. */
export type ValueOf<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown>>>;
type ObjectOf<Required extends Fields, Optional extends Fields> = {
  readonly [Name in keyof Required]: ValueOf<Required[Name]>;
} & { readonly [Name in keyof Optional]?: ValueOf<Optional[Name]> };

type Limits<Names extends keyof SchemaFields> = Pick<SchemaFields, Names | "title" | "description">;

export function text(limits: Limits<"minLength" | "maxLength"> = {}): Schema<string> {
  return { type: "string", ...limits };
}

export function number(limits: Limits<"minimum" | "maximum"> = {}): Schema<number> {
  return { type: "number", ...limits };
}

/** A whole number, 0 or more unless the limits say otherwise. */
export function whole(limits: Limits<"minimum" | "maximum"> = {}): Schema<number> {
  return { type: "integer", minimum: 0, ...limits };
}

export function flag(limits: Limits<never> = {}): Schema<boolean> {
  return { type: "boolean", ...limits };
}

/** One of a few words. */
export function word<const Word extends string>(words: readonly Word[], limits: Limits<never> = {}): Schema<Word> {
  return { type: "string", enum: words, ...limits };
}

export function list<T>(items: Schema<T>, limits: Limits<"maxItems"> = {}): Schema<readonly T[]> {
  return { type: "array", items, ...limits };
}

/** Anything that JSON can say. */
export function anything(limits: Limits<never> = {}): Schema<unknown> {
  return limits;
}

/** Values by names that are not known beforehand. */
export function dictionary<T>(values: Schema<T>, limits: Limits<never> = {}): Schema<Readonly<Record<string, T>>> {
  return { type: "object", additionalProperties: values, ...limits };
}

/** These fields and no others. */
export function object<Required extends Fields, Optional extends Fields = Record<never, never>>(
  required: Required,
  optional?: Optional,
  limits: Limits<"minProperties"> = {},
): Schema<ObjectOf<Required, Optional>> {
  const properties = { ...required, ...optional };
  return { type: "object", properties, required: Object.keys(required), additionalProperties: false, ...limits };
}

/** The same, or null. */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  const { type, title: _, ...rest } = schema;
  // Several types share one list of words, on which null must stand as well.
  const words = schema.enum === undefined ? {} : { enum: [...schema.enum, null] };
  return { ...rest, ...words, type: [type as SchemaType, "null"] };
}
