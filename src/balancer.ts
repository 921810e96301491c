import { randomBytes, randomUUID } from "node:crypto";
import { BlockList, isIP } from "node:net";
import type { Config } from "./config/config.js";
import { codecList } from "./core/affinity/codec-list.js";
import { encryptedCodec } from "./core/affinity/encrypted-codec.js";
import { hashCodec } from "./core/affinity/hash-codec.js";
import { rawCodec } from "./core/affinity/raw-codec.js";
import { signedCodec } from "./core/affinity/signed-codec.js";
import { StickySession } from "./core/affinity/sticky-session.js";
import { type Clock, sleep } from "./core/clock.js";
import { staticCluster } from "./core/cluster.js";
import { Counters } from "./core/counters.js";
import { DeadHosts } from "./core/dead-hosts.js";
import type { Exchange } from "./core/exchange.js";
import type { Log } from "./core/log.js";
import { createNode, type Node, type NodeMode } from "./core/node.js";
import { createPolicy } from "./core/policies/table.js";
import { Rebalancer } from "./core/rebalancer.js";
import { RetryBudget } from "./core/retry.js";
import type { ByteStream } from "./core/stream.js";
import { TimerWheel } from "./core/timer-wheel.js";
import { FnlbError } from "./errors.js";
import { tcpPing } from "./health/ping.js";
import { runPingLoop } from "./health/ping-loop.js";
import { askOptions, runSilenceWatch } from "./health/silence-watch.js";
import { AccessLog } from "./proxy/access-log.js";
import type { ProxyContext } from "./proxy/context.js";
import { FallbackRoundTripper } from "./proxy/fallback-round-tripper.js";
import { Front } from "./proxy/front.js";
import { NodePool } from "./proxy/node-pool.js";
import { AddressBook, type Resolve, systemResolve } from "./system/address-book.js";
import { systemClock } from "./system/clock.js";
import { connectionsWithin, descriptorLimit } from "./system/descriptor-limit.js";
import { Keyring } from "./system/keyring.js";
import { LineFile } from "./system/line-file.js";
import { type BoundListener, openSockets } from "./system/sockets.js";

export interface BalancerDependencies {
  /** Where events go. */
  readonly log: Log;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** A number in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  /** Resolves the names of nodes. Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** "plain" keeps to the public socket API. Default: `FNLB_SOCKETS`. */
  readonly sockets?: string;
}

export interface DrainResult {
  /** Exchanges and tunnels that had to be cut because the shutdown timeout ran out. */
  readonly cut: number;
}

export interface NodeSnapshot {
  readonly id: string;
  readonly alive: boolean;
  readonly suspect: boolean;
  readonly mode: NodeMode;
  readonly weight: number;
  /** Exchanges and tunnels that it serves now. */
  readonly inFlight: number;
  readonly connections: number;
  readonly idleConnections: number;
}

/** What a running balancer looks like at one moment; counters only grow. */
export interface BalancerSnapshot {
  /** How it talks to the system: "fast" (handles) or "plain" (public API); "closed" before `listen`. */
  readonly sockets: "fast" | "plain" | "closed";
  readonly connections: number;
  readonly exchanges: number;
  readonly tunnels: number;
  /** Timeouts that are armed on the data path. */
  readonly timers: number;
  readonly nodes: readonly NodeSnapshot[];
  readonly counters: Readonly<Counters>;
}

/** A running load balancer. Nothing is opened before `listen`. */
export interface Balancer {
  /** Opens every listener and resolves to their bound addresses (`127.0.0.1:41234`, `[::1]:8081`, `unix:/path`), in order. */
  listen(): Promise<readonly string[]>;
  /** Waits the drain delay, stops accepting, lets exchanges finish for at most the shutdown timeout, then closes. */
  drain(): Promise<DrainResult>;
  /** Ends everything now. Twice is fine. */
  close(): Promise<void>;
  /** Reopens the access log after a rotation. */
  reopenLogs(): void;
  /** Reads certificates and keys again, now instead of within ten seconds. New ones that are bad are logged and left. */
  reloadCertificates(): Promise<void>;
  snapshot(): BalancerSnapshot;
}

