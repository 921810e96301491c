import { randomUUID } from "node:crypto";
import { adminTls } from "../config/admin.js";
import type { ClusterConfig, Config, NodeConfig } from "../config/config.js";
import { type Clock, sleep } from "../core/clock.js";
import { Counters } from "../core/counters.js";
import type { Log } from "../core/log.js";
import type { OpenLookup } from "../core/lookup.js";
import { decideReadiness } from "../core/readiness.js";
import type { BalancerSnapshot } from "../core/snapshot.js";
import { FnlbError } from "../errors.js";
import type { ProxyContext } from "../proxy/context.js";
import { Front } from "../proxy/front.js";
import { openStore } from "../store/open-store.js";
import type { Store } from "../store/store.js";
import type { Resolve } from "../system/address-book.js";
import { type AdoptedKeys, Keyring } from "../system/keyring.js";
import { openSockets, type Sockets } from "../system/sockets.js";
import { AccessLogFile } from "./access-log-file.js";
import { Admin, type Administered, type OpenedAdmin } from "./admin.js";
import { secureStandIns } from "./discovered-nodes.js";
import { securedStandIn } from "./edited-nodes.js";
import { Heartbeat } from "./heartbeat.js";
import { httpDate } from "./http-date.js";
import { Listeners, type OpenedListeners } from "./listeners.js";
import type { Operated } from "./operator.js";
import { proveConfig } from "./prove-config.js";
import { routingOf } from "./routing.js";
import { RunningClusters, type StagedClusters } from "./running-clusters.js";
import { trustOf } from "./trust.js";

export interface RunningBalancerDependencies extends Omit<Administered, "config"> {
  readonly log: Log;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  readonly openLookup: OpenLookup;
  /** Undefined: as the config says. */
  readonly store: Store | undefined;
  /** See `openSockets`. */
  readonly sockets: string | undefined;
}

export interface DrainResult {
  /** Exchanges and tunnels that had to be cut because the shutdown timeout ran out. */
  readonly cut: number;
}

/** What there is once the balancer listens. */
interface Parts {
  readonly sockets: Sockets;
  readonly context: { -readonly [Field in keyof ProxyContext]: ProxyContext[Field] };
  readonly front: Front;
  readonly listeners: Listeners;
  readonly store: Store;
  readonly clusters: RunningClusters;
}

/** One balancer from its first listener to its last loop: what it opens, takes over, drains and closes, in which order. */
export class RunningBalancer {
  readonly #dependencies: RunningBalancerDependencies;
  #config: Config;
  readonly #counters = new Counters();
  readonly #heartbeat = new Heartbeat();
  readonly #keyring: Keyring;
  readonly #admin: Admin;
  readonly #stopping = new AbortController();
  readonly #loops = new Set<Promise<unknown>>();
  #accessLog: AccessLogFile | undefined;
  #parts: Parts | undefined;
  #isListening = false;
  #startedAtMs = 0;
  #draining: Promise<DrainResult> | undefined;
  #closing: Promise<void> | undefined;
  #reloading: Promise<void> = Promise.resolve();
  #isConfigRefused = false;

