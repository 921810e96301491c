import { randomUUID } from "node:crypto";
import { Admin, type OpenedAdmin } from "./assembly/admin.js";
import { secureStandIns } from "./assembly/discovered-nodes.js";
import { securedStandIn } from "./assembly/edited-nodes.js";
import { httpDate } from "./assembly/http-date.js";
import { Listeners, type OpenedListeners } from "./assembly/listeners.js";
import { operatorOf } from "./assembly/operator.js";
import { proveConfig } from "./assembly/prove-config.js";
import { routingOf } from "./assembly/routing.js";
import { RunningCluster } from "./assembly/running-cluster.js";
import { trustOf } from "./assembly/trust.js";
import { adminTls } from "./config/admin.js";
import type { ClusterConfig, Config, NodeConfig } from "./config/config.js";
import type { OptionName } from "./config/options.js";
import { type Clock, sleep } from "./core/clock.js";
import { Counters } from "./core/counters.js";
import { Histogram } from "./core/histogram.js";
import type { Log, LogLevelDial } from "./core/log.js";
import type { OpenLookup } from "./core/lookup.js";
import type { Operations } from "./core/operations.js";
import { decideReadiness } from "./core/readiness.js";
import { TimerWheel } from "./core/timer-wheel.js";
import { FnlbError } from "./errors.js";
import { AccessLog } from "./proxy/access-log.js";
import type { ProxyContext } from "./proxy/context.js";
import { Front } from "./proxy/front.js";
import { openStore } from "./store/open-store.js";
import type { Store } from "./store/store.js";
import { type Resolve, systemResolve } from "./system/address-book.js";
import { systemClock } from "./system/clock.js";
import { connectionsWithin, descriptorLimit } from "./system/descriptor-limit.js";
import { type AdoptedKeys, Keyring } from "./system/keyring.js";
import { LineFile } from "./system/line-file.js";
import { systemLookup } from "./system/name-lookup.js";
import { openSockets, type Sockets } from "./system/sockets.js";

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

