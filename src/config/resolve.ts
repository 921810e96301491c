import type { PolicyName } from "../core/policies/table.js";
import { checkAdmin } from "./admin.js";
import { checkCluster } from "./check-cluster.js";
import { refuseIdleTls } from "./check-tls.js";
import { CLUSTER_OPTIONS } from "./cluster-options.js";
import type { ClusterConfig, ClusterSettings, Config, ListenerConfig, ProcessSettings, RouteConfig } from "./config.js";
import type { ConfigFile } from "./config-file.js";
import { type ListenAddress, listenName } from "./listen-address.js";
import type { OptionRow } from "./option-row.js";
import { environmentName, isOption, isSecret, OPTIONS, type OptionName } from "./options.js";
import type { Origin } from "./origin.js";
import { PROCESS_OPTIONS } from "./process-options.js";
import { readRoutes } from "./read-routes.js";
import { nodeTlsOf, securedNodes } from "./secured-nodes.js";
import { checkSticky } from "./sticky.js";
import type { TlsListenerConfig } from "./tls.js";
import { badOption } from "./units.js";
import { type Given, single } from "./value.js";

/** What options come as: text as on a command line, numbers in the smallest unit, booleans; lists for repeatable ones. */
export type OptionValue = string | number | boolean | readonly (string | number)[];

export interface ConfigSources {
  /** By option name, with dashes: `{ nodes: "a,b", "ping-interval": "500ms" }`. */
  readonly options?: Readonly<Partial<Record<OptionName, OptionValue | undefined>>>;
  /** The process's environment. Only the variables of known options are read: Kubernetes injects others of the same prefix. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A config file, see `parseConfigFile`. */
  readonly file?: ConfigFile | undefined;
}

/** The name of the only cluster where no file names any. */
export const DEFAULT_CLUSTER = "default";

/**
 * Resolves options, environment, config file and defaults, in this order of precedence, to a complete, checked and
 * frozen config. A flag or variable of a cluster's option holds for all clusters. Throws `ERR_OPTION` with a sentence
 * that names the option, variable or place in the file, what it must be and what it was.
 */
export function resolveConfig(sources: ConfigSources = {}): Config {
  const { options = {}, file } = sources;
  for (const name of Object.keys(options)) {
    if (!isOption(name)) throw badOption(`option "${name}"`, "one of those in docs/options.md", name);
  }
  const names = clusterNames(file);
  for (const name of ["nodes", "discover"] as const) {
    const given = originOf(name, sources);
    // None for anybody is what the default says, too.
    const isNone = name === "discover" && single(given) === "";
    if (names.length > 1 && !given.isDefault && !isNone) {
      throw badOption(given.source, "left out where a config file has several clusters", single(given));
    }
  }
  const origins = (cluster: string) => (name: OptionName) => originOf(name, sources, cluster);
  const { listen, proxyListen, tlsListen, proxyTlsListen, ...settings } = readTable(PROCESS_OPTIONS, (name) =>
    originOf(name, sources),
  );
  const clusters = names.map((name): ClusterConfig => ({ name, ...readCluster(origins(name), names.length) }));
  refuseUnread(clusters, sources);
  const tls = readTls(settings as ProcessSettings, sources);
  const listeners = readListeners([
    { given: originOf("listen", sources), addresses: listen as readonly ListenAddress[] },
    { given: originOf("proxy-listen", sources), addresses: proxyListen as readonly ListenAddress[], isProxied: true },
    { given: originOf("tls-listen", sources), addresses: tlsListen as readonly ListenAddress[], security: { tls } },
    {
      given: originOf("proxy-tls-listen", sources),
      addresses: proxyTlsListen as readonly ListenAddress[],
      isProxied: true,
      security: { tls },
    },
  ]);
  checkAdmin(settings as ProcessSettings, {
    token: originOf("admin-token", sources).source,
    cert: originOf("admin-tls-cert", sources).source,
    key: originOf("admin-tls-key", sources).source,
    clientCa: originOf("admin-client-ca", sources).source,
  });
  refuseIdleTls(listeners, clusters, (name, cluster) => originOf(name, sources, cluster));
  return deepFreeze({
    ...(settings as ProcessSettings),
    listeners,
    clusters,
    routes: file === undefined || file.routes.length === 0 ? catchAll(names) : readRoutes(file.routes, names),
  });
}

