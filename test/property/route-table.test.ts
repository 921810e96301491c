import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkRoutes } from "../../src/config/check-routes.js";
import type { RouteConfig } from "../../src/config/routes.js";
import { RouteTable } from "../../src/proxy/route-table.js";
import { parsedRequest, routeTo } from "../support/routed-request.js";

const SEED = 20_240_229;
const RUNS = 3000;

interface Request {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly isAbsolute: boolean;
}

/** One host of one route, and how specific the two are together: the comparison goes from left to right, larger first. */
interface Variant {
  readonly route: RouteConfig;
  readonly host: string;
  readonly rank: readonly number[];
}

/** What the documentation says, and nothing else: sort all by how specific they are, take the first that fits. */
function referenceRoute(routes: readonly RouteConfig[], request: Request): RouteConfig | undefined {
  const variants = routes.flatMap((route, index) =>
    (route.hosts.length === 0 ? [""] : route.hosts).map((host) => ({ route, host, rank: rankOf(route, host, index) })),
  );
  variants.sort((a, b) => {
    const place = a.rank.findIndex((value, index) => value !== b.rank[index]);
    return place < 0 ? 0 : b.rank[place] - a.rank[place];
  });
  return variants.find((variant) => fits(variant, request))?.route;
}

function rankOf({ path, isExact, methods, headers }: RouteConfig, host: string, index: number): number[] {
  const [name, port] = host.split(":");
  const hostRank = host === "" ? 0 : name.startsWith("*.") ? name.length : Number.POSITIVE_INFINITY;
  return [
    hostRank,
    port === undefined ? 0 : 1,
    isExact ? 1 : 0,
    path.length,
    methods.length > 0 ? 1 : 0,
    headers.length,
    headers.filter(({ value }) => value !== undefined).length,
    -index,
  ];
}

function fits({ route, host }: Variant, request: Request): boolean {
  const { path, isExact, methods, headers } = route;
  const isPathTaken = isExact
    ? request.path === path
    : request.path === path || request.path.startsWith(path.endsWith("/") ? path : `${path}/`);
  return (
    isHostTaken(host, request.host) &&
    isPathTaken &&
    (methods.length === 0 || methods.includes(request.method)) &&
    headers.every(({ name, value }) =>
      request.fields.some(
        (field) => field[0].toLowerCase() === name.toLowerCase() && (value === undefined || field[1] === value),
      ),
    )
  );
}

function isHostTaken(pattern: string, host: string): boolean {
  if (pattern === "") return true;
  const [name, port] = pattern.toLowerCase().split(":");
  const [hostName, hostPort] = host.toLowerCase().split(":");
  const bare = hostName.replace(/\.$/, "");
  if (port !== undefined && port !== hostPort) return false;
  return name.startsWith("*.") ? bare.endsWith(name.slice(1)) && bare.length >= name.length : bare === name;
}

const label = fc.constantFrom("a", "b", "ab");
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const port = fc.constantFrom("", "", ":80", ":81");
const pattern = fc.tuple(fc.constantFrom("", "*."), name, port).map((parts) => parts.join(""));
const host = fc.tuple(fc.constantFrom("", "", "", "."), name, fc.constantFrom("", "", "."), port);
const anyCase = (text: string, bits: number) =>
  [...text].map((letter, index) => ((bits >> (index & 15)) & 1 ? letter.toUpperCase() : letter)).join("");
const path = fc
  .array(fc.constantFrom("a", "b", "ab", "A", "%61", "", "..", "."), { minLength: 1, maxLength: 4 })
  .map((segments) => `/${segments.join("/")}`);
const method = fc.constantFrom("GET", "HEAD", "PURGE");
const value = fc.constantFrom("", "1", "2", "12");

const condition = fc.record({
  name: fc.constantFrom("x-a", "X-A", "x-b"),
  value: fc.option(value, { nil: undefined }),
});
const routeGiven = fc.record({
  hosts: fc.oneof(fc.constant([]), fc.uniqueArray(pattern, { minLength: 1, maxLength: 3 })),
  path,
  isExact: fc.boolean(),
  methods: fc.oneof(fc.constant([]), fc.uniqueArray(method, { maxLength: 2 })),
  headers: fc.oneof(fc.constant([]), fc.array(condition, { maxLength: 2 })),
});
const routes = fc
  .array(routeGiven, { maxLength: 16 })
  .map((list) => list.map((given, index) => routeTo("all", { name: `r${index}`, ...given })));

/** Many routes that differ in nothing but methods and fields. */
const routesOfOnePath = fc
  .array(
    fc.record({
      methods: fc.oneof(fc.constant([]), fc.uniqueArray(method, { maxLength: 2 })),
      headers: fc.array(condition, { maxLength: 3 }),
    }),
    { minLength: 6, maxLength: 40 },
  )
  .map((list) => list.map((given, index) => routeTo("all", { name: `r${index}`, ...given })));

const fields = fc.array(fc.tuple(fc.constantFrom("X-a", "x-b", "x-c"), value), { maxLength: 3 });
const anyRequest: fc.Arbitrary<Request> = fc.record({
  method,
  host: fc.tuple(host, fc.nat(0xffff)).map(([parts, bits]) => anyCase(parts.join(""), bits)),
  path,
  query: fc.constantFrom("", "?", "?/a/b", "?x-a=1"),
  fields,
  isAbsolute: fc.boolean(),
});

