import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { checkRoutes } from "../../src/config/check-routes.js";
import type { RouteConfig } from "../../src/config/routes.js";
import { HOLD_REASONS } from "../../src/core/preview.js";
import { RouteTable } from "../../src/proxy/route-table.js";
import { routeOf, routeTo } from "../support/routed-request.js";

const PAGE = readFileSync("docs/routes.md", "utf8");

/** The code spans in each cell of the tables below a heading. */
function rowsBelow(heading: string): { readonly text: string; readonly cells: string[][] }[] {
  const section = PAGE.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  const rows = lines.slice(2).map((text) => ({
    text,
    cells: text
      .split("|")
      .slice(1, -1)
      .map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, span]) => span)),
  }));
  assert.ok(rows.length > 3, heading);
  return rows;
}

/** Does a route with nothing but these conditions, which must be good ones, take the request? */
function isTaken(conditions: Partial<RouteConfig>, url: string): boolean {
  const route = routeTo("it", conditions);
  assert.deepEqual(checkRoutes([route], new Set(["it"])), []);
  return routeOf(new RouteTable([route]), url) !== undefined;
}

describe("the page on routes", () => {
  it("is right about hosts", () => {
    for (const { cells } of rowsBelow("host")) {
      const [[host], taken, left] = cells;
      assert.ok(taken.length > 0);
      for (const name of taken) assert.ok(isTaken({ hosts: [host] }, `${name}/`), `${host} takes ${name}`);
      for (const name of left) assert.ok(!isTaken({ hosts: [host] }, `${name}/`), `${host} does not take ${name}`);
    }
  });

  it("is right about paths", () => {
    for (const { text, cells } of rowsBelow("path")) {
      const [[path], taken, left] = cells;
      const isExact = text.includes("exact");
      assert.ok(taken.length > 0);
      for (const target of taken) assert.ok(isTaken({ path, isExact }, target), `${path} takes ${target}`);
      for (const target of left) assert.ok(!isTaken({ path, isExact }, target), `${path} does not take ${target}`);
    }
    assert.ok(isTaken({ path: "/public" }, "/public/../admin"));
    assert.ok(!isTaken({ path: "/admin" }, "/%61dmin"));
  });

  it("is right about what a node sees", () => {
    for (const { cells } of rowsBelow("strip-prefix")) {
      const [[path], [asked], [seen]] = cells;
      const route = routeOf(new RouteTable([routeTo("it", { path, stripsPrefix: true })]), asked);
      const rest = asked.slice(route?.stripBytes);
      assert.equal(rest.startsWith("/") ? rest : `/${rest}`, seen, asked);
    }
  });

  it("has every reason why a node is passed over", () => {
    const named = rowsBelow("What becomes of a request").flatMap(({ cells: [reasons] }) => reasons);
    assert.deepEqual(named.sort(), [...HOLD_REASONS].sort());
  });
});
