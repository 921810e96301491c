import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RouteConfig } from "../../src/config/routes.js";
import { HASH_SEED, hashByte } from "../../src/core/hash.js";
import { RouteTable } from "../../src/proxy/route-table.js";
import { parsedRequest, routeOf, routeTo } from "../support/routed-request.js";

/** The cluster of a request among these routes, "-" for none. */
function clusterOf(routes: readonly RouteConfig[], url: string, request = {}): string {
  return routeOf(new RouteTable(routes), url, request)?.config.cluster ?? "-";
}

/** What one route with these conditions takes of `urls`. */
function takenBy(conditions: Partial<RouteConfig>, urls: readonly string[], request = {}): string[] {
  return urls.filter((url) => clusterOf([routeTo("it", conditions)], url, request) === "it");
}

/** The first of `clusters` in either order of the list, or what came instead. */
function winnerOf(routes: readonly RouteConfig[], url: string, request = {}): string {
  const winner = clusterOf(routes, url, request);
  assert.equal(clusterOf([...routes].reverse(), url, request), winner, "whatever the order of the list");
  return winner;
}

const PATHS = [
  "/",
  "/api",
  "/api/",
  "/api/x",
  "/api//",
  "/api?q=/api/",
  "/apix",
  "/api%2Fx",
  "/API",
  "/x/api",
  "//api",
];

describe("the path of a route", () => {
  for (const [path, taken] of [
    ["/", PATHS],
    ["/api", ["/api", "/api/", "/api/x", "/api//", "/api?q=/api/"]],
    ["/api/", ["/api/", "/api/x", "/api//"]],
    ["/api/x", ["/api/x"]],
    ["/api//", ["/api//"]],
    ["//", ["//api"]],
    ["//api", ["//api"]],
    ["/api%2Fx", ["/api%2Fx"]],
    ["/api%2fx", []],
    ["/ap", []],
  ] as const) {
    it(`${path} as a prefix takes ${taken.join(" ") || "nothing of the rest"}`, () => {
      assert.deepEqual(takenBy({ path }, PATHS), taken);
    });
  }

  for (const [path, taken] of [
    ["/", ["/"]],
    ["/api", ["/api", "/api?q=/api/"]],
    ["/api/", ["/api/"]],
    ["/api//", ["/api//"]],
    ["//api", ["//api"]],
    ["/ap", []],
  ] as const) {
    it(`${path}, when it must be equal, takes ${taken.join(" ") || "nothing of the rest"}`, () => {
      assert.deepEqual(takenBy({ path, isExact: true }, PATHS), taken);
    });
  }

  it("is told from one of the same hash", () => {
    const hashOf = (text: string) => Buffer.from(text).reduce(hashByte, HASH_SEED);
    assert.equal(hashOf("costarring"), hashOf("liquid"));
    const routes = [routeTo("one", { path: "/costarring" }), routeTo("other", { path: "/liquid/x" })];
    assert.equal(clusterOf(routes, "/costarring"), "one");
    assert.equal(clusterOf(routes, "/liquid/x"), "other");
    assert.equal(clusterOf(routes.slice(0, 1), "/liquid"), "-");
    assert.equal(clusterOf(routes.slice(1), "/costarring/x"), "-");
  });

  it("is compared with what came, dot segments and all", () => {
    const routes = [routeTo("admin", { path: "/admin" }), routeTo("public", { path: "/public" })];
    assert.equal(clusterOf(routes, "/public/../admin"), "public");
    assert.equal(clusterOf(routes, "/%61dmin"), "-");
    assert.equal(clusterOf(routes, "/./admin"), "-");
  });

  it("is found in absolute-form, and is a slash where there is none", () => {
    const table = new RouteTable([
      routeTo("root", { path: "/", isExact: true }),
      routeTo("api", { path: "/api" }),
      routeTo("host", { hosts: ["other"], path: "/", isExact: true }),
    ]);
    for (const [target, cluster] of [
      ["http://fn", "root"],
      ["http://fn?q", "root"],
      ["http://fn/", "root"],
      ["http://fn/api/x", "api"],
      ["HTTP://FN/api?x", "api"],
      ["http://other?q", "host"],
      ["http://fn/x", "-"],
    ]) {
      const { head, buffer } = parsedRequest(`GET ${target} HTTP/1.0\r\n\r\n`);
      assert.equal(table.find(head, buffer)?.config.cluster ?? "-", cluster, target);
    }
  });
});

