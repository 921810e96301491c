import type { FileRoute, FileValue, RouteKey } from "./config-file.js";
import type { RouteConfig } from "./routes.js";
import { badOption } from "./units.js";
import { single, TOKEN, toggle } from "./value.js";

/** The routes of a config file; `clusters` are the names that they may lead to. */
export function readRoutes(routes: readonly FileRoute[], clusters: readonly string[]): readonly RouteConfig[] {
  return routes.map((route, index) => readRoute(route, index, clusters));
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
    name: textOf("name", `${index + 1}`),
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
