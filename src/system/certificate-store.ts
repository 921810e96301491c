import type { X509Certificate } from "node:crypto";
import { constants } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { CertificateConfig, TlsListenerConfig } from "../config/tls.js";
import type { Clock } from "../core/clock.js";
import { FnlbError } from "../errors.js";
import { FileSnapshot, type Reloadable } from "./file-snapshot.js";
import { certificatesOf, checkKeyFits, type PemTexts, textOf } from "./pem-files.js";

/** A certificate in use, for whoever reports it. */
export interface CertificateSummary {
  readonly certFile: string;
  /** What it is for, in lower case; wildcards as `*.example.com`. */
  readonly names: readonly string[];
  /** Milliseconds since the epoch. */
  readonly validFromMs: number;
  readonly validUntilMs: number;
}

export interface CertificateStoreDependencies {
  readonly clock: Clock;
  /** A certificate that was just loaded is not valid today. It is used all the same: clients decide. */
  readonly onExpired: (certificate: CertificateSummary) => void;
}

interface Snapshot {
  readonly certificates: readonly CertificateSummary[];
  readonly first: SecureContextOptions;
  readonly contexts: readonly SecureContext[];
  readonly byName: ReadonlyMap<string, SecureContext>;
}

/**
 * The certificates of a listener, read from files and swapped as a whole. Connections that stand keep the one that
 * they were opened with.
 */
export class CertificateStore implements Reloadable {
  readonly config: TlsListenerConfig;
  readonly #dependencies: CertificateStoreDependencies;
  readonly #files: FileSnapshot<Snapshot>;
  readonly #swapListeners = new Set<() => void>();

  /** Throws `ERR_OPTION` for a config that cannot work. Holds nothing before the first `reload`. */
  constructor(dependencies: CertificateStoreDependencies, config: TlsListenerConfig) {
    const { certificates, clientCaFile, clientCertificates } = config;
    if (certificates.length === 0)
      throw new FnlbError("ERR_OPTION", "a TLS listener must have a certificate, got none");
    if (clientCertificates !== "none" && clientCaFile === "") {
      // The public authorities would be asked instead, and anybody can have a certificate of theirs.
      throw new FnlbError("ERR_OPTION", "a listener that asks for client certificates must have a CA file, got none");
    }
    this.config = config;
    this.#dependencies = dependencies;
    this.#files = new FileSnapshot(
      [...certificates.flatMap(({ certFile, keyFile }) => [certFile, keyFile]), clientCaFile],
      (texts) => buildSnapshot(config, texts),
    );
  }

  /** Reads all files, also for the first time. Rejects with `ERR_OPTION`, which names the file. */
  async reload(): Promise<boolean> {
    const hasChanged = await this.#files.reload();
    if (!hasChanged) return false;
    const { clock, onExpired } = this.#dependencies;
    const now = clock.wallNow();
    for (const certificate of this.certificates) {
      if (now < certificate.validFromMs || now > certificate.validUntilMs) onExpired(certificate);
    }
    for (const listener of this.#swapListeners) listener();
    return true;
  }

  get certificates(): readonly CertificateSummary[] {
    return this.#files.value.certificates;
  }

  /** What the first certificate's context is made of. */
  get first(): SecureContextOptions {
    return this.#files.value.first;
  }

  /** The context for the name that a client asks for. */
  find(serverName: string): SecureContext {
    const { byName, contexts } = this.#files.value;
    const name = serverName.toLowerCase();
    const dot = name.indexOf(".");
    // A wildcard stands for one label (RFC 9525 §6.3).
    return byName.get(name) ?? (dot > 0 ? byName.get(`*${name.slice(dot)}`) : undefined) ?? contexts[0];
  }

  /** Tells of every swap, behind it. Returns how to stop that. */
  onSwap(listener: () => void): () => void {
    this.#swapListeners.add(listener);
    return () => this.#swapListeners.delete(listener);
  }
}

function buildSnapshot(config: TlsListenerConfig, texts: PemTexts): Snapshot {
  const { clientCaFile } = config;
  if (clientCaFile !== "") certificatesOf(clientCaFile, texts);
  const loaded = config.certificates.map((certificate) => loadCertificate(certificate, config, texts));
  const byName = new Map<string, SecureContext>();
  for (const { summary, context } of loaded) {
    // The first that has a name keeps it, as the first certificate is the one for everybody else.
    for (const name of summary.names) if (!byName.has(name)) byName.set(name, context);
  }
  return {
    certificates: loaded.map(({ summary }) => summary),
    first: loaded[0].options,
    contexts: loaded.map(({ context }) => context),
    byName,
  };
}

function loadCertificate({ certFile, keyFile }: CertificateConfig, config: TlsListenerConfig, texts: PemTexts) {
  const [own] = checkKeyFits(certFile, keyFile, texts);
  const { clientCaFile, minVersion } = config;
  const options: SecureContextOptions = {
    cert: textOf(certFile, texts),
    key: textOf(keyFile, texts),
    ...(clientCaFile === "" ? {} : { ca: textOf(clientCaFile, texts) }),
    minVersion: minVersion === "1.3" ? "TLSv1.3" : "TLSv1.2",
    honorCipherOrder: true,
    // A client that may renegotiate makes the server work for nothing.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    // The same for all: a ticket of one certificate may come back for another, and without this the handshake fails.
    sessionIdContext: "fnlb",
  };
  try {
    return { summary: summarize(certFile, own), options, context: createSecureContext(options) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FnlbError("ERR_OPTION", `file "${certFile}" must hold a certificate that TLS can use, got ${reason}`, {
      cause: error,
    });
  }
}

function summarize(certFile: string, certificate: X509Certificate): CertificateSummary {
  return {
    certFile,
    names: namesOf(certificate),
    validFromMs: Date.parse(certificate.validFrom),
    validUntilMs: Date.parse(certificate.validTo),
  };
}

/** The DNS names of a certificate; its common name only where it has none of those, as clients did before RFC 6125. */
function namesOf({ subjectAltName, subject }: X509Certificate): readonly string[] {
  const names = (subjectAltName ?? "")
    .split(", ")
    .filter((entry) => entry.startsWith("DNS:"))
    .map((entry) => entry.slice("DNS:".length).toLowerCase());
  if (names.length > 0) return names;
  const commonName = /^CN=(.+)$/m.exec(subject)?.[1];
  return commonName === undefined ? [] : [commonName.toLowerCase()];
}
