import type { RouteConfig } from "../config/config.js";
import type { Destination } from "../proxy/destination.js";
import type { Routing } from "../proxy/front.js";
import type { Route } from "../proxy/route.js";
import { RouteTable } from "../proxy/route-table.js";
import type { RunningCluster } from "./running-cluster.js";

/** Where requests go by the routes, each of which names one of the clusters. */
export function routingOf(routes: readonly RouteConfig[], clusters: ReadonlyMap<string, RunningCluster>): Routing {
  const table = new RouteTable(routes);
  const destinations = table.routes.map((route) => destinationOf(route, clusters));
  const { single } = table;
  const [anyDestination] = destinations;
  if (single !== undefined) return { anyDestination, direct: () => anyDestination };
  return {
    anyDestination,
    direct(head, buffer) {
      const route = table.find(head, buffer);
      return route === undefined ? undefined : destinations[route.index];
    },
  };
}

function destinationOf(route: Route, clusters: ReadonlyMap<string, RunningCluster>): Destination {
  const { name, cluster } = route.config;
  const running = clusters.get(cluster);
  if (running === undefined) throw new Error(`route ${name} leads to no cluster: a resolved config has been changed`);
  return { route, context: running.context, roundTripper: running.roundTripper };
}
