import type { ClusterSettings } from "../config/config.js";
import { mayFindTls } from "../config/discovery.js";
import type { NodeConfig } from "../config/node-address.js";
import { discoveredTlsOf, securedNodes } from "../config/secured-nodes.js";
import { sleep } from "../core/clock.js";
import type { OpenLookup } from "../core/lookup.js";
import type { DiscoveryView } from "../core/snapshot.js";
import { type Stop, stopWith } from "../core/stop.js";
import { type Discovery, runDiscovery } from "../discovery/discovery.js";
import { dnsDiscovery } from "../discovery/dns-discovery.js";
import { fileDiscovery } from "../discovery/file-discovery.js";
import { joinedNodes } from "../discovery/ordered-nodes.js";
import type { ClusterContext } from "../proxy/context.js";
import { readTextFile } from "../system/text-file.js";

/** How long a start waits for the first answer. */
const FIRST_ANSWER_MS = 2000;

export interface DiscoveredNodesDependencies {
  readonly context: ClusterContext;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly openLookup: OpenLookup;
  readonly signal: AbortSignal;
  readonly keep: (loop: Promise<unknown>) => void;
  /** Others were found, or those that were found before are held no longer. */
  readonly onChange: () => void;
}

/** The nodes of a cluster that its list does not name, and the loop that looks for them. */
export class DiscoveredNodes {
  readonly #dependencies: DiscoveredNodesDependencies;
  #found: readonly NodeConfig[] = [];
  #trouble: string | undefined;
  #loop: Stop | undefined;

  constructor(dependencies: DiscoveredNodesDependencies) {
    this.#dependencies = dependencies;
  }

  /** Where nodes come from, as operators see it; undefined where they are listed. */
  get view(): DiscoveryView | undefined {
    const { discover } = this.#dependencies.context.config;
    return discover.kind === "none" ? undefined : { source: discover.name, trouble: this.#trouble };
  }

  /**
   * The nodes of a list and those that were found. Of a source that has not been asked yet these are those that the
   * cluster has: a reload that turns a list into a name must not leave a working cluster without nodes meanwhile.
   */
  joinedTo(settings: ClusterSettings, held: readonly NodeConfig[]): readonly NodeConfig[] {
    const { discover } = this.#dependencies.context.config;
    const isSame = JSON.stringify(settings.discover) === JSON.stringify(discover);
    const found = isSame ? this.#found : settings.discover.kind === "none" ? [] : held;
    return joinedNodes(settings.nodes, securedNodes(found, discoveredTlsOf(settings)));
  }

  /** Starts to look; resolves with the first answer, or after a short time to get one. */
  async open(): Promise<void> {
    const { context, signal } = this.#dependencies;
    const known = stopWith(signal);
    this.#start(() => known.abort());
    if (this.#loop !== undefined) await sleep(context.clock, FIRST_ANSWER_MS, known.signal);
    known.release();
  }

  /** Looks elsewhere from now on, as the config says now; `held` is what the cluster has until the first answer. */
  restart(held: readonly NodeConfig[]): void {
    this.#loop?.abort();
    this.#loop = undefined;
    this.#trouble = undefined;
    const isOn = this.#dependencies.context.config.discover.kind !== "none";
    this.#found = isOn ? held : [];
    this.#start(() => {});
  }

  #start(onFirstAnswer: () => void): void {
    const { context, random, openLookup, signal, keep, onChange } = this.#dependencies;
    const { clock, log, counters, config, name } = context;
    const source = discoveryOf(config, openLookup);
    if (source === undefined) return;
    const stop = stopWith(signal);
    this.#loop = stop;
    const onNodes = (nodes: readonly NodeConfig[]) => {
      this.#found = nodes;
      onChange();
    };
    const options = {
      cluster: name,
      get intervalMinMs() {
        return config.discoverIntervalMinMs;
      },
      get intervalMaxMs() {
        return config.discoverIntervalMaxMs;
      },
      get allowsEmpty() {
        return config.discoverAllowsEmpty;
      },
      get nodesMax() {
        return config.discoverNodesMax;
      },
    };
    const onAnswer = (trouble: string | undefined) => {
      this.#trouble = trouble;
      onFirstAnswer();
    };
    const dependencies = { clock, random, log, counters, onNodes, onAnswer };
    keep(runDiscovery(dependencies, options, source, stop.signal));
  }
}

function discoveryOf({ discover }: ClusterSettings, openLookup: OpenLookup): Discovery | undefined {
  switch (discover.kind) {
    case "none":
      return undefined;
    case "file":
      return fileDiscovery({ readText: readTextFile }, discover);
    case "dns":
    case "srv":
      return dnsDiscovery({ openLookup }, discover);
    default:
      return discover satisfies never;
  }
}

/** A node in TLS as they may be discovered: what all of them are dialled with must be there before the first is. */
export function secureStandIns(settings: ClusterSettings): readonly NodeConfig[] {
  const { discover } = settings;
  if (discover.kind === "none" || !mayFindTls(discover)) return [];
  const address = { kind: "tcp", host: "discovered.invalid", port: 443, basePath: "", tls: true } as const;
  return [{ id: discover.name, address, weight: 1, tls: discoveredTlsOf(settings) }];
}
