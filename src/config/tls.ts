/** A certificate with its key: PEM files; the first certificate of `certFile` is the server's own, the others lead to its issuer. */
export interface CertificateConfig {
  readonly certFile: string;
  readonly keyFile: string;
}

/** How a listener speaks TLS to clients. */
export interface TlsListenerConfig {
  /**
   * At least one. The name that the client asks for (SNI) chooses, exact names before wildcards; the first is for
   * clients that name none, or one that no certificate is for.
   */
  readonly certificates: readonly CertificateConfig[];
  /** Who must have signed the certificates of clients; "" is nobody, and then none may be asked for. */
  readonly clientCaFile: string;
  /** "request": a client may have none, but not a bad one. "require": the handshake fails without a good one. */
  readonly clientCertificates: "none" | "request" | "require";
  readonly minVersion: "1.2" | "1.3";
}

/** How TLS is spoken to `https://` nodes. */
export interface TlsNodeConfig {
  /** Who must have signed the certificates of nodes; "" is the runtime's list of public authorities. */
  readonly caFile: string;
  /** The name that is asked for and that the certificate must be for; "" is the node's own host. */
  readonly serverName: string;
  /** Certificate for nodes that ask for one, with its key; "" is none. */
  readonly certFile: string;
  readonly keyFile: string;
  /** False takes any certificate: whoever can answer at the node's address is the node then. */
  readonly verifies: boolean;
}
