import assert from "node:assert/strict";
import type { RouteConfig } from "../../src/config/routes.js";
import { HeadResult, RequestHead } from "../../src/http1/request-head.js";
import type { Route } from "../../src/proxy/route.js";
import type { RouteTable } from "../../src/proxy/route-table.js";
import { DEFAULTS } from "./balancer.js";

/** A route for everything, but for what is given; named after its cluster. */
export function routeTo(cluster: string, given: Partial<RouteConfig> = {}): RouteConfig {
  return {
    name: cluster,
    hosts: [],
    path: "/",
    isExact: false,
    methods: [],
    headers: [],
    cluster,
    stripsPrefix: false,
    redirectsSlash: false,
    ...given,
  };
}

/** A request as the real parser reads it, somewhere in a buffer that has other bytes around it. */
export function parsedRequest(text: string): { readonly head: RequestHead; readonly buffer: Buffer } {
  const head = new RequestHead(DEFAULTS);
  const before = "/api HTTP/1.1\r\n";
  const buffer = Buffer.from(`${before}${text}/api.example.com:80`, "latin1");
  assert.equal(head.parse(buffer, before.length, before.length + text.length), HeadResult.DONE, text);
  return { head, buffer };
}

/** The route of a GET for `url`: a path, or a host and a path. */
export function routeOf(table: RouteTable, url: string, { method = "GET", fields = "" } = {}): Route | undefined {
  const slash = url.indexOf("/");
  const host = url.slice(0, slash) || "fn";
  const { head, buffer } = parsedRequest(`${method} ${url.slice(slash)} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`);
  return table.find(head, buffer);
}
