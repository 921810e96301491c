import { HOST_PATTERN_SHAPE, parseHostPattern } from "./host-pattern.js";
import type { HeaderCondition, RouteConfig } from "./routes.js";

/** What is wrong with one route. */
export interface RouteFault {
  /** Its place in the list. */
  readonly route: number;
  /** As the configuration file spells it. */
  readonly key: RouteKey;
  /** `must be …, got …`, or which other route it cannot be told from. */
  readonly reason: string;
}

/** The keys of a route in a configuration file. */
export type RouteKey =
  | "name"
  | "host"
  | "path"
  | "exact"
  | "method"
  | "header"
  | "cluster"
  | "strip-prefix"
  | "redirect-slash";

type Report = (key: RouteKey, reason: string) => void;

const NAME = /^[\w.:/-]{1,64}$/;
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
/** What a request target may hold before its query. */
const PATH = /^\/[!-~]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
/** Refused with 405 before any route is looked for. */
const NEVER_FORWARDED = ["CONNECT", "TRACE"];
const COMMON_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", ...NEVER_FORWARDED];

/** Everything that is wrong with a list of routes, in its order; `clusters` are the names that exist. */
export function checkRoutes(routes: readonly RouteConfig[], clusters: ReadonlySet<string>): RouteFault[] {
  const faults: RouteFault[] = [];
  const names = new Map<string, number>();
  const taken = new Map<string, number>();
  for (const [route, config] of routes.entries()) {
    const known = faults.length;
    const report: Report = (key, reason) => faults.push({ route, key, reason });
    checkName(config.name, names.get(config.name), report);
    if (!names.has(config.name)) names.set(config.name, route);
    checkHosts(config.hosts, report);
    checkPath(config, report);
    checkMethods(config.methods, report);
    checkHeaders(config.headers, report);
    if (!clusters.has(config.cluster)) report("cluster", mustBe(`one of ${[...clusters].join(", ")}`, config.cluster));
    // What cannot be read cannot be compared.
    if (faults.length === known) checkTwins(config, routes, taken, route, report);
  }
  return faults;
}

function mustBe(shape: string, got: string): string {
  return `must be ${shape}, got ${JSON.stringify(got)}`;
}

function checkName(name: string, earlier: number | undefined, report: Report): void {
  if (!NAME.test(name)) report("name", mustBe("1 to 64 letters, digits or any of _ . : / -", name));
  else if (earlier !== undefined) report("name", `${mustBe("unique", name)}, which is route ${earlier + 1}`);
}

function checkHosts(hosts: readonly string[], report: Report): void {
  const seen = new Set<string>();
  for (const host of hosts) {
    const key = hostKey(host);
    if (key === undefined) report("host", mustBe(HOST_PATTERN_SHAPE, host));
    else if (seen.has(key)) report("host", mustBe("given once", host));
    else seen.add(key);
  }
}

function checkPath({ path, isExact, stripsPrefix, redirectsSlash }: RouteConfig, report: Report): void {
  if (!path.startsWith("/")) report("path", mustBe("a path that begins with a slash", path));
  else if (/[?#]/.test(path)) report("path", mustBe("a path without query or fragment", path));
  else if (!PATH.test(path)) report("path", mustBe("a path in visible ASCII, as %20 for a blank", path));
  if (stripsPrefix && path === "/")
    report("strip-prefix", `must not be set for the path "/": nothing is in front of it`);
  if (!redirectsSlash) return;
  if (isExact) report("redirect-slash", "must not be set for an exact path: the route does not match what follows");
  else if (path.endsWith("/"))
    report(
      "redirect-slash",
      `${mustBe("set for a path without a slash at its end", path)}: that slash is what is added`,
    );
  else if (path.startsWith("//"))
    report("redirect-slash", `${mustBe("set for a path with one slash at its start", path)}: two lead to another host`);
}

function checkMethods(methods: readonly string[], report: Report): void {
  for (const [place, method] of methods.entries()) {
    const upper = method.toUpperCase();
    if (!TOKEN.test(method)) report("method", mustBe("a method such as GET", method));
    else if (NEVER_FORWARDED.includes(method)) report("method", mustBe("one that is forwarded", method));
    else if (method !== upper && COMMON_METHODS.includes(upper))
      report("method", `${mustBe(upper, method)}: methods are compared with their case`);
    else if (methods.indexOf(method) < place) report("method", mustBe("given once", method));
  }
}

function checkHeaders(headers: readonly HeaderCondition[], report: Report): void {
  const seen = new Set<string>();
  for (const header of headers) {
    const { name, value } = header;
    const key = headerKey(header);
    if (!TOKEN.test(name)) report("header", mustBe("a field name", name));
    else if (name.toLowerCase() === "host")
      report("header", `${mustBe("another field", name)}: it has a key of its own`);
    else if (value !== undefined && (CONTROL.test(value) || /^[ \t]|[ \t]$/.test(value)))
      report("header", mustBe("a value without control characters, and without blanks around it", value));
    else if (seen.has(key)) report("header", mustBe("given once", name));
    else if (value === undefined && headers.some((other) => other.value !== undefined && isSameName(other.name, name)))
      report("header", `${mustBe("given with a value or without", name)}: it has both`);
    seen.add(key);
  }
}

/** Two routes with one host, one path, the same fields and a method in common: the second would never be taken for it. */
function checkTwins(
  { hosts, path, isExact, methods, headers }: RouteConfig,
  routes: readonly RouteConfig[],
  taken: Map<string, number>,
  route: number,
  report: Report,
): void {
  const named = new Set<number>();
  const fields = headers.map(headerKey).sort();
  for (const host of hosts.length > 0 ? hosts : [""]) {
    for (const method of methods.length > 0 ? methods : [""]) {
      const key = JSON.stringify([hostKey(host) ?? "", path, isExact, method, fields]);
      const earlier = taken.get(key);
      if (earlier === undefined) taken.set(key, route);
      else if (!named.has(earlier)) {
        named.add(earlier);
        const request = `${method === "" ? "any method" : method} ${host === "" ? "any host" : host} ${path}`;
        report("path", `must be told from route ${earlier + 1} (${routes[earlier].name}): both are for ${request}`);
      }
    }
  }
}

function hostKey(host: string): string | undefined {
  const pattern = parseHostPattern(host);
  return pattern === undefined ? undefined : JSON.stringify(pattern);
}

function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function headerKey({ name, value }: HeaderCondition): string {
  return JSON.stringify([name.toLowerCase(), value ?? null]);
}
