import { FnlbError } from "../errors.js";
import { checkRoutes } from "./check-routes.js";
import type { FileRoute, FileValue, RouteKey } from "./config-file.js";
import type { RouteConfig } from "./routes.js";
import { badOption } from "./units.js";
import { single, TOKEN, toggle } from "./value.js";

/**
 * The routes of a config file; `clusters` are the names that they may lead to. Throws `ERR_OPTION` for the first one
 * that cannot be served or cannot be told from another.
 */
export function readRoutes(routes: readonly FileRoute[], clusters: readonly string[]): readonly RouteConfig[] {
  const configs = routes.map((route, index) => readRoute(route, index, clusters));
  const [fault] = checkRoutes(configs, new Set(clusters));
  if (fault !== undefined)
    throw new FnlbError("ERR_OPTION", `${sourceOf(routes[fault.route], fault.key)} ${fault.reason}`);
  return configs;
}

/** Where a key of a route stands, or the route itself where the key was left out. */
function sourceOf({ source, entries, headers }: FileRoute, key: RouteKey): string {
  const given = key === "header" ? headers[0]?.name : entries.get(key);
  return given === undefined ? `${source}: "${key}"` : given.source;
}

function readRoute(route: FileRoute, index: number, clusters: readonly string[]): RouteConfig {
  const { entries } = route;
  const textOf = (key: RouteKey, otherwise: string) => {
    const value = entries.get(key);
    return value === undefined ? otherwise : single(value);
  };
  const itemsOf = (key: RouteKey) => entries.get(key)?.texts.map((item) => item.trim()) ?? [];
  const isOn = (key: RouteKey) => {
    const value = entries.get(key);
    return value !== undefined && toggle().read(value);
  };
  const cluster = entries.get("cluster");
  if (cluster === undefined) throw badOption(route.source, 'given with a "cluster"', "none");
  if (!clusters.includes(single(cluster))) {
    throw badOption(cluster.source, `one of ${clusters.join(", ")}`, single(cluster));
  }
  return {
    name: textOf("name", `route-${index + 1}`),
    hosts: itemsOf("host"),
    path: textOf("path", "/"),
    isExact: isOn("exact"),
    methods: itemsOf("method"),
    headers: route.headers.map(({ name, value }) => ({
      name: headerName(name),
      value: value === undefined ? undefined : single(value),
    })),
    cluster: single(cluster),
    stripsPrefix: isOn("strip-prefix"),
    redirectsSlash: isOn("redirect-slash"),
  };
}

function headerName(given: FileValue): string {
  const name = single(given);
  if (!TOKEN.test(name)) throw badOption(given.source, "names of fields", name);
  return name.toLowerCase();
}
