import type { ClusterConfig, Config } from "../config/config.js";
import type { Clock } from "../core/clock.js";
import { type Cluster, staticCluster } from "../core/cluster.js";
import { createNode } from "../core/node.js";
import type { Explanation, RequestSketch } from "../core/operations.js";
import type { Route } from "../proxy/route.js";
import { RouteTable } from "../proxy/route-table.js";
import { systemClock } from "../system/clock.js";
import { affinityOf } from "./affinity.js";
import { type ExplainedDestination, explain } from "./explanation.js";
import { policyOf } from "./policy.js";

/**
 * What would become of a request if a balancer ran with this config and all of its nodes were well. The clock is for
 * cookies that expire.
 */
export function explainConfig(config: Config, request: RequestSketch, clock: Clock = systemClock): Explanation {
  const table = new RouteTable(config.routes);
  return explain(
    {
      context: { config, viaName: "" },
      direct(head, buffer) {
        const route = table.find(head, buffer);
        return route === undefined ? undefined : destinationOf(config, route, clock);
      },
      canOpenTunnel: () => true,
    },
    request,
    "config",
  );
}

function destinationOf(config: Config, route: Route, clock: Clock): ExplainedDestination {
  const { cluster: name } = route.config;
  const found = config.clusters.find((cluster) => cluster.name === name);
  if (found === undefined)
    throw new Error(`route ${route.config.name} leads to no cluster: a resolved config has been changed`);
  const { name: _, ...settings } = found;
  const context = {
    name,
    config: { ...config, ...settings },
    cluster: clusterOf(found, clock),
    affinity: affinityOf(found, clock),
  };
  return { route, context, roundTripper: { queued: 0 }, unknown: unknownOf(config, found) };
}

function clusterOf(config: ClusterConfig, clock: Clock): Cluster {
  // Nobody asks chance: policies that do are not asked, and all nodes are warm.
  const random = () => 0;
  const affinity = affinityOf(config, clock);
  return staticCluster(
    {
      policy: policyOf(config, { clock, random }),
      now: () => clock.now(),
      random,
      affinity: affinity && ((exchange, members) => affinity.find(exchange, members)),
    },
    config,
    config.nodes.map(({ id, address, weight }, index) => createNode(id, index, address, weight)),
  );
}

function unknownOf({ store }: Config, { discover }: ClusterConfig): string[] {
  const unknown: string[] = [];
  if (discover.kind !== "none")
    unknown.push(`nodes that are discovered (${discover.name}) are known to a running fnlb only`);
  if (store !== "") unknown.push("what operators have said about nodes is known to a running fnlb and its store only");
  return unknown;
}
