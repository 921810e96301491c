import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkRoutes } from "../../src/config/check-routes.js";
import type { RouteConfig } from "../../src/config/routes.js";
import { routeTo } from "../support/routed-request.js";

const CLUSTERS = new Set(["api", "web"]);

/** The faults of one route among clusters that exist. */
function faultsOf(given: Partial<RouteConfig>): { readonly key: string; readonly reason: string }[] {
  return checkRoutes([routeTo("api", given)], CLUSTERS).map(({ route, key, reason }) => {
    assert.equal(route, 0);
    return { key, reason };
  });
}

/** What is said of the last route when the others are in front of it. */
function faultOfLast(...routes: readonly Partial<RouteConfig>[]): string {
  const faults = checkRoutes(
    routes.map((given, index) => routeTo("api", { name: `r${index}`, ...given })),
    CLUSTERS,
  );
  for (const { route } of faults) assert.equal(route, routes.length - 1);
  return faults.map(({ key, reason }) => `${key} ${reason}`).join("; ");
}

describe("checking routes", () => {
  it("finds nothing wrong with good ones", () => {
    const routes = [
      routeTo("api", {
        name: "v1",
        hosts: ["api.example.com", "*.example.com:8080", "[::1]:80", "10.0.0.1", "a_b"],
        path: "/v1",
        methods: ["GET", "PURGE", "x-y"],
        headers: [
          { name: "X-Canary", value: "yes, \tü" },
          { name: "x-canary", value: "" },
          { name: "x-other", value: undefined },
        ],
        stripsPrefix: true,
        redirectsSlash: true,
      }),
      routeTo("web", { name: "deep", path: "/a%20b/;c=d/[e]/../", stripsPrefix: true }),
      routeTo("web", { name: "route-3", path: "/v1", isExact: true }),
      routeTo("api", { name: "all" }),
    ];
    assert.deepEqual(checkRoutes(routes, CLUSTERS), []);
    assert.deepEqual(checkRoutes([], CLUSTERS), []);
  });

  for (const [key, given, reason] of [
    ["cluster", { cluster: "ap" }, `must be one of api, web, got "ap"`],
    ["name", { name: "" }, `must be 1 to 64 letters, digits or any of _ . : / -, got ""`],
    ["name", { name: "a b" }, `must be 1 to 64 letters, digits or any of _ . : / -, got "a b"`],
    ["name", { name: "x".repeat(65) }, `must be 1 to 64 letters, digits or any of _ . : / -, got "${"x".repeat(65)}"`],
    ["host", { hosts: ["a", "A."] }, `must be given once, got "A."`],
    ["path", { path: "" }, `must be a path that begins with a slash, got ""`],
    ["path", { path: "api" }, `must be a path that begins with a slash, got "api"`],
    ["path", { path: "/api?q" }, `must be a path without query or fragment, got "/api?q"`],
    ["path", { path: "/api#top" }, `must be a path without query or fragment, got "/api#top"`],
    ["path", { path: "/a b" }, `must be a path in visible ASCII, as %20 for a blank, got "/a b"`],
    ["path", { path: "/a\n" }, `must be a path in visible ASCII, as %20 for a blank, got "/a\\n"`],
    ["path", { path: "/ü" }, `must be a path in visible ASCII, as %20 for a blank, got "/ü"`],
    ["method", { methods: ["get"] }, `must be GET, got "get": methods are compared with their case`],
    ["method", { methods: ["Trace"] }, `must be TRACE, got "Trace": methods are compared with their case`],
    ["method", { methods: ["TRACE"] }, `must be one that is forwarded, got "TRACE"`],
    ["method", { methods: ["CONNECT"] }, `must be one that is forwarded, got "CONNECT"`],
    ["method", { methods: [""] }, `must be a method such as GET, got ""`],
    ["method", { methods: ["A B"] }, `must be a method such as GET, got "A B"`],
    ["method", { methods: ["PUT", "PUT"] }, `must be given once, got "PUT"`],
    ["header", { headers: [{ name: "x y", value: "1" }] }, `must be a field name, got "x y"`],
    ["header", { headers: [{ name: "", value: "1" }] }, `must be a field name, got ""`],
    [
      "header",
      { headers: [{ name: "Host", value: "a" }] },
      `must be another field, got "Host": it has a key of its own`,
    ],
    ["header", { headers: [{ name: "x", value: "a\r\n" }] }, undefined],
    ["header", { headers: [{ name: "x", value: "a\x00b" }] }, undefined],
    ["header", { headers: [{ name: "x", value: " a" }] }, undefined],
    [
      "header",
      { headers: [{ name: "x", value: "a\t" }] },
      `must be a value without control characters, and without blanks around it, got "a\\t"`,
    ],
    [
      "header",
      {
        headers: [
          { name: "X", value: "1" },
          { name: "x", value: "1" },
        ],
      },
      `must be given once, got "x"`,
    ],
    [
      "header",
      {
        headers: [
          { name: "x", value: undefined },
          { name: "X", value: "1" },
        ],
      },
      `must be given with a value or without, got "x": it has both`,
    ],
    ["strip-prefix", { stripsPrefix: true }, `must not be set for the path "/": nothing is in front of it`],
    [
      "redirect-slash",
      { path: "/a", isExact: true, redirectsSlash: true },
      "must not be set for an exact path: the route does not match what follows",
    ],
    [
      "redirect-slash",
      { path: "/a/", redirectsSlash: true },
      `must be set for a path without a slash at its end, got "/a/": that slash is what is added`,
    ],
    ["redirect-slash", { redirectsSlash: true }, undefined],
    [
      "redirect-slash",
      { path: "//evil", redirectsSlash: true },
      `must be set for a path with one slash at its start, got "//evil": two lead to another host`,
    ],
  ] as const) {
    it(`says of ${key} ${JSON.stringify(given)} what it must be`, () => {
      const faults = faultsOf(given);
      assert.deepEqual(
        faults.map((fault) => fault.key),
        [key],
      );
      if (reason !== undefined) assert.equal(faults[0].reason, reason);
    });
  }

  for (const host of [
    "",
    "*",
    "*.",
    "*:80",
    "a*",
    "*a.b",
    "a.*",
    "a.*.b",
    "*.*.b",
    "**.b",
    "a..b",
    ".a",
    "-a",
    "a b",
    " a",
    "a,b",
    "http://a",
    "a/b",
    "a:",
    "a:0",
    "a:65536",
    "a:x",
    "a:80:80",
    "::1",
    "[::1",
    "[::1]x",
    "[::1%25eth0]",
    "[a]",
    "*.[::1]",
    "*.0.0.1",
    "*.10.0.0.1",
    "300.0.0.1",
    "bücher.example",
    `${"a".repeat(64)}.b`,
  ]) {
    it(`refuses the host ${JSON.stringify(host)}`, () => {
      assert.deepEqual(faultsOf({ hosts: [host] }), [
        {
          key: "host",
          reason: `must be a host such as api.example.com, *.example.com or [::1], with or without :port, got ${JSON.stringify(host)}`,
        },
      ]);
    });
  }

  it("reports everything at once, in the order of the list", () => {
    const faults = checkRoutes(
      [routeTo("nobody", { path: "x", methods: ["G T"] }), routeTo("api"), routeTo("gone", { hosts: ["*"] })],
      CLUSTERS,
    );
    assert.deepEqual(
      faults.map(({ route, key }) => `${route} ${key}`),
      ["0 path", "0 method", "0 cluster", "2 host", "2 cluster"],
    );
  });

  it("wants names to be unique, whatever the routes are", () => {
    assert.equal(
      faultOfLast({ name: "a" }, { name: "b", path: "/b" }, { name: "a", path: "/c" }),
      `name must be unique, got "a", which is route 1`,
    );
  });
});

