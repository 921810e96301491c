import { FnlbError } from "../errors.js";
import { checkRoutes, type RouteKey } from "./check-routes.js";
import type { FileRoute } from "./config-file.js";
import type { RouteConfig } from "./routes.js";
import { badOption } from "./units.js";
import { single, toggle } from "./value.js";

/** The routes of a config file; `clusters` are the names that they may lead to. Throws `ERR_OPTION` for the first fault. */
export function readRoutes(routes: readonly FileRoute[], clusters: readonly string[]): readonly RouteConfig[] {
  const configs = routes.map(readRoute);
  const [first, ...others] = checkRoutes(configs, new Set(clusters));
  if (first === undefined) return configs;
  const { sources, source } = routes[first.route];
  const keys = [...sources.keys()];
  // Faults come route by route; within one, in the order in which the file has the keys.
  const { key, reason } = others
    .filter(({ route }) => route === first.route)
    .reduce((found, fault) => (keys.indexOf(fault.key) < keys.indexOf(found.key) ? fault : found), first);
  // A key that is missing is at fault where its route stands.
  throw new FnlbError("ERR_OPTION", `${sources.get(key) ?? `${source}: "${key}"`} ${reason}`);
}

function readRoute({ entries, headers, source }: FileRoute, index: number): RouteConfig {
  const textOf = (key: RouteKey, otherwise: string) => {
    const value = entries.get(key);
    return value === undefined ? otherwise : single(value);
  };
  const itemsOf = (key: RouteKey) => entries.get(key)?.texts.map((item) => item.trim()) ?? [];
  const isOn = (key: RouteKey) => {
    const value = entries.get(key);
    return value !== undefined && toggle().read(value);
  };
  if (!entries.has("cluster")) throw badOption(source, 'given with a "cluster"', "none");
  return {
    name: textOf("name", `route-${index + 1}`),
    hosts: itemsOf("host"),
    path: textOf("path", "/"),
    isExact: isOn("exact"),
    methods: itemsOf("method"),
    headers: headers.map(({ name, value }) => ({ name, value: value?.texts[0] })),
    cluster: textOf("cluster", ""),
    stripsPrefix: isOn("strip-prefix"),
    redirectsSlash: isOn("redirect-slash"),
  };
}
