import { operatorOf } from "./assembly/operator.js";
import { proveConfig } from "./assembly/prove-config.js";
import { type DrainResult, RunningBalancer } from "./assembly/running-balancer.js";
import type { Config } from "./config/config.js";
import type { OptionName } from "./config/options.js";
import type { Clock } from "./core/clock.js";
import type { Log, LogLevelDial } from "./core/log.js";
import type { OpenLookup } from "./core/lookup.js";
import type { Operations } from "./core/operations.js";
import type { Store } from "./store/store.js";
import { type Resolve, systemResolve } from "./system/address-book.js";
import { systemClock } from "./system/clock.js";
import { connectionsWithin, descriptorLimit } from "./system/descriptor-limit.js";
import { systemLookup } from "./system/name-lookup.js";

export type { DrainResult } from "./assembly/running-balancer.js";

export interface BalancerDependencies {
  /** Where events go. */
  readonly log: Log;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** A number in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  /** Resolves the names of nodes. Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** Asks DNS for nodes that are to be discovered. Default: the resolvers that the system is configured with. */
  readonly openLookup?: OpenLookup;
  /** Where operators say what they want of nodes; the balancer runs it. Default: as the config says. */
  readonly store?: Store;
  /** "plain" keeps to the public socket API. Default: `FNLB_SOCKETS`. */
  readonly sockets?: string;
  /** For operators to change. Default: there is none. */
  readonly logLevel?: LogLevelDial;
  /** Where the value of an option in force comes from, for operators to see: `--nodes`, `fnlb.yaml:3:5`. Default: unknown. */
  readonly placeOf?: (name: OptionName, cluster?: string) => string | undefined;
}

/** A running load balancer. Nothing is opened before `listen`. */
export interface Balancer extends Operations {
  /** Opens every listener and resolves to their bound addresses (`127.0.0.1:41234`, `[::1]:8081`, `unix:/path`), in order. */
  listen(): Promise<readonly string[]>;
  /**
   * Takes a new config over, all of it or nothing: rejects with `ERR_OPTION` or `ERR_LISTEN`, and then nothing has
   * changed. What is the same in both is left alone: listeners, clusters, nodes, their connections and what is known
   * of them. Running exchanges and tunnels end as they began. A function gives the config when it is its turn; what it
   * throws is a reload that has failed.
   */
  reload(config: Config | (() => Config)): Promise<void>;
  /** Waits the drain delay, stops accepting, lets exchanges finish for at most the shutdown timeout, then closes. */
  drain(): Promise<DrainResult>;
  /** Ends everything now. Twice is fine. */
  close(): Promise<void>;
  /** Reopens the access log after a rotation. */
  reopenLogs(): void;
  /** Where the admin API listens: `127.0.0.1:9081`, `unix:/path`; undefined while it is off. */
  readonly adminAddress: string | undefined;
  /** Reads certificates and keys again, now instead of within ten seconds. New ones that are bad are logged and left. */
  reloadCertificates(): Promise<void>;
}

/** Builds a balancer from a resolved config (see `resolveConfig`); `connectionsMax` 0 takes what descriptors allow. */
export function createBalancer(given: Config, dependencies: BalancerDependencies): Balancer {
  const config = complete(given);
  const { log, logLevel, store, clock = systemClock, random = Math.random, resolve = systemResolve } = dependencies;
  const { openLookup = () => systemLookup(), placeOf = () => undefined } = dependencies;
  const { sockets = process.env.FNLB_SOCKETS } = dependencies;
  proveConfig(config, { clock, random });
  const operations = () => balancer;
  const running = new RunningBalancer(
    { log, logLevel, store, clock, random, resolve, openLookup, placeOf, sockets, operations },
    config,
  );
  const balancer: Balancer = {
    ...operatorOf(() => running.operated),
    listen: () => running.listen(),
    reload: (next) => running.reload(() => complete(typeof next === "function" ? next() : next)),
    drain: () => running.drain(),
    close: () => running.close(),
    reopenLogs: () => running.reopenLogs(),
    get adminAddress() {
      return running.adminAddress;
    },
    reloadCertificates: () => running.reloadCertificates(),
    snapshot: () => running.snapshot(),
  };
  return balancer;
}

function complete(config: Config): Config {
  return config.connectionsMax > 0 ? config : { ...config, connectionsMax: connectionsWithin(descriptorLimit()) };
}