  /** Opens nothing. */
  constructor(dependencies: RunningBalancerDependencies, config: Config) {
    const { clock, log, operations, logLevel, placeOf } = dependencies;
    const counters = this.#counters;
    this.#dependencies = dependencies;
    this.#config = config;
    this.#keyring = new Keyring({ clock, log, counters });
    const about = { operations, logLevel, placeOf, config: () => this.#config };
    this.#admin = new Admin({ clock, log, counters, keyring: this.#keyring }, about);
  }

  get adminAddress(): string | undefined {
    return this.#admin.address;
  }

  /** What operators may ask and change; throws `ERR_DRAINING` while nothing listens. */
  get operated(): Operated {
    if (this.#parts === undefined || !this.#isListening || this.#stopping.signal.aborted)
      throw new FnlbError("ERR_DRAINING", "only a balancer that listens can be asked or changed");
    const { front, clusters, listeners } = this.#parts;
    return { front, listeners, clusters: clusters.byName };
  }

  /** Keeps a loop until it has ended, so that `close` can wait for it. */
  readonly #keep = (loop: Promise<unknown>): void => {
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
  };

  /** See `Balancer.listen`. */
  async listen(): Promise<readonly string[]> {
    const { log, clock } = this.#dependencies;
    const { clusters, connectionsMax } = this.#config;
    const nodes = clusters.flatMap(({ nodes, discover }) => [
      ...nodes.map(({ id }) => id),
      ...(discover.kind === "none" ? [] : [discover.name]),
    ]);
    log.info({ event: "forwarding", nodes, connectionsMax }, `forwarding calls to [${nodes.join(" ")}]`);
    try {
      const { listeners } = await this.#start();
      const opened = await listeners.open(this.#config);
      opened.commit();
      this.#failIfEnding();
      this.#isListening = true;
      this.#startedAtMs = clock.wallNow();
      return listeners.addresses;
    } catch (error) {
      await this.close();
      // What was opened while `close` was already under way is not known to it.
      this.#parts?.listeners.close();
      await this.#admin.close();
      await this.#accessLog?.close();
      throw error;
    }
  }

  async #start(): Promise<Parts> {
    const { clock, log, random, resolve, openLookup } = this.#dependencies;
    const config = this.#config;
    const stopping = this.#stopping.signal;
    const counters = this.#counters;
    const keyring = this.#keyring;
    const { wheel } = this.#heartbeat;
    const sockets = await openSockets({
      preference: this.#dependencies.sockets,
      onFallback: (reason) => log.warn({ event: "fast_sockets_off", reason }),
    });
    (await this.#adoptKeys(config)).commit();
    // Before all that takes time, for whoever asks whether it has begun to listen.
    (await this.#admin.open(config)).commit();
    this.#accessLog = this.#openAccessLog(config);
    const context: Parts["context"] = {
      // A copy that `reload` writes to: whoever has the object sees the new values.
      config: { ...config },
      clock,
      wheel,
      counters,
      log,
      dial: sockets.dial,
      accessLog: this.#accessLog?.log,
      isTrusted: trustOf(config.trustedProxies),
      viaName: `fnlb-${Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, "0")}`,
      requestId: randomUUID,
      date: httpDate(clock),
    };
    const store = this.#dependencies.store ?? (await openStore({ clock, random, log }, config.store));
    const securityOf = (node: NodeConfig) => keyring.securityOf(node);
    const clusters = new RunningClusters(
      { store, random, resolve, openLookup, securityOf, stopping, keep: this.#keep },
      context,
      config.clusters,
    );
    const front = new Front(context, routingOf(config.routes, clusters.byName));
    this.#keep(store.run(stopping));
    await clusters.open();
    this.#keep(this.#heartbeat.run(clock, stopping));
    this.#keep(keyring.run(stopping));
    await clusters.run();
    const listeners = new Listeners({ sockets, front, keyring, log, failIfEnding: () => this.#failIfEnding() });
    this.#parts = { sockets, context, front, listeners, store, clusters };
    return this.#parts;
  }

  /** Reads the certificates that a config needs; see `Keyring.adopt`. */
  #adoptKeys(next: Config): Promise<AdoptedKeys> {
    const { listeners, clusters } = next;
    // Operators may add https nodes at any time; what those are dialled with takes less than a millisecond to make.
    const standIns = (cluster: ClusterConfig) => [...secureStandIns(cluster), securedStandIn(cluster)];
    const nodes = clusters.flatMap((cluster) => [...cluster.nodes, ...standIns(cluster)]);
    return this.#keyring.adopt([...listeners, { tls: adminTls(next) }], nodes);
  }

  #openAccessLog({ accessLog: path }: Config): AccessLogFile | undefined {
    return path === "" ? undefined : new AccessLogFile(path, this.#dependencies.clock, this.#counters);
  }

  /** See `Balancer.reload`. One after the other: each is all or nothing. */
  reload(read: () => Config): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reloadNow(read()));
    this.#reloading = reloaded.then(
      () => this.#noteReload(true),
      () => this.#noteReload(false),
    );
    return reloaded;
  }

  #noteReload(isTaken: boolean): void {
    if (isTaken) this.#counters.reloads++;
    else this.#counters.reloadsFailed++;
    this.#isConfigRefused = !isTaken;
  }

  /** What runs; throws where a new config comes too early or too late. */
  #whileRunning(): Parts {
    const isEnding = this.#draining !== undefined || this.#stopping.signal.aborted;
    if (this.#parts !== undefined && this.#isListening && !isEnding) return this.#parts;
    throw new FnlbError("ERR_LISTEN", "only a balancer that listens and does not drain takes a new config");
  }

  async #reloadNow(next: Config): Promise<void> {
    const { context, clusters } = this.#whileRunning();
    const config = this.#config;
    if (next.store !== config.store) {
      throw new FnlbError("ERR_OPTION", 'option "store" must stay as it is while fnlb runs');
    }
    proveConfig(next, this.#dependencies);
    const keys = await this.#adoptKeys(next);
    const oldLog = this.#accessLog;
    let nextLog: AccessLogFile | undefined;
    let staged: StagedClusters | undefined;
    let openedAdmin: OpenedAdmin | undefined;
    let opened: OpenedListeners | undefined;
    try {
      // All that takes time or may fail comes first.
      nextLog = next.accessLog === config.accessLog ? oldLog : this.#openAccessLog(next);
      const changes = { isTrusted: trustOf(next.trustedProxies), accessLog: nextLog?.log };
      staged = await clusters.stage(next, { ...context, ...changes, config: next });
      openedAdmin = await this.#admin.open(next);
      opened = await this.#whileRunning().listeners.open(next);
      this.#whileRunning();
      this.#accessLog = nextLog;
      this.#adopt(next, changes, staged, opened);
      openedAdmin.commit();
    } catch (error) {
      opened?.discard();
      await openedAdmin?.discard();
      await staged?.discard();
      if (nextLog !== oldLog) await nextLog?.close();
      keys.discard();
      throw error;
    }
    keys.commit();
    if (nextLog !== oldLog) await oldLog?.close();
  }

  /** At once and without a failure: no request sees one half of a config. */
  #adopt(
    next: Config,
    changes: Pick<ProxyContext, "isTrusted" | "accessLog">,
    staged: StagedClusters,
    opened: OpenedListeners,
  ): void {
    const { context, front, clusters } = this.#whileRunning();
    Object.assign(context.config, next);
    Object.assign(context, changes);
    staged.commit(context);
    front.reroute(routingOf(next.routes, clusters.byName));
    opened.commit();
    this.#config = next;
    this.#dependencies.log.info({ event: "reloaded", clusters: [...clusters.byName.keys()] });
  }