/** How coarse the timeouts of the data path are. */
const TICK_MS = 25;
const WHEEL_SLOTS = 512;
/** The most that one tick may move time on: after a freeze, bytes that waited are read before timeouts fire. */
const LEAP_MS = 250;
const SILENCE_CHECK_MS_MAX = 250;

/** Builds a balancer from a resolved config (see `resolveConfig`); `connectionsMax` 0 takes what descriptors allow. */
export function createBalancer(given: Config, dependencies: BalancerDependencies): Balancer {
  const config = given.connectionsMax > 0 ? given : { ...given, connectionsMax: connectionsWithin(descriptorLimit()) };
  const { log, clock = systemClock, random = Math.random, resolve = systemResolve } = dependencies;
  const counters = new Counters();
  const wheel = new TimerWheel({ tickMs: TICK_MS, slots: WHEEL_SLOTS });
  const nodes = config.nodes.map(({ id, address, weight }, index) => createNode(id, index, address, weight));
  const now = () => clock.now();
  const policy = createPolicy(config.policy, {
    ...config,
    mode: config.wrrMode,
    tableSize: config.maglevTableSize,
    now,
    random,
  });
  const onMove = (node: Node, weight: number) => log.info({ event: "weight_moved", node: node.id, weight });
  const picking = config.rebalance ? new Rebalancer(policy, { clock, onMove }) : policy;
  const sticky = stickyOf(config, clock);
  const affinity = (exchange: Exchange, members: readonly Node[]) =>
    sticky?.find({ cookieHeader: exchange.cookieHeader, members, exchange });
  const cluster = staticCluster(
    { policy: picking, now, random, ...(sticky === undefined ? {} : { affinity }) },
    config,
    nodes,
  );
  const keyring = new Keyring({ clock, log, counters }, config.listeners, config.nodes);
  const addressBook = new AddressBook(nodes, clock, log, resolve, {
    intervalMs: config.resolveIntervalMs,
    securityOf: ({ index }) => keyring.securityOf(config.nodes[index]),
  });
  const stopping = new AbortController();
  const loops = new Set<Promise<unknown>>();
  const pingLoops = new Map<Node, AbortController>();
  const listeners: BoundListener[] = [];
  let accessFile: LineFile | undefined;
  let accessLog: AccessLog | undefined;
  let running: { front: Front; pools: NodePool[]; sockets: "fast" | "plain" } | undefined;
  let draining: Promise<DrainResult> | undefined;
  let closing: Promise<void> | undefined;

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
      before = now;
      wheel.advance(virtual);
    }
  }

  async function start() {
    const sockets = await openSockets({
      preference: dependencies.sockets ?? process.env.FNLB_SOCKETS,
      onFallback: (reason) => log.warn({ event: "fast_sockets_off", reason }),
    });
    await keyring.open();
    await addressBook.open(stopping.signal);
    const { dial } = sockets;
    const { targetsOf } = addressBook;
    const ping = tcpPing({ clock, dial, targetsOf });
    const pools: NodePool[] = [];

    const deadHosts = new DeadHosts({
      onDead(node, code) {
        counters.nodeDeaths++;
        log.warn({ event: "node_dead", node: node.id, code });
        pools[node.index].closeIdle();
        pools[node.index].failDials(code);
        const stop = new AbortController();
        pingLoops.set(node, stop);
        keep(watchDead(node, AbortSignal.any([stop.signal, stopping.signal])));
      },
      onAlive(node) {
        counters.nodeRevivals++;
        log.info({ event: "node_alive", node: node.id });
        pingLoops.get(node)?.abort();
        pingLoops.delete(node);
        cluster.noteReturn(node);
        roundTripper.onNodeAlive();
      },
    });

    async function watchDead(node: Node, signal: AbortSignal): Promise<void> {
      const onPing = () => {
        counters.pings++;
        addressBook.doubt(node);
      };
      const { pingIntervalMs: intervalMs, pingTimeoutMs: timeoutMs } = config;
      const outcome = await runPingLoop({ clock, random, ping, onPing }, { intervalMs, timeoutMs }, node, signal);
      if (outcome === "alive") deadHosts.revive(node);
    }

    const openedLog = openAccessLog();
    const context: ProxyContext = {
      config,
      clock,
      wheel,
      counters,
      log,
      cluster,
      sticky,
      deadHosts,
      retryBudget: new RetryBudget(),
      dial,
      targetsOf,
      onNameDoubted: addressBook.doubt,
      accessLog: openedLog,
      isTrusted: trustOf(config.trustedProxies),
      viaName: `fnlb-${Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, "0")}`,
      requestId: randomUUID,
      date: dateOf(clock),
    };
    const poolEvents = {
      onSuspect(node: Node, reason: string) {
        if (node.suspect || !node.alive) return;
        node.suspect = true;
        counters.nodeSuspicions++;
        log.warn({ event: "node_suspect", node: node.id, reason });
        pools[node.index].releaseWaiting();
      },
      onTrusted(node: Node) {
        if (!node.suspect) return;
        node.suspect = false;
        cluster.noteReturn(node);
        log.info({ event: "node_trusted", node: node.id });
      },
    };
    for (const node of nodes) pools.push(new NodePool(node, context, poolEvents));
    const roundTripper = new FallbackRoundTripper(context, pools);
    const front = new Front(context, roundTripper);

    const ask = askOptions({ clock, dial, targetsOf, onAsk: () => counters.probes++ }, config.pingTimeoutMs);
    const { silenceMs } = config;
    keep(tick());
    keep(addressBook.run(stopping.signal));
    keep(keyring.run(stopping.signal));
    keep(
      runSilenceWatch(
        {
          clock,
          ask,
          isSilent: (node) => silenceMs > 0 && pools[node.index].isSilent(silenceMs),
          onAnswer: (node) => pools[node.index].noteByte(),
          onSilence: (node) => poolEvents.onSuspect(node, "silent"),
        },
        {
          checkMs: Math.min(SILENCE_CHECK_MS_MAX, Math.max(TICK_MS, silenceMs / 4)),
          suspectIntervalMs: config.pingIntervalMs,
        },
        nodes,
        stopping.signal,
      ),
    );
    return { front, pools, sockets };
  }

  function openAccessLog(): AccessLog | undefined {
    if (config.accessLog === "") return undefined;
    try {
      accessFile = new LineFile(config.accessLog, {
        onDropped: (lines) => accessLog?.dropped(lines),
      });
    } catch (error) {
      throw new FnlbError("ERR_OPTION", `option "access-log" must be a file that can be written: ${String(error)}`, {
        cause: error,
      });
    }
    accessLog = new AccessLog(clock, counters, accessFile);
    return accessLog;
  }

  async function drainNow(): Promise<DrainResult> {
    if (running === undefined) {
      await close();
      return { cut: 0 };
    }
    const { front } = running;
    log.info({ event: "draining", connections: front.connections });
    front.isDraining = true;
    if (config.drainDelayMs > 0) await sleep(clock, config.drainDelayMs, stopping.signal);
    for (const listener of listeners.splice(0)) listener.close();
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
    for (const listener of listeners.splice(0)) listener.close();
    if (running !== undefined) {
      const { front, pools } = running;
      front.cutAll();
      await Promise.all([front.whenEmpty(), ...pools.map((pool) => pool.destroy())]);
    }
    await Promise.all(loops);
    accessLog?.flush();
    await accessFile?.close();
  }

  function failIfClosed(): void {
    if (stopping.signal.aborted) throw new FnlbError("ERR_LISTEN", "the balancer was closed while it started");
  }

  function close(): Promise<void> {
    closing ??= closeNow();
    return closing;
  }

  return {
    async listen() {
      log.info(
        { event: "forwarding", nodes: nodes.map(({ id }) => id), connectionsMax: config.connectionsMax },
        `forwarding calls to [${nodes.map(({ id }) => id).join(" ")}]`,
      );
      const { front, pools, sockets } = await start();
      running = { front, pools, sockets: sockets.mode };
      try {
        for (const listener of config.listeners) {
          failIfClosed();
          const onAccept = (stream: ByteStream) => front.accept(stream, listener);
          const bound = await sockets.listen(listener.address, onAccept, keyring.listeningOf(listener));
          listeners.push(bound);
          failIfClosed();
          log.info(
            { event: "listening", address: bound.address, sockets: sockets.mode },
            `listening to ${bound.address}`,
          );
        }
      } catch (error) {
        await close();
        // What was opened while `close` was already under way is not known to it.
        for (const listener of listeners.splice(0)) listener.close();
        await accessFile?.close();
        throw error;
      }
      return listeners.map(({ address }) => address);
    },
    drain() {
      draining ??= drainNow();
      return draining;
    },
    close,
    reopenLogs() {
      accessLog?.flush();
      try {
        accessFile?.reopen();
      } catch (error) {
        // The old file is still written: a rotation that went wrong must not cost the log, let alone the process.
        log.error({ event: "access_log_reopen_failed", code: (error as NodeJS.ErrnoException).code });
      }
    },
    reloadCertificates: () => keyring.reload(),
    snapshot() {
      return {
        sockets: running?.sockets ?? "closed",
        connections: running?.front.connections ?? 0,
        exchanges: running?.front.exchanges ?? 0,
        tunnels: running?.front.tunnels ?? 0,
        timers: wheel.size,
        nodes: nodes.map((node) => ({
          id: node.id,
          alive: node.alive,
          suspect: node.suspect,
          mode: node.mode,
          weight: node.weight,
          inFlight: node.inFlight,
          connections: running?.pools[node.index].connectionCount ?? 0,
          idleConnections: running?.pools[node.index].idleCount ?? 0,
        })),
        counters: { ...counters },
      };
    },
  };
}

