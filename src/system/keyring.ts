import assert from "node:assert/strict";
import type { ListenerConfig, NodeConfig } from "../config/config.js";
import type { TlsListenerConfig, TlsNodeConfig } from "../config/tls.js";
import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import type { Log } from "../core/log.js";
import type { CertificateView } from "../core/snapshot.js";
import type { DialSecurity } from "../core/stream.js";
import { CertificateStore } from "./certificate-store.js";
import { CertificateWatch } from "./certificate-watch.js";
import { NodeCredentials, NodeSecurity } from "./node-security.js";
import type { TlsListening } from "./tls-listener.js";

export interface KeyringDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** The public authorities, the node's own name, and no certificate of ours. */
const NODE_DEFAULTS: TlsNodeConfig = { caFile: "", serverName: "", certFile: "", keyFile: "", verifies: true };

/** What a config needs besides what was there, until it is either put to use or given up. */
export interface AdoptedKeys {
  /** Forgets what only the config before needed. */
  commit(): void;
  /** Forgets what only this config needed. */
  discard(): void;
}

/** A listener as far as its certificates go. */
export interface SecuredListener {
  readonly tls?: TlsListenerConfig | undefined;
}

/** What a listener adds to its certificates, see `TlsListening`. */
export type ListeningOptions = Pick<TlsListening, "handshakeTimeoutMs" | "handshakesMax" | "admit">;

/** Every certificate and authority of one balancer: for its listeners, and for the nodes that it dials. */
export class Keyring {
  readonly #dependencies: KeyringDependencies;
  /** By content: what stays the same in another config is kept, and a hundred nodes share what they are dialled with. */
  #stores: ReadonlyMap<string, CertificateStore> = new Map();
  #credentials: ReadonlyMap<string, NodeCredentials> = new Map();
  readonly #watch: CertificateWatch<CertificateStore | NodeCredentials>;

  constructor(dependencies: KeyringDependencies) {
    this.#dependencies = dependencies;
    const { clock, log } = dependencies;
    this.#watch = new CertificateWatch({
      clock,
      onReloaded: (subject) => log.info({ event: "certificates_reloaded", files: filesOf(subject) }),
      onFailed: (subject, { message: reason }) =>
        log.error({ event: "certificates_reload_failed", files: filesOf(subject), reason }),
      subjects: () => this.#all.filter((subject) => filesOf(subject).length > 0),
    });
  }

  /**
   * Reads what these need and what has not been read yet. Rejects with `ERR_OPTION`, which names the file that is at
   * fault, and then nothing has changed.
   */
  async adopt(listeners: readonly SecuredListener[], nodes: readonly NodeConfig[]): Promise<AdoptedKeys> {
    const stores = new Map<string, CertificateStore>();
    for (const { tls } of listeners) {
      if (tls === undefined) continue;
      const key = keyOfListener(tls);
      stores.set(key, this.#stores.get(key) ?? this.#openStore(tls));
    }
    const credentials = new Map<string, NodeCredentials>();
    for (const node of nodes) {
      const config = tlsOf(node);
      if (config === undefined) continue;
      const key = keyOf(config);
      credentials.set(key, credentials.get(key) ?? this.#credentials.get(key) ?? new NodeCredentials(config));
    }
    const [storesBefore, credentialsBefore] = [this.#stores, this.#credentials];
    const known = new Set<unknown>(this.#all);
    for (const subject of [...stores.values(), ...credentials.values()])
      if (!known.has(subject)) await subject.reload();
    this.#stores = new Map([...this.#stores, ...stores]);
    this.#credentials = new Map([...this.#credentials, ...credentials]);
    return {
      commit: () => {
        this.#stores = stores;
        this.#credentials = credentials;
      },
      discard: () => {
        this.#stores = storesBefore;
        this.#credentials = credentialsBefore;
      },
    };
  }

  #openStore(config: TlsListenerConfig): CertificateStore {
    const { clock, log } = this.#dependencies;
    return new CertificateStore(
      {
        clock,
        onExpired: ({ certFile, names, validFromMs, validUntilMs }) =>
          log.warn({
            event: "certificate_not_valid",
            file: certFile,
            names,
            from: new Date(validFromMs).toISOString(),
            until: new Date(validUntilMs).toISOString(),
          }),
      },
      config,
    );
  }

  get #all(): readonly (CertificateStore | NodeCredentials)[] {
    return [...this.#stores.values(), ...this.#credentials.values()];
  }

  /** Reads every file again, now; what cannot be used is logged and leaves what it would have replaced. */
  reload(): Promise<void> {
    return this.#watch.look();
  }

  /** Looks for changed files until the signal ends it. */
  run(signal: AbortSignal): Promise<void> {
    return this.#watch.run(signal);
  }

  /** What clients are shown, once for each file. */
  get views(): readonly CertificateView[] {
    const summaries = [...this.#stores.values()].flatMap(({ certificates }) => certificates);
    const byFile = new Map(summaries.map(({ certFile: file, validUntilMs }) => [file, { file, validUntilMs }]));
    return [...byFile.values()];
  }

  /** The certificates of a listener that has been adopted. */
  certificatesOf(tls: TlsListenerConfig): CertificateStore {
    const certificates = this.#stores.get(keyOfListener(tls));
    assert(certificates !== undefined, "a listener that the keyring does not know");
    return certificates;
  }

  /** What `Sockets.listen` wants of one of the listeners; undefined for one that speaks in the clear. */
  listeningOf({ tls, proxyProtocol }: ListenerConfig, options: ListeningOptions): TlsListening | undefined {
    if (tls === undefined) return undefined;
    const certificates = this.certificatesOf(tls);
    const { clock, log, counters } = this.#dependencies;
    return {
      ...options,
      certificates,
      clock,
      proxyProtocol,
      onProxyHeaderRefused: () => {
        counters.connectionsRefusedByProxyHeader++;
      },
      onHandshakeRefused: () => {
        counters.handshakesRefusedByLimit++;
      },
      onHandshakeFailed: (code) => {
        counters.handshakesFailed++;
        // Anybody can fail a handshake as often as he likes: counted, and told to who asks.
        log.debug({ event: "handshake_failed", code });
      },
    };
  }

  /**
   * How a node is dialled; undefined for one that is spoken to in the clear. One with the same `tls` must have been
   * adopted.
   */
  securityOf(node: NodeConfig): DialSecurity | undefined {
    const config = tlsOf(node);
    if (config === undefined || node.address.kind !== "tcp") return undefined;
    const credentials = this.#credentials.get(keyOf(config));
    assert(credentials !== undefined, "a node that the keyring does not know");
    return new NodeSecurity(credentials, node.address.host);
  }
}

function tlsOf({ address, tls = NODE_DEFAULTS }: NodeConfig): TlsNodeConfig | undefined {
  return address.kind === "tcp" && address.tls === true ? tls : undefined;
}

function keyOfListener({ certificates, clientCaFile, clientCertificates, minVersion }: TlsListenerConfig): string {
  const files = certificates.map(({ certFile, keyFile }) => [certFile, keyFile]);
  return JSON.stringify([files, clientCaFile, clientCertificates, minVersion]);
}

function keyOf({ caFile, serverName, certFile, keyFile, verifies }: TlsNodeConfig): string {
  return JSON.stringify([caFile, serverName, certFile, keyFile, verifies]);
}

function filesOf(subject: CertificateStore | NodeCredentials): readonly string[] {
  if (subject instanceof CertificateStore) return subject.config.certificates.map(({ certFile }) => certFile);
  return [subject.config.caFile, subject.config.certFile].filter((file) => file !== "");
}
