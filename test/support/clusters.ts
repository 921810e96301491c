import type { TestContext } from "node:test";
import type { BalancerDependencies } from "../../src/balancer.js";
import type { ClusterConfig, Config, ListenerConfig, NodeConfig, ProcessSettings } from "../../src/config/config.js";
import type { RouteConfig } from "../../src/config/routes.js";
import { DEFAULTS, localNode, startConfig, type TestBalancer } from "./balancer.js";
import { routeTo } from "./routed-request.js";

/** Settings of one cluster; its nodes as ports of this machine, or complete. */
export type ClusterUnderTest = Partial<Omit<ClusterConfig, "name" | "nodes">> & {
  readonly nodes: readonly (number | NodeConfig)[];
};

/** What is left out is as users get it. */
export interface ClustersUnderTest {
  /** By name. */
  readonly clusters: Readonly<Record<string, ClusterUnderTest>>;
  /** Default: the cluster `a` has the paths below `/a`, and so on. */
  readonly routes?: readonly (Partial<RouteConfig> & Pick<RouteConfig, "cluster">)[];
  /** What holds for the whole process. */
  readonly process?: Partial<ProcessSettings> & { readonly listeners?: readonly ListenerConfig[] };
}

export type TestClusters = Omit<TestBalancer, "config"> & { readonly config: Config };

/** Starts a balancer with several clusters behind one listener; else as `startBalancer`. */
export async function startClusters(
  t: TestContext,
  given: ClustersUnderTest,
  dependencies: Partial<BalancerDependencies> = {},
): Promise<TestClusters> {
  const config = configOf(given);
  return { ...(await startConfig(t, config, dependencies)), config };
}

/** The config that `startClusters` starts with, for a reload. */
export function configOf({ clusters, routes, process = {} }: ClustersUnderTest): Config {
  const names = Object.keys(clusters);
  const routed = routes ?? names.map((cluster) => ({ path: `/${cluster}`, cluster }));
  return {
    ...DEFAULTS,
    ...process,
    clusters: Object.entries(clusters).map(([name, settings]) => ({
      ...DEFAULTS,
      ...process,
      ...settings,
      name,
      nodes: settings.nodes.map((node) => (typeof node === "number" ? localNode(node) : node)),
    })),
    routes: routed.map((route, index) => routeTo(route.cluster, { name: `route-${index + 1}`, ...route })),
  };
}

/** A config with these clusters, each of which gets what is below a path of its name, unless there are other routes. */
export function configWith(
  clusters: Readonly<Record<string, ClusterUnderTest>>,
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