const HOSTS = [
  "example.com/",
  "EXAMPLE.com/",
  "example.com./",
  "example.com:8080/",
  "example.com.:08080/",
  "example.com:/",
  "example.com:80801/",
  "api.example.com/",
  "A.b.Example.com:8080/",
  "badexample.com/",
  ".example.com/",
  "example.com.evil/",
  "./",
  // 2^32 more than 8080.
  "example.com:4294975376/",
];

describe("the host of a route", () => {
  for (const [host, taken] of [
    ["example.com", [0, 1, 2, 3, 4, 5, 6, 13]],
    ["Example.COM.", [0, 1, 2, 3, 4, 5, 6, 13]],
    ["example.com:8080", [3, 4]],
    ["*.example.com", [7, 8]],
    ["*.example.com:8080", [8]],
    ["*.b.example.com", [8]],
    ["*.evil", [11]],
    ["com", []],
  ] as const) {
    it(`${host} takes ${taken.map((index) => HOSTS[index].slice(0, -1)).join(" ") || "nothing of the rest"}`, () => {
      assert.deepEqual(
        takenBy({ hosts: [host] }, HOSTS),
        taken.map((index) => HOSTS[index]),
      );
    });
  }

  it("may be an address", () => {
    assert.deepEqual(takenBy({ hosts: ["[::1]"] }, ["[::1]/", "[::1]:80/", "[::2]/", "[::1%25a]/"]), [
      "[::1]/",
      "[::1]:80/",
    ]);
    assert.deepEqual(takenBy({ hosts: ["[2001:DB8::1]:80"] }, ["[2001:db8::1]:80/", "[2001:db8::1]/"]), [
      "[2001:db8::1]:80/",
    ]);
    assert.deepEqual(takenBy({ hosts: ["10.0.0.1"] }, ["10.0.0.1/", "10.0.0.1:1/", "110.0.0.1/"]), [
      "10.0.0.1/",
      "10.0.0.1:1/",
    ]);
  });

  it("may be one of several", () => {
    const routes = [routeTo("it", { hosts: ["a.b", "*.c"] })];
    assert.deepEqual(
      ["a.b/", "b/", "x.c/", "c/"].map((url) => clusterOf(routes, url)),
      ["it", "-", "it", "-"],
    );
  });

  it("is the one of the target in absolute-form", () => {
    const { head, buffer } = parsedRequest("GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\n\r\n");
    assert.equal(new RouteTable([routeTo("it", { hosts: ["a.b"] })]).find(head, buffer)?.config.cluster, "it");
  });

  it("leaves a request without one to the routes for any host", () => {
    const { head, buffer } = parsedRequest("GET / HTTP/1.0\r\n\r\n");
    assert.equal(new RouteTable([routeTo("it", { hosts: ["*.b", "b"] })]).find(head, buffer), undefined);
    const routes = [routeTo("it", { hosts: ["*.b"] }), routeTo("any")];
    assert.equal(new RouteTable(routes).find(head, buffer)?.config.cluster, "any");
  });
});

describe("the methods and fields of a route", () => {
  it("take what is listed, by case", () => {
    const routes = [routeTo("it", { methods: ["POST", "PURGE"] })];
    assert.deepEqual(
      ["POST", "PURGE", "GET", "Post", "post"].map((method) => clusterOf(routes, "/", { method })),
      ["it", "it", "-", "-", "-"],
    );
  });

  it("do not take HEAD for GET", () => {
    assert.equal(clusterOf([routeTo("it", { methods: ["GET"] })], "/", { method: "HEAD" }), "-");
  });

  for (const [fields, cluster] of [
    ["X-Canary: yes\r\n", "it"],
    ["x-CANARY:\t yes \r\n", "it"],
    ["X-Canary: no\r\nX-Canary: yes\r\n", "it"],
    ["X-Canary: no, yes\r\n", "-"],
    ["X-Canary: Yes\r\n", "-"],
    ["X-Canary: yesyes\r\n", "-"],
    ["X-Canary: ye\r\n", "-"],
    ["X-Canaries: yes\r\n", "-"],
    ["X_Canary: yes\r\n", "-"],
    ["", "-"],
  ] as const) {
    it(`${cluster === "it" ? "take" : "do not take"} ${JSON.stringify(fields)} for x-canary: yes`, () => {
      const headers = [{ name: "x-canary", value: "yes" }];
      assert.equal(clusterOf([routeTo("it", { headers })], "/", { fields }), cluster);
    });
  }

  it("take a field's name alone, or an empty value", () => {
    const present = [routeTo("it", { headers: [{ name: "Authorization", value: undefined }] })];
    assert.equal(clusterOf(present, "/", { fields: "authorization:\r\n" }), "it");
    assert.equal(clusterOf(present, "/"), "-");
    const empty = [routeTo("it", { headers: [{ name: "x", value: "" }] })];
    assert.equal(clusterOf(empty, "/", { fields: "X: \r\n" }), "it");
    assert.equal(clusterOf(empty, "/", { fields: "X: 1\r\n" }), "-");
  });

  it("compare values as UTF-8, which is what configurations are written in", () => {
    const routes = [routeTo("it", { headers: [{ name: "x", value: "ü" }] })];
    assert.equal(clusterOf(routes, "/", { fields: "X: \xc3\xbc\r\n" }), "it");
    assert.equal(clusterOf(routes, "/", { fields: "X: \xfc\r\n" }), "-");
  });

  it("must all fit", () => {
    const headers = [
      { name: "a", value: "1" },
      { name: "b", value: undefined },
    ];
    const routes = [routeTo("it", { methods: ["GET"], headers })];
    assert.equal(clusterOf(routes, "/", { fields: "A: 1\r\nB: 2\r\n" }), "it");
    assert.equal(clusterOf(routes, "/", { fields: "A: 1\r\n" }), "-");
    assert.equal(clusterOf(routes, "/", { fields: "A: 1\r\nB: 2\r\n", method: "PUT" }), "-");
  });

  it("see what came, also fields that go no further", () => {
    const headers = [{ name: "connection", value: "x-hop" }];
    assert.equal(clusterOf([routeTo("it", { headers })], "/", { fields: "Connection: x-hop\r\n" }), "it");
  });
});