/** Requests of which most miss a route of the list by little or not at all. */
function requestsNear(list: readonly RouteConfig[]): fc.Arbitrary<readonly Request[]> {
  const near = fc
    .record({ base: anyRequest, place: fc.nat(), bits: fc.nat(0xff), more: fields, segments: path })
    .map(({ base, place, bits, more, segments }): Request => {
      if (list.length === 0) return base;
      const aim = requestFor(list[place % list.length]);
      const deeper = aim.path.endsWith("/") ? segments.slice(1) : segments;
      return {
        ...base,
        host: (bits & 3) === 3 ? base.host : anyCase(aim.host, bits),
        path: (bits & 12) === 12 ? base.path : aim.path + (bits & 4 ? deeper : ""),
        method: (bits & 48) === 48 ? base.method : aim.method,
        fields: [...((bits & 192) === 192 ? [] : aim.fields), ...more],
      };
    });
  return fc.array(fc.oneof(anyRequest, near, near, near), { minLength: 1, maxLength: 12 });
}

const routesAndRequests = routes.chain((list) => fc.tuple(fc.constant(list), requestsNear(list)));

/** Those in which nothing is found to be wrong. */
function withoutFaults(list: readonly RouteConfig[]): readonly RouteConfig[] {
  const faulty = new Set(checkRoutes(list, new Set(["all"])).map(({ route }) => route));
  return list.filter((_, index) => !faulty.has(index));
}

function parsed({ method: verb, host: authority, path: target, query, fields, isAbsolute }: Request) {
  // Of "http://a" and "http://a/" both mean the path "/".
  const rest = isAbsolute && target === "/" ? query : `${target}${query}`;
  const lines = fields.map(([field, text]) => `${field}: ${text}\r\n`).join("");
  return parsedRequest(
    `${verb} ${isAbsolute ? `http://${authority}${rest}` : `${target}${query}`} HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n`,
  );
}

describe("the route table", () => {
  it("finds what sorting all routes by how specific they are finds, for any list and any request", () => {
    let asked = 0;
    const hits = new Map<number, number>();
    fc.assert(
      fc.property(routesAndRequests, ([list, requests]) => {
        const table = new RouteTable(list);
        for (const request of requests) {
          const { head, buffer } = parsed(request);
          const expected = referenceRoute(list, request);
          asked++;
          if (expected !== undefined) hits.set(expected.hosts.length, (hits.get(expected.hosts.length) ?? 0) + 1);
          assert.equal(table.find(head, buffer)?.config.name, expected?.name, JSON.stringify(request));
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
    const [withoutHost = 0, ...withHosts] = [0, 1, 2, 3].map((count) => hits.get(count) ?? 0);
    const withHost = withHosts.reduce((sum, count) => sum + count, 0);
    assert.ok(
      withoutHost > asked / 10 && withHost > asked / 10,
      `${withoutHost} and ${withHost} of ${asked} were taken`,
    );
  });

  it("finds the same among many routes of one path", () => {
    const listAndRequests = routesOfOnePath.chain((list) => fc.tuple(fc.constant(list), requestsNear(list)));
    const hits = new Set<string>();
    fc.assert(
      fc.property(listAndRequests, ([list, requests]) => {
        const table = new RouteTable(list);
        for (const request of requests) {
          const { head, buffer } = parsed(request);
          const expected = referenceRoute(list, request);
          hits.add(expected?.name ?? "none");
          assert.equal(table.find(head, buffer)?.config.name, expected?.name, JSON.stringify(request));
        }
      }),
      { seed: SEED, numRuns: RUNS / 3 },
    );
    assert.ok(hits.has("none") && hits.size > 16, `${hits.size} places of the list were found`);
  });

  it("does not depend on the order of a list without faults, where no fields are asked for", () => {
    const shuffled = routesAndRequests.chain(([list, requests]) => {
      const good = withoutFaults(list.map((route) => ({ ...route, headers: [] })));
      const all = { minLength: good.length, maxLength: good.length };
      return fc.tuple(fc.constant(good), fc.shuffledSubarray([...good], all), fc.constant(requests));
    });
    fc.assert(
      fc.property(shuffled, ([list, other, requests]) => {
        const table = new RouteTable(list);
        const otherTable = new RouteTable(other);
        for (const request of requests) {
          const { head, buffer } = parsed(request);
          assert.equal(table.find(head, buffer)?.config.name, otherTable.find(head, buffer)?.config.name);
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it("has a request for every route of a list without faults", () => {
    fc.assert(
      fc.property(routes, (list) => {
        const good = withoutFaults(list);
        const table = new RouteTable(good);
        for (const route of good) {
          const isTaken = requestsOf(route).some((request) => {
            const { head, buffer } = parsed(request);
            return table.find(head, buffer)?.config === route;
          });
          assert.ok(isTaken || isCoveredByTwo(route, good), `${JSON.stringify(route)} takes nothing`);
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
});

/** A request with all that a route asks for, and what no other route asks for where it asks for nothing. */
function requestFor({ hosts, path: target, methods, headers }: RouteConfig, { rest = "" } = {}): Request {
  return {
    method: methods[0] ?? "OTHER",
    host: hosts[0]?.replace("*", "other") ?? "other",
    path: target + rest,
    query: "",
    fields: headers.map(({ name: field, value: text }) => [field, text ?? "other"] as const),
    isAbsolute: false,
  };
}

function requestsOf(route: RouteConfig): Request[] {
  const rest = route.path.endsWith("/") ? "other" : "/other";
  return [requestFor(route), ...(route.isExact ? [] : [requestFor(route, { rest })])];
}

/** `/a` as a prefix has nothing left beside `/a` as a whole and `/a/`. */
function isCoveredByTwo({ path: target }: RouteConfig, list: readonly RouteConfig[]): boolean {
  return (
    list.some((other) => other.isExact && other.path === target) && list.some((other) => other.path === `${target}/`)
  );
}