export interface DrainResult {
  /** Exchanges and tunnels that had to be cut because the shutdown timeout ran out. */
  readonly cut: number;
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

/** How coarse the timeouts of the data path are. */
const TICK_MS = 25;
const WHEEL_SLOTS = 512;
/** The most that one tick may move time on: after a freeze, bytes that waited are read before timeouts fire. */
const LEAP_MS = 250;

/** An access log and the file that it goes to. */
interface OpenAccessLog {
  readonly log: AccessLog;
  readonly file: LineFile;
}

/** What there is once the balancer listens. */
interface Running {
  readonly sockets: Sockets;
  readonly context: { -readonly [Field in keyof ProxyContext]: ProxyContext[Field] };
  readonly front: Front;
  readonly listeners: Listeners;
  readonly store: Store;
  clusters: ReadonlyMap<string, RunningCluster>;
}

/** Builds a balancer from a resolved config (see `resolveConfig`); `connectionsMax` 0 takes what descriptors allow. */
export function createBalancer(given: Config, dependencies: BalancerDependencies): Balancer {
  let config = complete(given);
  const { log, clock = systemClock, random = Math.random, resolve = systemResolve } = dependencies;
  const { openLookup = () => systemLookup() } = dependencies;
  proveConfig(config, { clock, random });
  const counters = new Counters();
  const timerDelay = new Histogram();
  const wheel = new TimerWheel({ tickMs: TICK_MS, slots: WHEEL_SLOTS });
  const stopping = new AbortController();
  const loops = new Set<Promise<unknown>>();
  /** Gone from the config, but not done yet. */
  const retired = new Set<RunningCluster>();
  const keyring = new Keyring({ clock, log, counters });
  const { logLevel, placeOf = () => undefined } = dependencies;
  const about = { operations: () => balancer, config: () => config, logLevel, placeOf };
  const admin = new Admin({ clock, log, counters, keyring }, about);
  let accessLog: OpenAccessLog | undefined;
  let running: Running | undefined;
  let isListening = false;
  let startedAtMs = 0;
  let draining: Promise<DrainResult> | undefined;
  let closing: Promise<void> | undefined;
  let reloading: Promise<void> = Promise.resolve();
  let isConfigRefused = false;

  /** Keeps a loop until it has ended, so that `close` can wait for it. */
  function keep(loop: Promise<unknown>): void {
    loops.add(loop);
    void loop.finally(() => loops.delete(loop));
  }

  async function tick(): Promise<void> {
    let before = clock.now();
    let virtual = wheel.nowMs;
    while (await sleep(clock, TICK_MS, stopping.signal)) {
      const now = clock.now();
      virtual += Math.min(now - before, LEAP_MS);
      timerDelay.add(Math.max(0, now - before - TICK_MS));
      before = now;
      wheel.advance(virtual);
    }
  }

  async function start(): Promise<Running> {
    const sockets = await openSockets({
      preference: dependencies.sockets ?? process.env.FNLB_SOCKETS,
      onFallback: (reason) => log.warn({ event: "fast_sockets_off", reason }),
    });
    const keys = await adoptKeys(config);
    keys.commit();
    // Before all that takes time, for whoever asks whether it has begun to listen.
    (await admin.open(config)).commit();
    accessLog = openAccessLog(config);
    const context: Running["context"] = {
      // A copy that `reload` writes to: whoever has the object sees the new values.
      config: { ...config },
      clock,
      wheel,
      counters,
      log,
      dial: sockets.dial,
      accessLog: accessLog?.log,
      isTrusted: trustOf(config.trustedProxies),
      viaName: `fnlb-${Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, "0")}`,
      requestId: randomUUID,
      date: httpDate(clock),
    };
    const store = dependencies.store ?? (await openStore({ clock, random, log }, config.store));
    const clusters = new Map(
      config.clusters.map((cluster) => [cluster.name, makeCluster({ context, store }, cluster)]),
    );
    const front = new Front(context, routingOf(config.routes, clusters));
    keep(store.run(stopping.signal));
    await Promise.all([...clusters.values()].map((cluster) => cluster.open()));
    keep(tick());
    keep(keyring.run(stopping.signal));
    await Promise.all([...clusters.values()].map((cluster) => cluster.run()));
    const listeners = new Listeners({ sockets, front, keyring, log, failIfEnding });
    return { sockets, context, front, listeners, store, clusters };
  }

  /** Reads the certificates that a config needs; see `Keyring.adopt`. */
  function adoptKeys(next: Config): Promise<AdoptedKeys> {
    const { listeners, clusters } = next;
    // Operators may add https nodes at any time; what those are dialled with takes less than a millisecond to make.
    const standIns = (cluster: ClusterConfig) => [...secureStandIns(cluster), securedStandIn(cluster)];
    const nodes = clusters.flatMap((cluster) => [...cluster.nodes, ...standIns(cluster)]);
    return keyring.adopt([...listeners, { tls: adminTls(next) }], nodes);
  }

  function makeCluster(
    { context, store }: { readonly context: ProxyContext; readonly store: Store },
    cluster: ClusterConfig,
  ): RunningCluster {
    const securityOf = (node: NodeConfig) => keyring.securityOf(node);
    const { signal } = stopping;
    const given = { context, store, random, resolve, openLookup, securityOf, stopping: signal, keep };
    return new RunningCluster(given, cluster);
  }

  function openAccessLog({ accessLog: path }: Config): OpenAccessLog | undefined {
    if (path === "") return undefined;
    try {
      const file = new LineFile(path, { onDropped: (lines) => opened.log.dropped(lines) });
      const opened = { file, log: new AccessLog(clock, counters, file) };
      return opened;
    } catch (error) {
      throw new FnlbError("ERR_OPTION", `option "access-log" must be a file that can be written: ${String(error)}`, {
        cause: error,
      });
    }
  }

  /** What runs; throws where a new config comes too early or too late. */
  function whileRunning(): Running {
    if (running !== undefined && isListening && draining === undefined && !stopping.signal.aborted) return running;
    throw new FnlbError("ERR_LISTEN", "only a balancer that listens and does not drain takes a new config");
  }

  /** What operators may ask and change. */
  function whileOpen(): Running {
    if (running !== undefined && isListening && !stopping.signal.aborted) return running;
    throw new FnlbError("ERR_DRAINING", "only a balancer that listens can be asked or changed");
  }

  async function reloadNow(next: Config): Promise<void> {
    const { context, store, clusters: before } = whileRunning();
    if (next.store !== config.store) {
      throw new FnlbError("ERR_OPTION", 'option "store" must stay as it is while fnlb runs');
    }
    proveConfig(next, { clock, random });
    const keys = await adoptKeys(next);
    const oldLog = accessLog;
    let nextLog: OpenAccessLog | undefined;
    let opened: OpenedListeners | undefined;
    let openedAdmin: OpenedAdmin | undefined;
    let added: readonly RunningCluster[] = [];
    try {
      // All that takes time or may fail comes first.
      nextLog = next.accessLog === config.accessLog ? oldLog : openAccessLog(next);
      const changes = { isTrusted: trustOf(next.trustedProxies), accessLog: nextLog?.log };
      const nextContext = { ...context, ...changes, config: next };
      const clusters = new Map(
        next.clusters.map((cluster) => [
          cluster.name,
          before.get(cluster.name) ?? makeCluster({ context: nextContext, store }, cluster),
        ]),
      );
      added = [...clusters.values()].filter(({ name }) => !before.has(name));
      await Promise.all([
        ...next.clusters.map((cluster) => before.get(cluster.name)?.stage(next, cluster)),
        ...added.map(async (cluster) => {
          await cluster.open();
          await cluster.run();
        }),
      ]);
      openedAdmin = await admin.open(next);
      opened = await whileRunning().listeners.open(next);
      whileRunning();
      accessLog = nextLog;
      adopt(next, changes, clusters, opened);
      openedAdmin.commit();
    } catch (error) {
      opened?.discard();
      await openedAdmin?.discard();
      for (const cluster of before.values()) cluster.unstage();
      await Promise.all(added.map((cluster) => cluster.destroy()));
      if (nextLog !== oldLog) await nextLog?.file.close();
      keys.discard();
      throw error;
    }
    keys.commit();
    if (nextLog === oldLog) return;
    oldLog?.log.flush();
    await oldLog?.file.close();
  }

  /** At once and without a failure: no request sees one half of a config. */
  function adopt(
    next: Config,
    changes: Pick<ProxyContext, "isTrusted" | "accessLog">,
    clusters: ReadonlyMap<string, RunningCluster>,
    opened: OpenedListeners,
  ): void {
    const current = whileRunning();
    const { context, front, clusters: before } = current;
    Object.assign(context.config, next);
    Object.assign(context, changes);
    for (const [name, cluster] of before) {
      if (clusters.has(name)) cluster.commit(context);
      else retire(cluster);
    }
    // Their old file is closed as well.
    for (const cluster of retired) cluster.useAccessLog(changes.accessLog);
    front.reroute(routingOf(next.routes, clusters));
    current.clusters = clusters;
    opened.commit();
    config = next;
    log.info({ event: "reloaded", clusters: [...clusters.keys()] });
  }

  function noteReload(isTaken: boolean): void {
    if (isTaken) counters.reloads++;
    else counters.reloadsFailed++;
    isConfigRefused = !isTaken;
  }

  function retire(cluster: RunningCluster): void {
    retired.add(cluster);
    keep(cluster.retire().then(() => retired.delete(cluster)));
  }

  async function drainNow(): Promise<DrainResult> {
    if (running === undefined) {
      await close();
      return { cut: 0 };
    }
    const { front, listeners } = running;
    log.info({ event: "draining", connections: front.connections });
    front.isDraining = true;
    if (config.drainDelayMs > 0) await sleep(clock, config.drainDelayMs, stopping.signal);
    listeners.close();
    front.closeIdle();
    const timeout = new AbortController();
    await Promise.race([
      front.whenEmpty(),
      sleep(clock, config.shutdownTimeoutMs, AbortSignal.any([timeout.signal, stopping.signal])),
    ]);
    timeout.abort();
    const cut = front.cutAll();
    log.info({ event: "drained", cut });
    await close();
    return { cut };
  }

  async function closeNow(): Promise<void> {
    stopping.abort();
    running?.listeners.close();
    if (running !== undefined) {
      const { front, clusters } = running;
      front.cutAll();
      await Promise.all([front.whenEmpty(), ...[...clusters.values(), ...retired].map((cluster) => cluster.destroy())]);
    }
    // One that is under way is given up, and takes back what it has opened.
    await reloading;
    await Promise.all(loops);
    accessLog?.log.flush();
    await accessLog?.file.close();
    await admin.close();
  }

  function failIfEnding(): void {
    if (!stopping.signal.aborted && draining === undefined) return;
    throw new FnlbError("ERR_LISTEN", "the balancer was closed while it opened its listeners");
  }

  function close(): Promise<void> {
    closing ??= closeNow();
    return closing;
  }

  const balancer: Balancer = {
    ...operatorOf(whileOpen),
    async listen() {
      const nodes = config.clusters.flatMap(({ nodes, discover }) => [
        ...nodes.map(({ id }) => id),
        ...(discover.kind === "none" ? [] : [discover.name]),
      ]);
      log.info(
        { event: "forwarding", nodes, connectionsMax: config.connectionsMax },
        `forwarding calls to [${nodes.join(" ")}]`,
      );
      try {
        running = await start();
        const opened = await running.listeners.open(config);
        opened.commit();
        failIfEnding();
        isListening = true;
        startedAtMs = clock.wallNow();
      } catch (error) {
        await close();
        // What was opened while `close` was already under way is not known to it.
        running?.listeners.close();
        await admin.close();
        await accessLog?.file.close();
        throw error;
      }
      return running.listeners.addresses;
    },
    reload(next) {
      // One after the other: each is all or nothing.
      const reloaded = reloading.then(() => reloadNow(complete(typeof next === "function" ? next() : next)));
      reloading = reloaded.then(
        () => noteReload(true),
        () => noteReload(false),
      );
      return reloaded;
    },
    drain() {
      draining ??= drainNow();
      return draining;
    },
    close,
    reopenLogs() {
      accessLog?.log.flush();
      try {
        accessLog?.file.reopen();
      } catch (error) {
        // The old file is still written: a rotation that went wrong must not cost the log, let alone the process.
        log.error({ event: "access_log_reopen_failed", code: (error as NodeJS.ErrnoException).code });
      }
    },
    get adminAddress() {
      return admin.address;
    },
    reloadCertificates: () => keyring.reload(),
    snapshot() {
      const clusters = running === undefined ? [] : [...running.clusters.values()];
      const clusterSnapshots = clusters.map((cluster) => cluster.snapshot());
      const isDraining = draining !== undefined || stopping.signal.aborted;
      const isPaused = running?.listeners.isPaused ?? false;
      return {
        startedAtMs,
        readiness: decideReadiness({ isListening, isDraining, isPaused, clusters: clusterSnapshots }),
        sockets: running?.sockets.mode ?? "closed",
        store: running?.store.state ?? "closed",
        connections: running?.front.connections ?? 0,
        handshakes: running?.front.handshakes ?? 0,
        exchanges: running?.front.exchanges ?? 0,
        tunnels: running?.front.tunnels ?? 0,
        queued: clusters.reduce((sum, { roundTripper }) => sum + roundTripper.queued, 0),
        timers: wheel.size,
        isDraining: draining !== undefined,
        isConfigRefused,
        limits: { connectionsMax: config.connectionsMax, tunnelsMax: config.tunnelsMax },
        clusters: clusterSnapshots,
        nodes: clusters.flatMap((cluster) =>
          cluster.nodes.map(({ node, origin, breaker, connections, idleConnections }) => ({
            cluster: cluster.name,
            id: node.id,
            origin,
            alive: node.alive,
            suspect: node.suspect,
            ejected: node.ejected,
            check: node.check,
            breaker,
            mode: node.mode,
            weight: node.weight,
            inFlight: node.inFlight,
            connections,
            idleConnections,
            stats: node.stats.copy(),
          })),
        ),
        counters: { ...counters },
        timerDelay: timerDelay.copy(),
      };
    },
  };
  return balancer;
}

function complete(config: Config): Config {
  return config.connectionsMax > 0 ? config : { ...config, connectionsMax: connectionsWithin(descriptorLimit()) };
}
