import type { Dispatcher } from "undici";

/** The path without its query, as it stands in the request. */
export function keyPathOf({ path }: Dispatcher.DispatchOptions): string {
  const target = originFormOf(path);
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

/**
 * The request without the origin that it was made for, which stays its Host unless the caller has set another. Throws
 * a `TypeError` for an origin or an absolute target that is no URL.
 */
export function withoutOrigin(options: Dispatcher.DispatchOptions): Dispatcher.DispatchOptions {
  const { origin, path } = options;
  const target = originFormOf(path);
  return { ...options, path: target, headers: withHost(options, target === path ? origin : new URL(path).origin) };
}

/** The request as it goes to one node. */
export function toNode(
  options: Dispatcher.DispatchOptions,
  origin: string,
  basePath: string,
): Dispatcher.DispatchOptions {
  // What CONNECT asks for is no path.
  const path = options.method === "CONNECT" ? options.path : `${basePath}${options.path}`;
  return { ...options, origin, path };
}

/** The target of a request to a proxy is a whole URL (RFC 9112 §3.2.2), of which a node is sent the path. */
function originFormOf(path: string): string {
  if (!path.startsWith("http://") && !path.startsWith("https://")) return path;
  const start = path.indexOf("/", path.indexOf("//") + 2);
  return start < 0 ? "/" : path.slice(start);
}

function withHost({ headers }: Dispatcher.DispatchOptions, origin: string | URL | undefined): string[] {
  const list = toList(headers);
  for (let index = 0; index < list.length; index += 2) if (list[index].toLowerCase() === "host") return list;
  return origin === undefined ? list : ["host", new URL(origin).host, ...list];
}

/** Once for all attempts: an iterator can be read only once. */
function toList(headers: Dispatcher.DispatchOptions["headers"]): string[] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) return headers;
  const entries = Symbol.iterator in headers ? headers : Object.entries(headers);
  const list: string[] = [];
  for (const [name, value] of entries as Iterable<[string, string | string[] | undefined]>) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) list.push(name, one);
  }
  return list;
}
