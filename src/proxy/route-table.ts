// Hot path: one way down and up the trees, over the bytes where they are.
import assert from "node:assert/strict";
import { parseHostPattern } from "../config/host-pattern.js";
import type { RouteConfig } from "../config/routes.js";
import { COLON, DIGIT, SLASH } from "../http1/chars.js";
import type { RequestHead } from "../http1/request-head.js";
import { ANY_CASE, AS_RECEIVED, Branch } from "./branch.js";
import { Route } from "./route.js";
import { RouteList } from "./route-list.js";

const DOT = 0x2e;
/** The port of a Host that has none; a pattern's port is never that. */
const NO_PORT = -1;
/** Above every port: what is longer does not overflow into one. */
const PORT_OVER = 65536;

/** The paths of one host name, for one port and for any. */
class HostPaths {
  readonly #byPort = new Map<number, Branch<RouteList>>();
  #anyPort: Branch<RouteList> | undefined;

  pathsFor(port: number | undefined): Branch<RouteList> {
    if (port === undefined) {
      this.#anyPort ??= new Branch(AS_RECEIVED);
      return this.#anyPort;
    }
    let paths = this.#byPort.get(port);
    if (paths === undefined) {
      paths = new Branch(AS_RECEIVED);
      this.#byPort.set(port, paths);
    }
    return paths;
  }

  find(port: number, head: RequestHead, buffer: Buffer): Route | undefined {
    const paths = this.#byPort.get(port);
    const found = paths === undefined ? undefined : findByPath(paths, head, buffer);
    if (found !== undefined || this.#anyPort === undefined) return found;
    return findByPath(this.#anyPort, head, buffer);
  }
}

/**
 * Which route a request takes: the most specific one whose conditions all hold, in whatever order they are listed.
 * An exact host before a wildcard, a longer wildcard before a shorter one, any host last, each with a port before
 * without; then an exact path before a prefix, a longer prefix before a shorter one; then a method before none; then
 * more fields before fewer, a value before a name alone; then the one that is listed first.
 */
export class RouteTable {
  readonly routes: readonly Route[];
  /** The only route, when it takes every request: nothing needs to be looked up then. */
  readonly single: Route | undefined;
  readonly #hosts = new Branch<HostPaths>(ANY_CASE);
  readonly #anyHost = new Branch<RouteList>(AS_RECEIVED);

  /** For routes in which `checkRoutes` finds no fault. */
  constructor(configs: readonly RouteConfig[]) {
    this.routes = configs.map((config, index) => new Route(config, index));
    this.single = this.routes.length === 1 && takesAll(configs[0]) ? this.routes[0] : undefined;
    // Lists are filled in the order in which they are searched.
    for (const route of this.routes.toSorted(Route.compare)) {
      if (route.config.hosts.length === 0) addByPath(this.#anyHost, route);
      for (const host of route.config.hosts) addByPath(this.#pathsOf(host), route);
    }
  }

  #pathsOf(host: string): Branch<RouteList> {
    const pattern = parseHostPattern(host);
    assert.ok(pattern !== undefined, `"${host}" is no host: checkRoutes comes first`);
    const branch = this.#hosts.grow(pattern.name.split(".").reverse());
    if (pattern.isWildcard) {
      branch.below ??= new HostPaths();
      return branch.below.pathsFor(pattern.port);
    }
    branch.whole ??= new HostPaths();
    return branch.whole.pathsFor(pattern.port);
  }

  /** The route of a parsed request with a path (not of `OPTIONS *`); undefined when no route takes it. */
  find(head: RequestHead, buffer: Buffer): Route | undefined {
    if (this.single !== undefined) return this.single;
    const found = this.#hosts.isLeaf ? undefined : this.#findByHost(head, buffer);
    return found ?? findByPath(this.#anyHost, head, buffer);
  }

  #findByHost(head: RequestHead, buffer: Buffer): Route | undefined {
    const start = head.hostStart;
    const colon = portColon(buffer, start, head.hostEnd);
    const port = colon < 0 ? NO_PORT : readPort(buffer, colon + 1, head.hostEnd);
    let end = colon < 0 ? head.hostEnd : colon;
    if (end > start && buffer[end - 1] === DOT) end--;

    // Labels from the last to the first: [start, end) is what has not been looked at.
    let branch = this.#hosts;
    let isWhole = false;
    while (end > start) {
      let first = end;
      while (first > start && buffer[first - 1] !== DOT) first--;
      const next = branch.child(buffer, first, end);
      if (next === undefined) break;
      branch = next;
      isWhole = first === start;
      end = isWhole ? start : first - 1;
    }

    let found = isWhole ? branch.whole?.find(port, head, buffer) : undefined;
    if (found === undefined && end > start) found = branch.below?.find(port, head, buffer);
    for (let above = branch.parent; found === undefined && above !== undefined; above = above.parent) {
      found = above.below?.find(port, head, buffer);
    }
    return found;
  }
}

function takesAll({ hosts, path, isExact, methods, headers }: RouteConfig): boolean {
  return path === "/" && !isExact && hosts.length + methods.length + headers.length === 0;
}

function addByPath(paths: Branch<RouteList>, route: Route): void {
  const { path, isExact } = route.config;
  const segments = path.slice(1).split("/");
  let routes: RouteList;
  if (isExact) {
    const branch = paths.grow(segments);
    branch.whole ??= new RouteList();
    routes = branch.whole;
  } else if (path === "/") {
    paths.through ??= new RouteList();
    routes = paths.through;
  } else if (path.endsWith("/")) {
    const branch = paths.grow(segments.slice(0, -1));
    branch.below ??= new RouteList();
    routes = branch.below;
  } else {
    const branch = paths.grow(segments);
    branch.through ??= new RouteList();
    routes = branch.through;
  }
  routes.add(route);
}

function findByPath(paths: Branch<RouteList>, head: RequestHead, buffer: Buffer): Route | undefined {
  const end = head.pathEnd;
  let branch = paths;
  let goesOn = true;
  if (head.lacksSlash) {
    // An empty path is "/", which is one empty segment.
    branch = paths.child(buffer, end, end) ?? paths;
    goesOn = branch === paths;
  } else {
    for (let at = head.targetStart; at < end && !branch.isLeaf; ) {
      let stop = at + 1;
      while (stop < end && buffer[stop] !== SLASH) stop++;
      const next = branch.child(buffer, at + 1, stop);
      if (next === undefined) break;
      branch = next;
      at = stop;
      goesOn = stop < end;
    }
  }

  let found = (goesOn ? branch.below : branch.whole)?.find(head, buffer);
  found ??= branch.through?.find(head, buffer);
  for (let above = branch.parent; found === undefined && above !== undefined; above = above.parent) {
    found = above.below?.find(head, buffer) ?? above.through?.find(head, buffer);
  }
  return found;
}

/** Offset of the colon before a port, which may be empty (RFC 3986 §3.2.3), or -1. */
function portColon(buffer: Buffer, start: number, end: number): number {
  let at = end - 1;
  while (at >= start && DIGIT[buffer[at]] === 1) at--;
  return at >= start && buffer[at] === COLON ? at : -1;
}

function readPort(buffer: Buffer, start: number, end: number): number {
  if (start === end) return NO_PORT;
  let port = 0;
  for (let at = start; at < end; at++) port = Math.min(PORT_OVER, port * 10 + buffer[at] - 0x30);
  return port;
}
