import { isIP } from "node:net";
import { type ListenAddress, parseListenAddress } from "./listen-address.js";
import type { TlsListenerConfig } from "./tls.js";
import { badOption } from "./units.js";
import { type Given, single } from "./value.js";

/** Where the admin API listens, if it does. */
export type AdminAddress = Exclude<ListenAddress, { readonly kind: "fd" }> | { readonly kind: "off" };

const ADDRESS_SHAPE = "an address such as 127.0.0.1:9081, [::1]:9081, host:port or unix:/path";
const TOKEN_BYTES_MIN = 16;
/** What may stand behind "Bearer" in a field (RFC 6750 §2.1). */
const BEARER = /^[\w.~+/-]+=*$/;

export function readAdminAddress(given: Given): AdminAddress {
  const text = single(given);
  if (text === "") return { kind: "off" };
  const address = parseListenAddress(text);
  if (address === undefined || address.kind === "fd") throw badOption(given.source, ADDRESS_SHAPE, text);
  return address;
}

/** A token is never repeated in an error. */
export function readAdminToken(given: Given): string {
  const token = single(given);
  if (token === "") return token;
  const bytes = Buffer.byteLength(token);
  if (bytes < TOKEN_BYTES_MIN) throw badOption(given.source, `${TOKEN_BYTES_MIN} bytes or more`, `${bytes}`);
  if (!BEARER.test(token)) throw badOption(given.source, "made of letters, digits and -._~+/", "something else");
  return token;
}

/** What the options of the admin API say together. */
export interface AdminChoice {
  readonly admin: AdminAddress;
  /** "": none is asked for. */
  readonly adminToken: string;
  readonly adminTlsCertFile: string;
  readonly adminTlsKeyFile: string;
  readonly adminClientCaFile: string;
  readonly adminConnectionsMax: number;
}

/** The names of these options as errors give them. */
export interface AdminSources {
  readonly token: string;
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

/** Refuses an admin API that everybody could use, and options of one that is off: whoever sets them believes it is on. */
export function checkAdmin(choice: AdminChoice, sources: AdminSources): void {
  const { admin, adminToken, adminTlsCertFile, adminTlsKeyFile, adminClientCaFile } = choice;
  if (admin.kind === "off") {
    const idle = "left out without --admin";
    if (adminToken !== "") throw badOption(sources.token, idle, "one");
    if (adminTlsCertFile !== "") throw badOption(sources.cert, idle, adminTlsCertFile);
  }
  if (adminTlsCertFile === "") {
    const idle = "left out without --admin-tls-cert";
    if (adminTlsKeyFile !== "") throw badOption(sources.key, idle, adminTlsKeyFile);
    if (adminClientCaFile !== "") throw badOption(sources.clientCa, idle, adminClientCaFile);
  }
  if (admin.kind !== "off" && !isOwnMachine(admin) && adminToken === "" && adminClientCaFile === "") {
    const expected = "given, or --admin-client-ca, where --admin is not an address of loopback or a unix socket";
    throw badOption(sources.token, expected, "");
  }
}

/** Only this machine can connect to it. */
export function isOwnMachine(address: Exclude<AdminAddress, { readonly kind: "off" }>): boolean {
  if (address.kind === "unix") return true;
  const host = address.host.toLowerCase();
  if (isIP(host) === 4) return host.startsWith("127.");
  // Of IPv6 there is one, in several spellings; a name may be anything tomorrow.
  const url = `http://[${host}]`;
  return host === "localhost" || (URL.canParse(url) && new URL(url).hostname === "[::1]");
}

/** How the admin API speaks TLS; undefined where it speaks in the clear. */
export function adminTls(choice: AdminChoice): TlsListenerConfig | undefined {
  const { adminTlsCertFile: certFile, adminTlsKeyFile, adminClientCaFile } = choice;
  if (certFile === "") return undefined;
  return {
    certificates: [{ certFile, keyFile: adminTlsKeyFile === "" ? certFile : adminTlsKeyFile }],
    clientCaFile: adminClientCaFile,
    // Who has none may still ask for /healthz: the orchestrator's probes have no certificates.
    clientCertificates: adminClientCaFile === "" ? "none" : "request",
    minVersion: "1.2",
  };
}