describe("the most specific route", () => {
  const header = (name: string) => ({ name, value: undefined });

  for (const [title, more, less, url] of [
    ["an exact host to a wildcard", { hosts: ["a.b.c"] }, { hosts: ["*.b.c"] }, "a.b.c/x"],
    ["a longer wildcard to a shorter one", { hosts: ["*.b.c"] }, { hosts: ["*.c"] }, "a.b.c/x"],
    ["a wildcard to any host", { hosts: ["*.c"] }, {}, "a.b.c/x"],
    ["a host with its port to one without", { hosts: ["a.b:80"] }, { hosts: ["a.b"] }, "a.b:80/x"],
    ["an exact host to a wildcard with a port", { hosts: ["a.b"] }, { hosts: ["*.b:80"] }, "a.b:80/x"],
    ["a longer wildcard to a port", { hosts: ["*.b.c"] }, { hosts: ["*.c:80"] }, "a.b.c:80/x"],
    ["a host to a path", { hosts: ["*.b"] }, { path: "/x", isExact: true }, "a.b/x"],
    ["an exact path to a prefix", { path: "/x", isExact: true }, { path: "/x" }, "/x"],
    ["a longer prefix to a shorter one", { path: "/x/y" }, { path: "/x" }, "/x/y/z"],
    ["a prefix and its slash to the prefix", { path: "/x/" }, { path: "/x" }, "/x/y"],
    ["a path to a method", { path: "/x" }, { path: "/", methods: ["GET"] }, "/x"],
    ["a method to none", { methods: ["GET"] }, {}, "/x"],
    ["a method to fields", { methods: ["GET"] }, { headers: [header("a")] }, "/x"],
    ["more fields to fewer", { headers: [header("a"), header("b")] }, { headers: [header("a")] }, "/x"],
    ["a value to a name alone", { headers: [{ name: "a", value: "1" }] }, { headers: [header("b")] }, "/x"],
    ["a field to none", { headers: [header("a")] }, {}, "/x"],
  ] as const) {
    it(`prefers ${title}`, () => {
      const fields = "A: 1\r\nB: 1\r\n";
      assert.equal(winnerOf([routeTo("more", more), routeTo("less", less)], url, { fields }), "more");
    });
  }

  it("is the first of the list where nothing else tells two apart", () => {
    const a = routeTo("a", { headers: [header("a")] });
    const b = routeTo("b", { headers: [header("b")] });
    const fields = "A: 1\r\nB: 1\r\n";
    assert.equal(clusterOf([a, b], "/", { fields }), "a");
    assert.equal(clusterOf([b, a], "/", { fields }), "b");
  });

  it("gives way to less specific ones by method, by field, by path and by host", () => {
    const routes = [
      routeTo("put", { hosts: ["a.b"], path: "/x/y", methods: ["PUT"] }),
      routeTo("field", { hosts: ["a.b"], path: "/x", headers: [header("z")] }),
      routeTo("wild", { hosts: ["*.b"], path: "/x", methods: ["GET"] }),
      routeTo("rest"),
    ];
    assert.equal(winnerOf(routes, "a.b/x/y", { method: "PUT" }), "put");
    assert.equal(winnerOf(routes, "a.b/x/y", { fields: "Z: 1\r\n" }), "field");
    assert.equal(winnerOf(routes, "a.b/x/y"), "wild");
    assert.equal(winnerOf(routes, "a.b/x/y", { method: "POST" }), "rest");
    assert.equal(winnerOf(routes, "a.b/y"), "rest");
  });

  it("is nothing where no route fits", () => {
    assert.equal(clusterOf([], "/"), "-");
    assert.equal(clusterOf([routeTo("it", { path: "/x" })], "/y"), "-");
  });
});

