import type { Config, ListenerConfig } from "../config/config.js";
import { listenName } from "../config/listen-address.js";
import type { Log } from "../core/log.js";
import type { ChangeResult, ListenerView } from "../core/operations.js";
import { FnlbError } from "../errors.js";
import type { ClientEntry } from "../proxy/client-connection.js";
import type { Front } from "../proxy/front.js";
import type { Keyring } from "../system/keyring.js";
import type { BoundListener, Sockets } from "../system/sockets.js";

export interface ListenersDependencies {
  readonly sockets: Sockets;
  readonly front: Front;
  readonly keyring: Keyring;
  readonly log: Log;
  /** Throws once the balancer is being closed: nothing may be opened behind its back. */
  readonly failIfEnding: () => void;
}

/** An open listener, and how connections are taken on it by now. */
interface OpenListener extends ClientEntry {
  readonly bound: BoundListener;
  config: ListenerConfig;
  isPaused: boolean;
}

/** What has been opened for another config, until it is either put to use or given up. */
export interface OpenedListeners {
  /** Closes what the new config does not name, and secures the others as it says. Their connections go on. */
  commit(): void;
  discard(): void;
}

type ListenersConfig = Pick<Config, "listeners" | "handshakeTimeoutMs" | "handshakesMax">;

/** The listeners of a balancer, over all its configs. */
export class Listeners {
  readonly #dependencies: ListenersDependencies;
  /** By `keyOf`, in the order of the config. */
  #open = new Map<string, OpenListener>();

  constructor(dependencies: ListenersDependencies) {
    this.#dependencies = dependencies;
  }

  /** Bound addresses, in the order of the config. */
  get addresses(): readonly string[] {
    return [...this.#open.values()].map(({ bound }) => bound.address);
  }

  /** As operators see them, in the order of the config. */
  get views(): readonly ListenerView[] {
    return [...this.#open.values()].map(({ bound, config, isPaused }) => ({
      id: bound.address,
      state: isPaused ? "paused" : "open",
      isTls: config.tls !== undefined,
      takesProxyHeaders: config.proxyProtocol,
    }));
  }

  /** Nobody is served by any of them. */
  get isPaused(): boolean {
    return this.#open.size > 0 && [...this.#open.values()].every(({ isPaused }) => isPaused);
  }

  /** Refuses new requests, or takes them again, until told otherwise; throws `ERR_NOT_FOUND`. */
  pause(id: string, isPaused: boolean): ChangeResult {
    const open = [...this.#open.values()].find(({ bound }) => bound.address === id);
    if (open === undefined) throw new FnlbError("ERR_NOT_FOUND", `there is no listener "${id}"`);
    if (open.isPaused === isPaused) return "unchanged";
    open.isPaused = isPaused;
    this.#dependencies.log.info({ event: isPaused ? "listener_paused" : "listener_resumed", address: id });
    return "applied";
  }

  /** Opens those that are not open yet. Rejects with `ERR_LISTEN`, and then none of them is. */
  async open(config: ListenersConfig): Promise<OpenedListeners> {
    const { failIfEnding } = this.#dependencies;
    const opened = new Map<string, OpenListener>();
    const discard = () => {
      for (const { bound } of opened.values()) bound.close();
    };
    try {
      for (const [index, listener] of config.listeners.entries()) {
        const key = keyOf(listener, index);
        if (this.#open.has(key)) continue;
        failIfEnding();
        opened.set(key, await this.#openOne(listener, config));
        failIfEnding();
      }
    } catch (error) {
      discard();
      throw error;
    }
    return { commit: () => this.#commit(opened, config), discard };
  }

  async #openOne(config: ListenerConfig, limits: ListenersConfig): Promise<OpenListener> {
    const { sockets, front } = this.#dependencies;
    const tls = this.#listeningOf(config, limits);
    const open: OpenListener = {
      bound: await sockets.listen(config.address, (stream) => front.accept(stream, open), tls),
      config,
      isPaused: false,
    };
    return open;
  }

  #listeningOf(config: ListenerConfig, { handshakeTimeoutMs, handshakesMax }: ListenersConfig) {
    const { front, keyring } = this.#dependencies;
    const admit = (address: string) => front.admitHandshake(address, config);
    return keyring.listeningOf(config, { handshakeTimeoutMs, handshakesMax, admit });
  }

  #commit(opened: ReadonlyMap<string, OpenListener>, config: ListenersConfig): void {
    const { log, sockets } = this.#dependencies;
    const before = this.#open;
    this.#open = new Map();
    for (const [index, listener] of config.listeners.entries()) {
      const key = keyOf(listener, index);
      const kept = before.get(key);
      before.delete(key);
      const open = kept ?? opened.get(key);
      if (open === undefined) continue;
      this.#open.set(key, open);
      if (kept === undefined) {
        const { address } = open.bound;
        log.info({ event: "listening", address, sockets: sockets.mode }, `listening to ${address}`);
      }
      open.config = listener;
      const tls = this.#listeningOf(listener, config);
      if (kept !== undefined && tls !== undefined) open.bound.secure(tls);
    }
    for (const { bound } of before.values()) {
      bound.close();
      log.info({ event: "listener_closed", address: bound.address });
    }
  }

  /** Accepts no more. */
  close(): void {
    for (const { bound } of this.#open.values()) bound.close();
    this.#open.clear();
  }
}

/** Two listeners with free ports are two, wherever else they are alike; one cannot turn from plain to TLS. */
function keyOf({ address, tls }: ListenerConfig, index: number): string {
  const name = `${listenName(address)}${tls === undefined ? "" : " tls"}`;
  return address.kind === "tcp" && address.port === 0 ? `${name} ${index}` : name;
}
