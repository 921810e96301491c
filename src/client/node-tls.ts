import { isIP } from "node:net";
import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContext } from "node:tls";
import type { Node } from "../core/node.js";
import { FnlbError } from "../errors.js";

/** PEM texts, of one file or of several. */
export type PemText = string | Buffer | readonly (string | Buffer)[];

/** How TLS is spoken to nodes that are written as `https://…`. */
export interface NodeTlsOptions {
  /** The authorities that may sign the certificates of nodes. Default: the public ones that come with Node.js. */
  readonly ca?: PemText;
  /** The name that nodes are asked for and that their certificates must be for. Default: the host of each. */
  readonly serverName?: string;
  /** A certificate for nodes that ask for one, and its key. */
  readonly cert?: PemText;
  readonly key?: PemText;
  /** False takes any certificate: whoever can answer at the address of a node is the node then. Default true. */
  readonly verifies?: boolean;
}

/** Options for `tls.connect`. */
export interface NodeTlsDial {
  readonly secureContext: SecureContext;
  readonly servername: string;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
  readonly rejectUnauthorized: boolean;
}

/** What connects to nodes in TLS, for all nodes of a dispatcher. */
export class NodeTls {
  readonly #serverName: string | undefined;
  readonly #verifies: boolean;
  readonly #secureContext: SecureContext;

  /** Throws `ERR_OPTION` for texts that TLS cannot use. */
  constructor({ ca, serverName, cert, key, verifies = true }: NodeTlsOptions = {}) {
    this.#serverName = serverName;
    this.#verifies = verifies;
    if ((cert === undefined) !== (key === undefined))
      throw new FnlbError("ERR_OPTION", 'option "tls" must have both cert and key, got one without the other');
    try {
      this.#secureContext = createSecureContext({
        ...(ca === undefined ? {} : { ca: listOf(ca) }),
        ...(cert === undefined ? {} : { cert: listOf(cert) }),
        ...(key === undefined ? {} : { key: listOf(key) }),
        minVersion: "TLSv1.2",
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new FnlbError("ERR_OPTION", `option "tls" must hold PEM texts that TLS can use, got ${reason}`, {
        cause: error,
      });
    }
  }

  /** The name that the node's certificate must be for; undefined for a node that is spoken to in the clear. */
  nameOf({ address }: Node): string | undefined {
    return address.kind === "tcp" && address.tls === true ? (this.#serverName ?? address.host) : undefined;
  }

  /** How the node is dialled; undefined for one that is spoken to in the clear. */
  optionsFor(node: Node): NodeTlsDial | undefined {
    const name = this.nameOf(node);
    if (name === undefined) return undefined;
    return {
      secureContext: this.#secureContext,
      // An address is no name to ask for (RFC 6066 §3); the certificate is held against it all the same.
      servername: isIP(name) === 0 ? name : "",
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      rejectUnauthorized: this.#verifies,
    };
  }
}

function listOf(text: PemText): string | Buffer | (string | Buffer)[] {
  return typeof text === "string" || Buffer.isBuffer(text) ? text : [...text];
}