describe("a table with one route for everything", () => {
  it("says so", () => {
    const table = new RouteTable([routeTo("it")]);
    assert.equal(table.single?.config.cluster, "it");
    assert.equal(routeOf(table, "any.host:1/x?y", { method: "PUT" }), table.single);
  });

  for (const [title, conditions] of [
    ["a host", { hosts: ["a"] }],
    ["a path", { path: "/a" }],
    ["one path", { isExact: true }],
    ["a method", { methods: ["GET"] }],
    ["a field", { headers: [{ name: "a", value: undefined }] }],
  ] as const) {
    it(`is not what a route for ${title} makes`, () => {
      assert.equal(new RouteTable([routeTo("it", conditions)]).single, undefined);
    });
  }

  it("is not what two routes make", () => {
    assert.equal(new RouteTable([routeTo("it"), routeTo("a", { path: "/a" })]).single, undefined);
  });
});

describe("a prefix that the node does not see", () => {
  for (const [path, url, seen] of [
    ["/api", "/api/x", "/x"],
    ["/api", "/api", ""],
    ["/api", "/api?q=/api/x", "?q=/api/x"],
    ["/api", "/api/", "/"],
    ["/api", "/api//x", "//x"],
    ["/api", "/api/%2F%2e;a=b?%20", "/%2F%2e;a=b?%20"],
    ["/api/", "/api/x", "/x"],
    ["/api/", "/api/", "/"],
    ["/a/b", "/a/b/c", "/c"],
  ] as const) {
    it(`${path} of ${url} leaves ${JSON.stringify(seen)}`, () => {
      const route = routeOf(new RouteTable([routeTo("it", { path, stripsPrefix: true })]), url);
      assert.equal(url.slice(route?.stripBytes), seen);
    });
  }

  it("is all of an exact path", () => {
    const table = new RouteTable([routeTo("it", { path: "/api", isExact: true, stripsPrefix: true })]);
    assert.equal("/api?q".slice(routeOf(table, "/api?q")?.stripBytes), "?q");
  });

  it("is nothing unless asked for", () => {
    assert.equal(routeOf(new RouteTable([routeTo("it", { path: "/api" })]), "/api/x")?.stripBytes, 0);
  });
});

describe("a slash at the end of a path", () => {
  const table = new RouteTable([routeTo("it", { hosts: ["a"], path: "/api", redirectsSlash: true })]);
  const locationOf = (line: string, fields = "") => {
    const { head, buffer } = parsedRequest(`${line} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    return table.find(head, buffer)?.slashLocation(head, buffer);
  };

  it("is added for GET and HEAD of the bare path, and the query kept as it came", () => {
    assert.equal(locationOf("GET /api"), "/api/");
    assert.equal(locationOf("HEAD /api"), "/api/");
    assert.equal(locationOf("GET /api?"), "/api/?");
    assert.equal(locationOf("GET /api?a=%2F&b=/c?d"), "/api/?a=%2F&b=/c?d");
    assert.equal(locationOf("GET http://a/api?q"), "/api/?q");
  });

  it("is not added to anything else", () => {
    assert.equal(locationOf("GET /api/"), undefined);
    assert.equal(locationOf("GET /api/x"), undefined);
    assert.equal(locationOf("GET /api//"), undefined);
  });

  it("is not asked of requests whose client would not follow", () => {
    assert.equal(locationOf("POST /api"), undefined);
    assert.equal(locationOf("GET /api", "Connection: upgrade\r\nUpgrade: websocket\r\n"), undefined);
  });

  it("is left alone unless asked for", () => {
    const { head, buffer } = parsedRequest("GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
    const route = new RouteTable([routeTo("it", { path: "/api" })]).find(head, buffer);
    assert.equal(route?.config.cluster, "it");
    assert.equal(route?.slashLocation(head, buffer), undefined);
  });
});
