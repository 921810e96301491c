import { STATUS_CODES } from "node:http";
import { type ErrorCode, HTTP_STATUS } from "../errors.js";
import { PROBLEM, PROBLEM_TYPE } from "./admin-problem.js";
import { type AdminRoute, type AnswerSpec, adminRoute, ok } from "./admin-route.js";
import { anything, type SchemaFields } from "./schema.js";

/** A part of the document, as data. */
type Json = Readonly<Record<string, unknown>>;

/** What any request may be answered with. */
const ALWAYS: readonly ErrorCode[] = ["ERR_BAD_REQUEST"];
const UNLESS_PROBE: readonly ErrorCode[] = ["ERR_AT_CAPACITY"];
const WHERE_GUARDED: readonly ErrorCode[] = ["ERR_UNAUTHORIZED", "ERR_FORBIDDEN"];
/** What the server says before it knows which operation is meant, and what is a mistake of ours: the default response. */
const OF_ANY: readonly ErrorCode[] = ["ERR_METHOD", "ERR_REQUEST_TIMEOUT", "ERR_HEAD_TOO_LARGE", "ERR_INTERNAL"];
const WITH_BODY: readonly ErrorCode[] = ["ERR_BODY_TOO_LARGE", "ERR_MEDIA_TYPE"];

/** Describes these routes and itself (OpenAPI 3.1). */
export function openApiRoute(routes: readonly AdminRoute[], version: string): AdminRoute {
  const own = adminRoute({
    method: "GET",
    path: "/v1/openapi.json",
    name: "getOpenApi",
    summary: "Describes all of this.",
    answers: { 200: { description: "An OpenAPI 3.1 document.", schema: anything() } },
    handle: () => ok(document),
  });
  const document = openApi([...routes, own], version);
  return own;
}

/** The table of routes as an OpenAPI 3.1 document. */
export function openApi(routes: readonly AdminRoute[], version: string): Json {
  const schemas: Record<string, unknown> = {};
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    if (route.isUnlisted === true) continue;
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "fnlb admin API", version, license: { name: "MIT", identifier: "MIT" } },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "--admin-token" },
        certificate: { type: "mutualTLS", description: "Of --admin-client-ca." },
      },
    },
  };
}

function operationOf(route: AdminRoute, schemas: Record<string, unknown>): Json {
  const { name, summary, isPublic = false, body } = route;
  const parameters = [...pathParameters(route), ...queryParameters(route, schemas)];
  return {
    operationId: name,
    summary,
    // Any of them; none where neither a token nor certificates are asked for.
    security: isPublic ? [] : [{}, { token: [] }, { certificate: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, schemas) } } } }),
    responses: responsesOf(route, schemas),
  };
}

function pathParameters({ params = {} }: AdminRoute): Json[] {
  return Object.entries(params).map(([name, description]) => ({
    name,
    in: "path",
    required: true,
    description,
    schema: { type: "string" },
  }));
}

function queryParameters({ query }: AdminRoute, schemas: Record<string, unknown>): Json[] {
  return Object.entries(query?.properties ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: query?.required?.includes(name) ?? false,
    ...(schema.description === undefined ? {} : { description: schema.description }),
    schema: schemaOf(schema, schemas),
  }));
}

function responsesOf(route: AdminRoute, schemas: Record<string, unknown>): Json {
  const { answers, errors = [], body, isPublic = false, isProbe = false } = route;
  const responses: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(answers)) responses[status] = responseOf(answer, schemas);
  const codes = [
    ...ALWAYS,
    ...(isProbe ? [] : UNLESS_PROBE),
    ...(isPublic ? [] : WHERE_GUARDED),
    ...(body === undefined ? [] : WITH_BODY),
    ...errors,
  ];
  const problem = { [PROBLEM_TYPE]: { schema: schemaOf(PROBLEM, schemas) } };
  for (const status of new Set(codes.map((code) => HTTP_STATUS[code]))) {
    const named = codes.filter((code) => HTTP_STATUS[code] === status);
    const before = responses[status] as { readonly description: string; readonly content?: Json } | undefined;
    responses[status] = {
      description: [before?.description ?? STATUS_CODES[status], ...named].join(" "),
      content: { ...before?.content, ...problem },
    };
  }
  const others = OF_ANY.map((code) => `${code} (${HTTP_STATUS[code]})`).join(", ");
  return { ...responses, default: { description: `Anything else: ${others}.`, content: problem } };
}

function responseOf({ description, schema, types = [] }: AnswerSpec, schemas: Record<string, unknown>): Json {
  const content: Record<string, unknown> = {};
  if (schema !== undefined) content["application/json"] = { schema: schemaOf(schema, schemas) };
  for (const type of types) content[type] = { schema: { type: "string" } };
  return Object.keys(content).length === 0 ? { description } : { description, content };
}

/** Schemas with a title stand among the components, and are referred to. */
function schemaOf(schema: SchemaFields, schemas: Record<string, unknown>): Json {
  const { title, properties, items, additionalProperties, ...rest } = schema;
  const whole: Record<string, unknown> = { ...rest };
  if (properties !== undefined) {
    whole.properties = Object.fromEntries(
      Object.entries(properties).map(([name, field]) => [name, schemaOf(field, schemas)]),
    );
  }
  if (items !== undefined) whole.items = schemaOf(items, schemas);
  if (additionalProperties !== undefined) {
    whole.additionalProperties = additionalProperties === false ? false : schemaOf(additionalProperties, schemas);
  }
  if (title === undefined) return whole;
  schemas[title] = whole;
  return { $ref: `#/components/schemas/${title}` };
}
