import type { RouteConfig } from "../config/config.js";
import type { Destination } from "../proxy/destination.js";
import type { Routing } from "../proxy/front.js";
import type { RunningCluster } from "./running-cluster.js";

/** Where requests go by the routes, each of which names one of the clusters. */
export function routingOf(routes: readonly RouteConfig[], clusters: ReadonlyMap<string, RunningCluster>): Routing {
  const destinations = routes.map(({ name, cluster }): Destination => {
    const running = clusters.get(cluster);
    if (running === undefined) throw new Error(`route ${name} leads to no cluster`);
    return { route: name, context: running.context, roundTripper: running.roundTripper };
  });
  const [first] = destinations;
  return { anyDestination: first, direct: () => first };
}
