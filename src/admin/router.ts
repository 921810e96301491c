import { RequestError } from "./admin-problem.js";
import type { AdminMethod, AdminRoute } from "./admin-route.js";

/** What there is at a path. */
export interface RoutedPath {
  readonly byMethod: ReadonlyMap<AdminMethod, AdminRoute>;
  /** For the Allow field. */
  readonly allow: string;
  /** Parts of the path, not decoded yet. */
  readonly segments: readonly string[];
}

interface Pattern {
  readonly segments: readonly string[];
  readonly byMethod: Map<AdminMethod, AdminRoute>;
}

/** Finds routes by path: literally, part by part, as it came. Paths differ by their literal parts. */
export class Router {
  readonly #patterns: readonly Pattern[];

  constructor(routes: readonly AdminRoute[]) {
    const patterns = new Map<string, Pattern>();
    for (const route of routes) {
      const pattern = patterns.get(route.path) ?? { segments: route.path.split("/"), byMethod: new Map() };
      pattern.byMethod.set(route.method, route);
      patterns.set(route.path, pattern);
    }
    this.#patterns = [...patterns.values()];
  }

  /** `path` without a query. */
  find(path: string): RoutedPath | undefined {
    const segments = path.split("/");
    const pattern = this.#patterns.find(
      (candidate) =>
        candidate.segments.length === segments.length &&
        candidate.segments.every((part, index) =>
          isParameter(part) ? segments[index] !== "" : part === segments[index],
        ),
    );
    if (pattern === undefined) return undefined;
    const methods = [...pattern.byMethod.keys()];
    const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
    return { byMethod: pattern.byMethod, allow, segments };
  }
}

/** The parts in braces, decoded. Throws `ERR_BAD_REQUEST`. */
export function pathParams({ path }: AdminRoute, segments: readonly string[]): Readonly<Record<string, string>> {
  const params: Record<string, string> = {};
  for (const [index, part] of path.split("/").entries()) {
    if (!isParameter(part)) continue;
    const name = part.slice(1, -1);
    try {
      params[name] = decodeURIComponent(segments[index]);
    } catch {
      throw new RequestError(`${name} must be percent-encoded UTF-8`, { parameter: name });
    }
  }
  return params;
}

function isParameter(part: string): boolean {
  return part.startsWith("{");
}
