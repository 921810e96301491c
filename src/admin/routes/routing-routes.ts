import { TOKEN } from "../../config/value.js";
import { NODE_STATE_NAMES } from "../../core/node-states.js";
import type { RequestSketch } from "../../core/operations.js";
import { shownFieldValue } from "../../core/secrets.js";
import { RequestError } from "../admin-problem.js";
import { type AdminRoute, adminRoute, ok } from "../admin-route.js";
import { flag, list, nullable, object, text, whole, word } from "../schema.js";
import type { AdminSubject } from "./subject.js";

const ROUTE = object(
  {
    name: text(),
    hosts: list(text(), { description: "Any of these; none: every host." }),
    path: text({ description: "A prefix of whole segments, or all of the path." }),
    isExact: flag(),
    methods: list(text(), { description: "Any of these; none: every method." }),
    headers: list(object({ name: text(), value: nullable(text({ description: "null: any." })) })),
    cluster: text(),
    stripsPrefix: flag(),
    redirectsSlash: flag(),
  },
  {},
  { title: "Route" },
);

const EXPLANATION = object(
  {
    source: word(["live", "config"], { description: "live: by what is known of the nodes now." }),
    isFixed: flag({ description: "The same request comes to the same node as long as nothing changes." }),
    order: list(
      object(
        {
          id: text(),
          states: list(word(NODE_STATE_NAMES)),
          isEligible: flag({ description: "Nothing speaks against it now." }),
          reasons: list(text(), { description: "Why a request like this passes it over." }),
        },
        {
          attempt: whole({
            minimum: 1,
            description: "1: it would get the request; 2: if the first could not be dialled.",
          }),
        },
      ),
      {
        description:
          "Where the client stays, then by the order of the key; that of the list where the policy has none.",
      },
    ),
    notes: list(text(), { description: "What else is worth knowing: sentences for people." }),
  },
  {
    problem: object({ code: text(), detail: text() }),
    redirect: object({ status: whole(), location: text() }),
    route: text(),
    cluster: text(),
    policy: text(),
    key: text({ description: "The text that is hashed." }),
    keyHash: whole({ maximum: 2 ** 32 - 1, description: "Its place on the ring." }),
    sticky: object({ by: word(["cookie", "header"]) }, { node: text() }),
    node: text({ description: "Where it would go now." }),
  },
  { title: "Explanation", description: "What would become of a request." },
);

const HEADERS_MAX = 100;
const URL_LENGTH_MAX = 8192;

const SKETCH = object(
  {
    url: text({
      minLength: 1,
      maxLength: URL_LENGTH_MAX,
      description: "http://host/path?query, or /path for no particular host.",
    }),
  },
  {
    method: text({ minLength: 1, maxLength: 64, description: "Default: GET." }),
    header: list(text(), { maxItems: HEADERS_MAX, description: "Name: value; may be repeated." }),
    client: text({ maxLength: 64, description: "Address of the client. Default: 127.0.0.1." }),
  },
);

/** What requests are routed by, and what would become of one. */
export function routingRoutes({ operations, config }: AdminSubject): readonly AdminRoute[] {
  return [
    adminRoute({
      method: "GET",
      path: "/v1/routes",
      name: "listRoutes",
      summary: "Lists the routes; the most specific one that matches a request decides.",
      answers: { 200: { description: "In the order of the config.", schema: object({ routes: list(ROUTE) }) } },
      handle: () =>
        ok({
          routes: config().routes.map((route) => ({
            ...route,
            headers: route.headers.map(({ name, value }) => ({
              name,
              value: value === undefined ? null : shownFieldValue(name, value),
            })),
          })),
        }),
    }),
    adminRoute({
      method: "GET",
      path: "/v1/explain",
      name: "explain",
      summary: "Says which route, cluster, key and node a request would come to, and where it would fall back to.",
      query: SKETCH,
      answers: { 200: { description: "Nothing is sent anywhere.", schema: EXPLANATION } },
      errors: ["ERR_DRAINING"],
      handle({ query: { url, method, header, client } }) {
        const sketch: RequestSketch = {
          url,
          ...(method === undefined ? {} : { method }),
          ...(header === undefined ? {} : { headers: header.map(readField) }),
          ...(client === undefined ? {} : { client }),
        };
        const explanation = operations.explain(sketch);
        const { problem } = explanation;
        // What no client could send is a mistake of whoever asks.
        if (problem?.field !== undefined) {
          throw new RequestError(problem.detail, { parameter: problem.field === "headers" ? "header" : problem.field });
        }
        return ok(explanation);
      },
    }),
  ];
}

function readField(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(0, colon)).trim();
  if (!TOKEN.test(name)) throw new RequestError('parameter "header" must be "Name: value"', { parameter: "header" });
  return [name, line.slice(colon + 1).trim()];
}
