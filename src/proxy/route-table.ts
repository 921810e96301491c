// Hot path: a lookup compares bytes where they are; it allocates nothing.
import { parseHostPattern } from "../config/host-pattern.js";
import type { RouteConfig } from "../config/routes.js";
import { COLON, DIGIT, readLatin1, SLASH } from "../http1/chars.js";
import type { RequestHead } from "../http1/request-head.js";
import { ANY_CASE, AS_RECEIVED, Branch } from "./branch.js";

const DOT = 0x2e;
/** The port of a Host that has none; a pattern's port is never that. */
const NO_PORT = -1;
/** Above every port: what is longer does not overflow into one. */
const PORT_OVER = 65536;

/** A route as requests meet it. */
export class Route {
  readonly config: RouteConfig;
  /** Its place in the list. */
  readonly index: number;
  /**
   * How many bytes at the start of the path the node does not see. What is left is the rest of the received bytes;
   * if it does not begin with a slash it is empty, and `/` stands for it.
   */
  readonly stripBytes: number;
  readonly #methods: readonly string[];
  readonly #names: readonly string[];
  /** The bytes of a value, undefined for any. */
  readonly #values: readonly (Buffer | undefined)[];
  readonly #barePathBytes: number;

  constructor(config: RouteConfig, index: number) {
    const { path, methods, headers, stripsPrefix, redirectsSlash } = config;
    this.config = config;
    this.index = index;
    this.stripBytes = stripsPrefix ? (path.endsWith("/") ? path.length - 1 : path.length) : 0;
    this.#methods = methods;
    this.#names = headers.map(({ name }) => name.toLowerCase());
    this.#values = headers.map(({ value }) => (value === undefined ? undefined : Buffer.from(value)));
    this.#barePathBytes = redirectsSlash ? path.length : 0;
  }

  /** More specific ones first, among those of one host and path. */
  static compare(a: Route, b: Route): number {
    const byMethods = Math.sign(b.#methods.length) - Math.sign(a.#methods.length);
    return byMethods || b.#names.length - a.#names.length || b.#countValues() - a.#countValues() || a.index - b.index;
  }

  #countValues(): number {
    return this.#values.filter((value) => value !== undefined).length;
  }

  /** Do method and fields fit? Host and path are what the table looks at. */
  accepts(head: RequestHead, buffer: Buffer): boolean {
    if (this.#methods.length > 0 && !this.#methods.includes(head.method)) return false;
    for (let index = 0; index < this.#names.length; index++) {
      if (!hasField(head, buffer, this.#names[index], this.#values[index])) return false;
    }
    return true;
  }

  /**
   * Where a request of this route is to be sent on to instead of being served: the bare path and a slash, with the
   * query as received. Only GET and HEAD, which a browser repeats for its relative links; a body would be sent in vain,
   * and a websocket's client follows no redirect.
   */
  slashLocation(head: RequestHead, buffer: Buffer): string | undefined {
    if (this.#barePathBytes === 0 || head.pathEnd - head.targetStart !== this.#barePathBytes) return undefined;
    if ((head.method !== "GET" && head.method !== "HEAD") || head.wantsUpgrade) return undefined;
    return `${this.config.path}/${readLatin1(buffer, head.pathEnd, head.targetEnd)}`;
  }
}

/** Routes of one host and path. */
type Routes = Route[];

/** The paths of one host name, for one port and for any. */
class HostPaths {
  readonly #byPort = new Map<number, Branch<Routes>>();
  #anyPort: Branch<Routes> | undefined;

  pathsFor(port: number | undefined): Branch<Routes> {
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
  readonly #anyHost = new Branch<Routes>(AS_RECEIVED);

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

  #pathsOf(host: string): Branch<Routes> {
    const pattern = parseHostPattern(host);
    if (pattern === undefined) throw new TypeError(`"${host}" is no host: checkRoutes comes first`);
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

function addByPath(paths: Branch<Routes>, route: Route): void {
  const { path, isExact } = route.config;
  const segments = path.slice(1).split("/");
  let routes: Routes;
  if (isExact) {
    const branch = paths.grow(segments);
    branch.whole ??= [];
    routes = branch.whole;
  } else if (path === "/") {
    paths.through ??= [];
    routes = paths.through;
  } else if (path.endsWith("/")) {
    const branch = paths.grow(segments.slice(0, -1));
    branch.below ??= [];
    routes = branch.below;
  } else {
    const branch = paths.grow(segments);
    branch.through ??= [];
    routes = branch.through;
  }
  routes.push(route);
}

function findByPath(paths: Branch<Routes>, head: RequestHead, buffer: Buffer): Route | undefined {
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

  let found = goesOn ? first(branch.below, head, buffer) : first(branch.whole, head, buffer);
  found ??= first(branch.through, head, buffer);
  for (let above = branch.parent; found === undefined && above !== undefined; above = above.parent) {
    found = first(above.below, head, buffer) ?? first(above.through, head, buffer);
  }
  return found;
}

function first(routes: Routes | undefined, head: RequestHead, buffer: Buffer): Route | undefined {
  if (routes === undefined) return undefined;
  for (let index = 0; index < routes.length; index++) {
    if (routes[index].accepts(head, buffer)) return routes[index];
  }
  return undefined;
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

function hasField(head: RequestHead, buffer: Buffer, lowerName: string, value: Buffer | undefined): boolean {
  const { fields } = head;
  for (let index = fields.find(buffer, lowerName); index >= 0; index = fields.find(buffer, lowerName, index + 1)) {
    if (value === undefined || equals(buffer, fields.valueStart[index], fields.valueEnd[index], value)) return true;
  }
  return false;
}

function equals(buffer: Buffer, start: number, end: number, value: Buffer): boolean {
  if (end - start !== value.length) return false;
  for (let index = 0; index < value.length; index++) if (buffer[start + index] !== value[index]) return false;
  return true;
}