/** Peers on a unix socket are trusted: who may connect there is decided by the file's permissions. */
function trustOf(trusted: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of trusted) {
    const [address, prefix] = entry.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) =>
    address === "" || (trusted.length > 0 && list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4"));
}

/** Affinity by a cookie, or undefined where that is off. Throws `ERR_OPTION` for attributes that no cookie can have. */
function stickyOf(config: Config, clock: Clock): StickySession | undefined {
  if (config.stickyCookie === "") return undefined;
  const keys = config.stickySecrets;
  const codecs = config.stickyCodecs.map((name) => {
    switch (name) {
      case "signed":
        return signedCodec({ keys });
      case "encrypted":
        return encryptedCodec({ clock, randomBytes }, { keys, ttlMs: config.stickyTtlMs });
      case "raw":
        return rawCodec();
      case "hash":
        return hashCodec();
      default:
        return name satisfies never;
    }
  });
  return new StickySession({
    name: config.stickyCookie,
    codec: codecList(codecs),
    renews: true,
    path: config.stickyPath,
    secure: config.stickySecure,
    httpOnly: config.stickyHttpOnly,
    sameSite: config.stickySameSite,
    ...(config.stickyDomain === "" ? {} : { domain: config.stickyDomain }),
    ...(config.stickyMaxAgeMs === 0 ? {} : { maxAgeSeconds: Math.floor(config.stickyMaxAgeMs / 1000) }),
  });
}

/** The time as IMF-fixdate, made once a second (RFC 9110 §5.6.7). */
function dateOf(clock: Clock): () => string {
  let second = -1;
  let text = "";
  return () => {
    const now = Math.floor(clock.wallNow() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
