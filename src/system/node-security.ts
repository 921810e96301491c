import { isIP } from "node:net";
import { type ConnectionOptions, checkServerIdentity, createSecureContext, type SecureContext } from "node:tls";
import type { TlsNodeConfig } from "../config/tls.js";
import type { DialSecurity } from "../core/stream.js";
import { FnlbError } from "../errors.js";
import { FileSnapshot, type Reloadable } from "./file-snapshot.js";
import { certificatesOf, checkKeyFits, type PemTexts, textOf } from "./pem-files.js";

/** Whom we trust and who we are towards `https://` nodes, read from files and swapped as a whole. */
export class NodeCredentials implements Reloadable {
  readonly config: TlsNodeConfig;
  readonly #files: FileSnapshot<SecureContext>;

  /** Throws `ERR_OPTION` for a config that cannot work. Holds nothing before the first `reload`. */
  constructor(config: TlsNodeConfig) {
    const { caFile, certFile, keyFile } = config;
    if ((certFile === "") !== (keyFile === ""))
      throw new FnlbError("ERR_OPTION", "a certificate for nodes must have its key file, got one without the other");
    this.config = config;
    this.#files = new FileSnapshot([caFile, certFile, keyFile], (texts) => buildContext(config, texts));
  }

  get context(): SecureContext {
    return this.#files.value;
  }

  /** Reads all files, also for the first time. Rejects with `ERR_OPTION`, which names the file. */
  reload(): Promise<boolean> {
    return this.#files.reload();
  }
}

function buildContext({ caFile, certFile, keyFile }: TlsNodeConfig, texts: PemTexts): SecureContext {
  if (caFile !== "") certificatesOf(caFile, texts);
  if (certFile !== "") checkKeyFits(certFile, keyFile, texts);
  try {
    return createSecureContext({
      ...(caFile === "" ? {} : { ca: textOf(caFile, texts) }),
      ...(certFile === "" ? {} : { cert: textOf(certFile, texts), key: textOf(keyFile, texts) }),
      minVersion: "TLSv1.2",
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const files = [caFile, certFile, keyFile].filter((file) => file !== "").join('", "');
    throw new FnlbError("ERR_OPTION", `files "${files}" must hold what TLS can use, got ${reason}`, { cause: error });
  }
}

/** How one node is dialled: under which name, with whose trust, and the session that spares the next dial a round trip. */
export class NodeSecurity implements DialSecurity {
  readonly serverName: string;
  readonly #credentials: NodeCredentials;
  #session: { readonly ticket: Buffer; readonly context: SecureContext } | undefined;

  constructor(credentials: NodeCredentials, host: string) {
    this.#credentials = credentials;
    this.serverName = credentials.config.serverName || host;
  }

  /** Options for one `tls.connect`, as of now. */
  options(): ConnectionOptions & { readonly secureContext: SecureContext } {
    const { serverName } = this;
    const { context, config } = this.#credentials;
    // A session that began under other authorities would not be verified again.
    const session = this.#session?.context === context ? this.#session.ticket : undefined;
    return {
      secureContext: context,
      // An address is no name to ask for (RFC 6066 §3); the certificate is held against it all the same.
      servername: isIP(serverName) === 0 ? serverName : "",
      checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
      rejectUnauthorized: config.verifies,
      ALPNProtocols: ["http/1.1"],
      ...(session === undefined ? {} : { session }),
    };
  }

  /** Keeps the newest session of a connection that was opened with this context. */
  keepSession(ticket: Buffer, context: SecureContext): void {
    this.#session = { ticket, context };
  }

  /** A handshake failed: it may have been the session's fault. */
  forgetSession(): void {
    this.#session = undefined;
  }
}
