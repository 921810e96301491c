import assert from "node:assert/strict";
import type { ListenerConfig, NodeConfig } from "../config/config.js";
import type { TlsListenerConfig, TlsNodeConfig } from "../config/tls.js";
import type { Clock } from "../core/clock.js";
import type { Counters } from "../core/counters.js";
import type { Log } from "../core/log.js";
import type { DialSecurity } from "../core/stream.js";
import { FnlbError } from "../errors.js";
import { CertificateStore } from "./certificate-store.js";
import { runCertificateWatch } from "./certificate-watch.js";
import { NodeCredentials, NodeSecurity } from "./node-security.js";
import type { TlsListening } from "./tls-listener.js";

export interface KeyringDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** The public authorities, the node's own name, and no certificate of ours. */
const NODE_DEFAULTS: TlsNodeConfig = { caFile: "", serverName: "", certFile: "", keyFile: "", verifies: true };

/** Every certificate and authority of one balancer: for its listeners, and for the nodes that it dials. */
export class Keyring {
  readonly #dependencies: KeyringDependencies;
  /** By content: what stays the same in another config is kept, and a hundred nodes share what they are dialled with. */
  #stores: ReadonlyMap<string, CertificateStore> = new Map();
  #credentials: ReadonlyMap<string, NodeCredentials> = new Map();

  constructor(dependencies: KeyringDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Reads what these need and what has not been read yet. Rejects with `ERR_OPTION`, which names the file that is at
   * fault, and then nothing has changed. What is only needed by others is forgotten by the function that it resolves to.
   */
  async adopt(listeners: readonly ListenerConfig[], nodes: readonly NodeConfig[]): Promise<() => void> {
    const stores = new Map<string, CertificateStore>();
    for (const { tls, proxyProtocol } of listeners) {
      if (tls === undefined) continue;
      // Proxies send that header in front of the handshake, where nobody would read it.
      if (proxyProtocol)
        throw new FnlbError("ERR_OPTION", "a listener must have either TLS or the PROXY protocol, got both");
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
    const known = new Set<unknown>(this.#all);
    for (const subject of [...stores.values(), ...credentials.values()])
      if (!known.has(subject)) await subject.reload();
    this.#stores = new Map([...this.#stores, ...stores]);
    this.#credentials = new Map([...this.#credentials, ...credentials]);
    return () => {
      this.#stores = stores;
      this.#credentials = credentials;
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
  async reload(): Promise<void> {
    for (const subject of this.#all) {
      try {
        if (await subject.reload()) this.#onReloaded(subject);
      } catch (error) {
        this.#onFailed(subject, error as Error);
      }
    }
  }

  /** Looks for changed files until the signal ends it. */
  run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#dependencies;
    const hooks = { onReloaded: this.#onReloaded, onFailed: this.#onFailed };
    const watched = () => this.#all.filter((subject) => filesOf(subject).length > 0);
    return runCertificateWatch({ clock, ...hooks }, {}, watched, signal);
  }

  /** What `Sockets.listen` wants of one of the listeners; undefined for one that speaks in the clear. */
  listeningOf(
    { tls }: ListenerConfig,
    { handshakeTimeoutMs, handshakesMax }: Pick<TlsListening, "handshakeTimeoutMs" | "handshakesMax">,
  ): TlsListening | undefined {
    if (tls === undefined) return undefined;
    const certificates = this.#stores.get(keyOfListener(tls));
    assert(certificates !== undefined, "a listener that the keyring does not know");
    const { clock, log, counters } = this.#dependencies;
    return {
      certificates,
      clock,
      handshakeTimeoutMs,
      handshakesMax,
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

  readonly #onReloaded = (subject: CertificateStore | NodeCredentials): void => {
    this.#dependencies.log.info({ event: "certificates_reloaded", files: filesOf(subject) });
  };

  readonly #onFailed = (subject: CertificateStore | NodeCredentials, error: Error): void => {
    this.#dependencies.log.error({
      event: "certificates_reload_failed",
      files: filesOf(subject),
      reason: error.message,
    });
  };
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
