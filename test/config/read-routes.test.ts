import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfigFile } from "../../src/config/config-file.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { FnlbError } from "../../src/errors.js";

const CLUSTERS = "clusters: { api: { nodes: a }, web: { nodes: b } }\n";

const routesOf = (yaml: string) => resolveConfig({ file: parseConfigFile(CLUSTERS + yaml, "fnlb.yaml") }).routes;

/** What is said of a file with these routes, whose list begins in its third line. */
function faultOf(...routes: readonly string[]): string {
  try {
    routesOf(`routes:\n${routes.map((route) => `  - ${route}\n`).join("")}`);
  } catch (error) {
    assert.ok(error instanceof FnlbError && error.code === "ERR_OPTION", String(error));
    return error.message;
  }
  return "nothing";
}

describe("routes of a config file", () => {
  it("are called by their place where they have no name", () => {
    const routes = routesOf(
      "routes: [{ path: /a, cluster: api }, { path: /b, cluster: api, name: b }, { cluster: web }]",
    );
    assert.deepEqual(
      routes.map(({ name }) => name),
      ["route-1", "b", "route-3"],
    );
  });

  for (const [routes, fault] of [
    [
      ["{ path: api, cluster: api }"],
      `fnlb.yaml:3:13: "path" of route 1 must be a path that begins with a slash, got "api"`,
    ],
    [["{ host: 'a..b', cluster: api }"], /^fnlb\.yaml:3:13: "host" of route 1 must be .*, got "a\.\.b"$/],
    [
      ["{ method: [GET, get], cluster: api }"],
      `fnlb.yaml:3:15: "method" of route 1 must be GET, got "get": methods are compared with their case`,
    ],
    [
      ["{ header: { host: x }, cluster: api }"],
      `fnlb.yaml:3:15: "header" of route 1 must be another field, got "host": it has a key of its own`,
    ],
    [
      ["{ cluster: api, strip-prefix: true }"],
      `fnlb.yaml:3:35: "strip-prefix" of route 1 must not be set for the path "/": nothing is in front of it`,
    ],
    [
      ["{ path: /a/, cluster: api, redirect-slash: true }"],
      /^fnlb\.yaml:3:48: "redirect-slash" of route 1 must be set for a path without a slash at its end, got "\/a\/"/,
    ],
    [
      ["{ path: //evil, cluster: api, redirect-slash: true }"],
      /must be set for a path with one slash at its start, got "\/\/evil": two lead to another host$/,
    ],
    [["{ name: a b, cluster: api }"], /^fnlb\.yaml:3:13: "name" of route 1 must be 1 to 64 .*, got "a b"$/],
    [
      ["{ path: /x, cluster: api }", "{ name: route-1, cluster: web }"],
      `fnlb.yaml:4:13: "name" of route 2 must be unique, got "route-1", which is route 1`,
    ],
    [
      ["{ path: /x, cluster: api }", "{ path: /x, cluster: web }"],
      `fnlb.yaml:4:13: "path" of route 2 must be told from route 1 (route-1): both are for any method any host /x`,
    ],
    [
      ["{ cluster: api }", "{ cluster: web }"],
      `fnlb.yaml:4:5: route 2: "path" must be told from route 1 (route-1): both are for any method any host /`,
    ],
    [["{ cluster: ap }"], `fnlb.yaml:3:16: "cluster" of route 1 must be one of api, web, got "ap"`],
  ] as const) {
    it(`end the start with the place of what is wrong: ${routes.join(" and ")}`, () => {
      const said = faultOf(...routes);
      if (typeof fault === "string") assert.equal(said, fault);
      else assert.match(said, fault);
    });
  }
});