describe("routes that cannot be told apart", () => {
  const ALL = "both are for any method any host /";

  it("are named together", () => {
    assert.equal(faultOfLast({ path: "/x" }, {}, { cluster: "web" }), `path must be told from route 2 (r1): ${ALL}`);
  });

  it("are those with a host, a path, the fields and a method in common, however they are written", () => {
    const one = {
      hosts: ["a.b", "*.C"],
      path: "/x",
      methods: ["GET", "PUT"],
      headers: [
        { name: "A", value: "1" },
        { name: "b", value: undefined },
      ],
    };
    const other = {
      hosts: ["d", "*.c."],
      path: "/x",
      methods: ["POST", "PUT"],
      headers: [
        { name: "B", value: undefined },
        { name: "a", value: "1" },
      ],
    };
    assert.equal(faultOfLast(one, other), "path must be told from route 1 (r0): both are for PUT *.c. /x");
  });

  it("are each reported once for each other", () => {
    const a = { hosts: ["a", "b"], methods: ["GET", "PUT"] };
    const b = { hosts: ["c"] };
    const both = { hosts: ["a", "b", "c"], methods: ["GET", "PUT"] };
    assert.equal(faultOfLast(a, b, both), "path must be told from route 1 (r0): both are for GET a /");
  });

  for (const [title, one, other] of [
    ["another host", { hosts: ["a"] }, { hosts: ["b"] }],
    ["no host", { hosts: ["a"] }, {}],
    ["a wildcard", { hosts: ["a.b"] }, { hosts: ["*.a.b"] }],
    ["a port", { hosts: ["a"] }, { hosts: ["a:80"] }],
    ["a slash at the end", { path: "/a" }, { path: "/a/" }],
    ["an equal path", { path: "/a" }, { path: "/a", isExact: true }],
    ["a path in another case", { path: "/a" }, { path: "/A" }],
    ["another method", { methods: ["GET"] }, { methods: ["PUT"] }],
    ["no method", { methods: ["GET"] }, {}],
    ["another value", { headers: [{ name: "a", value: "1" }] }, { headers: [{ name: "a", value: "2" }] }],
    ["a value in another case", { headers: [{ name: "a", value: "x" }] }, { headers: [{ name: "a", value: "X" }] }],
    ["a name alone", { headers: [{ name: "a", value: "" }] }, { headers: [{ name: "a", value: undefined }] }],
  ] as const) {
    it(`are not those with ${title}`, () => {
      assert.equal(faultOfLast(one, other), "");
      assert.equal(faultOfLast(other, one), "");
    });
  }
});
