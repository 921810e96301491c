import type { ClusterSettings, Config, NodeConfig } from "../../src/config/config.js";
import { DEFAULTS, localNode } from "./balancer.js";
import { routeTo } from "./routed-request.js";

/** Settings of a cluster that are not the defaults; nodes are ports of this machine, or complete. */
export type ClusterChoice = Partial<Omit<ClusterSettings, "nodes">> & {
  readonly nodes: readonly (number | NodeConfig)[];
};

/** A config with these clusters, each of which gets what is below a path of its name, unless there are other routes. */
export function configOf(
  clusters: Readonly<Record<string, ClusterChoice>>,
  settings: Partial<Omit<Config, "clusters">> = {},
): Config {
  return {
    ...DEFAULTS,
    routes: Object.keys(clusters).map((name) => routeTo(name, { path: `/${name}` })),
    ...settings,
    clusters: Object.entries(clusters).map(([name, { nodes, ...choice }]) => ({
      ...DEFAULTS,
      ...choice,
      name,
      nodes: nodes.map((node) => (typeof node === "number" ? localNode(node) : node)),
    })),
  };
}