/** The clusters that a file names, or the only one. */
export function clusterNames(file: ConfigFile | undefined): readonly string[] {
  return file === undefined || file.clusters.size === 0 ? [DEFAULT_CLUSTER] : [...file.clusters.keys()];
}

/** A file with several clusters has routes. */
function catchAll([cluster]: readonly string[]): readonly RouteConfig[] {
  return [
    {
      name: cluster,
      hosts: [],
      path: "/",
      isExact: false,
      methods: [],
      headers: [],
      cluster,
      stripsPrefix: false,
      redirectsSlash: false,
    },
  ];
}

/** What a table's options come to, by field. */
function readTable<Table extends Readonly<Record<string, OptionRow>>>(
  table: Table,
  origin: (name: OptionName) => Given,
): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  // The names of a table of options are names of options.
  for (const [name, row] of Object.entries(table)) values[row.field] = row.read(origin(name as OptionName));
  return values;
}

function readCluster(origin: (name: OptionName) => Origin, clusterCount: number): ClusterSettings {
  // Read by the same table that the type is made from.
  const read = readTable(CLUSTER_OPTIONS, origin) as ClusterSettings;
  // With discovery the default node would get traffic that nobody meant for it.
  const isDiscovered = read.discover.kind !== "none" && origin("nodes").isDefault;
  const values = { ...read, nodes: isDiscovered ? [] : securedNodes(read.nodes, nodeTlsOf(read)) };
  checkDiscovery(values, origin);
  checkSticky(values, {
    cookie: origin("sticky-cookie").source,
    secret: origin("sticky-secret").source,
    header: origin("sticky-header").source,
    sameSite: origin("sticky-same-site").source,
  });
  checkCluster(values, origin);
  for (const [name, readers] of POLICIES_OF) {
    const given = origin(name);
    if (!isIdle(values.policy, readers, given, name)) continue;
    // What stands for all clusters may be meant for another one.
    if (!given.isOwn && clusterCount > 1) continue;
    throw badOption(given.source, `left out unless the policy is ${readers.join(" or ")}`, single(given));
  }
  return values;
}

const BY_KEY: readonly PolicyName[] = ["ring-hash", "maglev", "rendezvous"];
/** Options that only some policies read. */
const POLICIES_OF: readonly (readonly [OptionName, readonly PolicyName[]])[] = [
  ["hash", ["ring-hash"]],
  ["balance-factor", BY_KEY],
  ["spread", BY_KEY],
  ["maglev-table-size", ["maglev"]],
  ["wrr-mode", ["weighted-round-robin"]],
  // With hashing a weight that moves would move keys, which is what hashing is there to prevent.
  ["rebalance", ["weighted-round-robin", "least-loaded", "p2c-ewma", "random"]],
];

/** Whoever sets an option that the policy does not read expects something that would not happen. */
function isIdle(policy: PolicyName, readers: readonly PolicyName[], given: Given, name: OptionName): boolean {
  return !readers.includes(policy) && single(given) !== OPTIONS[name].default;
}

/** An option for all clusters that none of them reads. */
function refuseUnread(clusters: readonly ClusterConfig[], sources: ConfigSources): void {
  for (const [name, readers] of POLICIES_OF) {
    const given = originOf(name, sources);
    if (clusters.every(({ policy }) => isIdle(policy, readers, given, name))) {
      throw badOption(given.source, `left out unless the policy is ${readers.join(" or ")}`, single(given));
    }
  }
}