  /** See `Balancer.drain`. */
  drain(): Promise<DrainResult> {
    this.#draining ??= this.#drainNow();
    return this.#draining;
  }

  async #drainNow(): Promise<DrainResult> {
    if (this.#parts === undefined) {
      await this.close();
      return { cut: 0 };
    }
    const { clock, log } = this.#dependencies;
    const { drainDelayMs, shutdownTimeoutMs } = this.#config;
    const { front, listeners } = this.#parts;
    const stopping = this.#stopping.signal;
    log.info({ event: "draining", connections: front.connections });
    front.isDraining = true;
    if (drainDelayMs > 0) await sleep(clock, drainDelayMs, stopping);
    listeners.close();
    front.closeIdle();
    const timeout = new AbortController();
    await Promise.race([
      front.whenEmpty(),
      sleep(clock, shutdownTimeoutMs, AbortSignal.any([timeout.signal, stopping])),
    ]);
    timeout.abort();
    const cut = front.cutAll();
    log.info({ event: "drained", cut });
    await this.close();
    return { cut };
  }

  /** Ends everything now. Twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #closeNow(): Promise<void> {
    this.#stopping.abort();
    if (this.#parts !== undefined) {
      const { front, clusters, listeners } = this.#parts;
      listeners.close();
      front.cutAll();
      await Promise.all([front.whenEmpty(), clusters.destroy()]);
    }
    // One that is under way is given up, and takes back what it has opened.
    await this.#reloading;
    await Promise.all(this.#loops);
    await this.#accessLog?.close();
    await this.#admin.close();
  }

  #failIfEnding(): void {
    if (!this.#stopping.signal.aborted && this.#draining === undefined) return;
    throw new FnlbError("ERR_LISTEN", "the balancer was closed while it opened its listeners");
  }

  /** Reopens the access log after a rotation. */
  reopenLogs(): void {
    try {
      this.#accessLog?.reopen();
    } catch (error) {
      // The old file is still written: a rotation that went wrong must not cost the log, let alone the process.
      const { code } = error as NodeJS.ErrnoException;
      this.#dependencies.log.error({ event: "access_log_reopen_failed", code });
    }
  }

  /** See `Balancer.reloadCertificates`. */
  reloadCertificates(): Promise<void> {
    return this.#keyring.reload();
  }

  snapshot(): BalancerSnapshot {
    const { connectionsMax, tunnelsMax } = this.#config;
    const { sockets, store, front, listeners, clusters } = this.#parts ?? {};
    const clusterSnapshots = clusters?.snapshots() ?? [];
    const isDraining = this.#draining !== undefined;
    return {
      startedAtMs: this.#startedAtMs,
      readiness: decideReadiness({
        isListening: this.#isListening,
        isDraining: isDraining || this.#stopping.signal.aborted,
        isPaused: listeners?.isPaused ?? false,
        clusters: clusterSnapshots,
      }),
      sockets: sockets?.mode ?? "closed",
      store: store?.state ?? "closed",
      connections: front?.connections ?? 0,
      handshakes: front?.handshakes ?? 0,
      exchanges: front?.exchanges ?? 0,
      tunnels: front?.tunnels ?? 0,
      queued: clusters?.queued ?? 0,
      timers: this.#heartbeat.wheel.size,
      isDraining,
      isConfigRefused: this.#isConfigRefused,
      certificates: this.#keyring.views,
      limits: { connectionsMax, tunnelsMax },
      clusters: clusterSnapshots,
      nodes: clusters?.nodeSnapshots() ?? [],
      counters: { ...this.#counters },
      timerDelay: this.#heartbeat.delay.copy(),
    };
  }
}
