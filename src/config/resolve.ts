import type { PolicyName } from "../core/policies/table.js";
import { CLUSTER_OPTIONS } from "./cluster-options.js";
import type { ClusterConfig, ClusterSettings, Config, ListenerConfig, ProcessSettings, RouteConfig } from "./config.js";
import type { ConfigFile } from "./config-file.js";
import { type ListenAddress, listenName } from "./listen-address.js";
import type { OptionRow } from "./option-row.js";
import { environmentName, isOption, OPTIONS, type OptionName } from "./options.js";
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

/** Text of an option, and how far up it comes from. */
export interface Origin extends Given {
  /** `--nodes`, `FNLB_NODES`, `fnlb.yaml:3`, `default`. */
  readonly place: string;
  /** It stands for this cluster and no other. */
  readonly isOwn: boolean;
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
  const givenNodes = originOf("nodes", sources);
  if (names.length > 1 && givenNodes.place !== "default") {
    throw badOption(givenNodes.source, "left out where a config file has several clusters", single(givenNodes));
  }
  const origins = (cluster: string) => (name: OptionName) => originOf(name, sources, cluster);
  const { listen, proxyListen, tlsListen, ...settings } = readTable(PROCESS_OPTIONS, (name) => originOf(name, sources));
  const clusters = names.map((name): ClusterConfig => ({ name, ...readCluster(origins(name), names.length) }));
  refuseUnread(clusters, sources);
  return deepFreeze({
    ...(settings as ProcessSettings),
    listeners: readListeners(
      { given: originOf("listen", sources), addresses: listen as readonly ListenAddress[] },
      { given: originOf("proxy-listen", sources), addresses: proxyListen as readonly ListenAddress[] },
      { given: originOf("tls-listen", sources), addresses: tlsListen as readonly ListenAddress[] },
      readTls(settings as ProcessSettings, sources),
    ),
    clusters,
    routes: file === undefined || file.routes.length === 0 ? catchAll(names, file) : readRoutes(file.routes, names),
  });
}

/** The clusters that a file names, or the only one. */
export function clusterNames(file: ConfigFile | undefined): readonly string[] {
  return file === undefined || file.clusters.size === 0 ? [DEFAULT_CLUSTER] : [...file.clusters.keys()];
}

function catchAll([cluster, ...others]: readonly string[], file: ConfigFile | undefined): readonly RouteConfig[] {
  if (others.length > 0) throw badOption(`${file?.name}: "routes"`, "given where there are several clusters", "none");
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
  const values = { ...read, nodes: securedNodes(read.nodes, nodeTlsOf(read)) };
  checkSticky(values, {
    secret: origin("sticky-secret").source,
    header: origin("sticky-header").source,
    sameSite: origin("sticky-same-site").source,
  });
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
    if (texts.length > 1 && spec.isRepeatable === undefined) throw badOption(source, "given once", texts.join(" "));
    return { texts, source, place: `--${name}`, isOwn: false };
  }
  const variable = environmentName(name);
  const fromEnv = env[variable];
  if (fromEnv !== undefined) {
    const isListOfTexts = spec.isRepeatable === true && spec.kind === "text";
    const texts = isListOfTexts ? fromEnv.split(spec.separator ?? ",") : [fromEnv];
    return { texts, source: `environment variable ${variable}`, place: variable, isOwn: false };
  }
  const own = file?.clusters.get(cluster)?.get(name);
  if (own !== undefined) return { ...own, isOwn: true };
  const shared = file?.options.get(name);
  if (shared !== undefined) return { ...shared, isOwn: false };
  return { texts: [spec.default], source: `default of option "${name}"`, place: "default", isOwn: false };
}

interface GivenListeners {
  readonly given: Origin;
  readonly addresses: readonly ListenAddress[];
}

function readListeners(
  plain: GivenListeners,
  proxied: GivenListeners,
  secure: GivenListeners,
  tls: TlsListenerConfig | undefined,
): readonly ListenerConfig[] {
  // With one of the others alone nothing else is opened: the default port would let clients round proxy and TLS.
  const isAlone = proxied.addresses.length + secure.addresses.length > 0 && plain.given.place === "default";
  if (secure.addresses.length > 0 && tls === undefined) {
    throw badOption(secure.given.source, "given with --tls-cert", secure.given.texts.join(" "));
  }
  const listeners = [
    ...(isAlone ? [] : plain.addresses.map((address) => ({ address, proxyProtocol: false }))),
    ...proxied.addresses.map((address) => ({ address, proxyProtocol: true })),
    ...secure.addresses.map((address) => ({ address, proxyProtocol: false, ...(tls === undefined ? {} : { tls }) })),
  ];
  if (listeners.length === 0) throw badOption(plain.given.source, "an address or more", "");
  const seen = new Set<string>();
  for (const { address } of listeners) {
    const name = listenName(address);
    if (seen.has(name)) throw badOption(plain.given.source, "free of repeated addresses", name);
    // Port 0 is another port each time.
    if (!name.endsWith(":0")) seen.add(name);
  }
  return listeners;
}

/** How listeners of `--tls-listen` speak TLS; undefined without a certificate. */
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

/** Nobody changes a config behind its reader's back. */
function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