/** Where an option's text comes from, for one cluster or for the process. */
export function originOf(name: OptionName, { options = {}, env = {}, file }: ConfigSources, cluster = ""): Origin {
  const spec: OptionRow = OPTIONS[name];
  const value = options[name];
  if (value !== undefined) {
    const source = `option "${name}"`;
    const texts = (Array.isArray(value) ? value : [value]).map(String);
    // What `--no-nodes` comes to.
    if (typeof value === "boolean" && spec.kind !== "switch") throw badOption(source, "given with a value", texts[0]);
    if (texts.length > 1 && spec.isRepeatable === undefined) {
      throw badOption(
        source,
        "given once",
        texts.some((text) => isSecret(name, text)) ? `${texts.length} texts` : texts.join(" "),
      );
    }
    return { texts, source, place: `--${name}`, isOwn: false, isDefault: false };
  }
  const variable = environmentName(name);
  const fromEnv = env[variable];
  if (fromEnv !== undefined) {
    const isListOfTexts = spec.isRepeatable === true && spec.kind === "text";
    const texts = isListOfTexts ? fromEnv.split(spec.separator ?? ",") : [fromEnv];
    return { texts, source: `environment variable ${variable}`, place: variable, isOwn: false, isDefault: false };
  }
  const own = file?.clusters.get(cluster)?.get(name);
  if (own !== undefined) return { ...own, isOwn: true, isDefault: false };
  const shared = file?.options.get(name);
  if (shared !== undefined) return { ...shared, isOwn: false, isDefault: false };
  return {
    texts: [spec.default],
    source: `default of option "${name}"`,
    place: "default",
    isOwn: false,
    isDefault: true,
  };
}

/** The listeners of one option. */
interface GivenListeners {
  readonly given: Origin;
  readonly addresses: readonly ListenAddress[];
  readonly isProxied?: boolean;
  /** They speak TLS; undefined in it where no certificate was given. */
  readonly security?: { readonly tls: TlsListenerConfig | undefined };
}

function readListeners(all: readonly GivenListeners[]): readonly ListenerConfig[] {
  const [plain, ...others] = all;
  // With one of the others alone nothing else is opened: the default port would let clients round proxy and TLS.
  const isAlone = others.some(({ addresses }) => addresses.length > 0) && plain.given.isDefault;
  const listeners: ListenerConfig[] = [];
  const seen = new Set<string>();
  for (const { given, addresses, isProxied = false, security } of isAlone ? others : all) {
    if (addresses.length === 0) continue;
    if (security !== undefined && security.tls === undefined) {
      throw badOption(given.source, "given with --tls-cert", given.texts.join(" "));
    }
    for (const address of addresses) {
      const name = listenName(address);
      if (seen.has(name)) throw badOption(given.source, "free of repeated addresses", name);
      // Port 0 is another port each time.
      if (!name.endsWith(":0")) seen.add(name);
      const { tls } = security ?? {};
      listeners.push({ address, proxyProtocol: isProxied, ...(tls === undefined ? {} : { tls }) });
    }
  }
  if (listeners.length === 0) throw badOption(plain.given.source, "an address or more", "");
  return listeners;
}

/** How listeners of `--tls-listen` and `--proxy-tls-listen` speak TLS; undefined without a certificate. */
function readTls(settings: ProcessSettings, sources: ConfigSources): TlsListenerConfig | undefined {
  const { tlsCertFiles, tlsKeyFiles, tlsClientAuth, tlsClientCaFile, tlsMinVersion } = settings;
  const keys = originOf("tls-key", sources);
  if (tlsKeyFiles.length > 0 && tlsKeyFiles.length !== tlsCertFiles.length) {
    throw badOption(keys.source, `as many files as --tls-cert has, ${tlsCertFiles.length}`, keys.texts.join(" "));
  }
  const ca = originOf("tls-client-ca", sources);
  if ((tlsClientAuth === "none") !== (tlsClientCaFile === "")) {
    throw badOption(ca.source, "given with --tls-client-auth request or require, and only then", tlsClientCaFile);
  }
  if (tlsCertFiles.length === 0) return undefined;
  return {
    certificates: tlsCertFiles.map((certFile, index) => ({ certFile, keyFile: tlsKeyFiles[index] ?? certFile })),
    clientCaFile: tlsClientCaFile,
    clientCertificates: tlsClientAuth,
    minVersion: tlsMinVersion,
  };
}

function checkDiscovery(
  { discover, discoverIntervalMinMs, discoverIntervalMaxMs, nodeTlsName }: ClusterSettings,
  origin: (name: OptionName) => Origin,
): void {
  const max = origin("discover-max-interval");
  if (!max.isDefault && discoverIntervalMaxMs < discoverIntervalMinMs) {
    throw badOption(max.source, "at least --discover-min-interval", single(max));
  }
  if (discover.kind === "srv" && discover.node.address.tls === true && nodeTlsName === "") {
    // Whoever can forge the records could name a target that it has a certificate for.
    throw badOption(origin("discover").source, "given with --node-tls-name for https services", discover.name);
  }
}

/** Nobody changes a config behind its reader's back. */
function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
