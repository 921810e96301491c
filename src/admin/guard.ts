import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { TLSSocket } from "node:tls";

/** Who may do what by which proof. */
export interface GuardSettings {
  /** "": none is asked for. */
  readonly token: string;
  /** Whoever has a certificate of the authorities may do everything. */
  readonly takesCertificates: boolean;
  /** The host that is listened to, for the Host field; undefined on a unix socket, where no browser comes. */
  readonly host: string | undefined;
}

/** Whether a request may be answered, and who sends it or why not. */
export type Verdict =
  | { readonly kind: "admitted"; readonly actor: string }
  | { readonly kind: "refused"; readonly code: "ERR_UNAUTHORIZED" | "ERR_FORBIDDEN"; readonly detail: string };

/**
 * Judges a request before anything of it is looked at. Browsers send what other sites tell them to, from inside the
 * network and with certificates of their users: a request that such a site may have caused is refused whatever it proves.
 */
export function judge(request: IncomingMessage, settings: GuardSettings): Verdict {
  const { token, takesCertificates } = settings;
  const foreign = foreignTrace(request, settings);
  if (foreign !== undefined) return { kind: "refused", code: "ERR_FORBIDDEN", detail: foreign };
  if (token === "" && !takesCertificates) return { kind: "admitted", actor: "local" };
  if (token !== "" && isToken(token, request.headers.authorization)) return { kind: "admitted", actor: "token" };
  const name = takesCertificates ? certificateName(request) : undefined;
  if (name !== undefined) return { kind: "admitted", actor: `certificate ${name}` };
  const wanted = [...(token === "" ? [] : ["a bearer token"]), ...(takesCertificates ? ["a client certificate"] : [])];
  return { kind: "refused", code: "ERR_UNAUTHORIZED", detail: `${wanted.join(" or ")} is needed here` };
}

/** What speaks for another site behind the request. */
function foreignTrace({ headers }: IncomingMessage, settings: GuardSettings): string | undefined {
  const { token, takesCertificates, host: ownHost } = settings;
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return "the request comes from another site";
  const { origin, host } = headers;
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === hostOf(host))) {
    return "the request comes from another site";
  }
  // A name of somebody else's may lead here (DNS rebinding), and then his pages are of the same origin. A token they do
  // not have, and a certificate of that name we do not.
  const isOpen = token === "" && !takesCertificates && ownHost !== undefined;
  if (!isOpen || host === undefined) return undefined;
  const name = host.replace(/:\d*$/, "").toLowerCase();
  const isLiteral = isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0;
  if (isLiteral || name === "localhost" || name === ownHost.toLowerCase()) return undefined;
  return "without a token the host must be an address, localhost or the name that is listened to";
}

/** As URLs have it: in lower case, without the default port. */
function hostOf(host: string | undefined): string | undefined {
  const url = `http://${host ?? ""}`;
  return URL.canParse(url) ? new URL(url).host : undefined;
}

function isToken(token: string, authorization: string | undefined): boolean {
  const given = /^bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? "")?.[1] ?? "";
  // Of hashes, which have one length, and whose first byte says nothing about the token's.
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const NAME_LENGTH_MAX = 128;

/** `CN=ops` of a certificate that the authorities have signed; undefined without one. */
function certificateName({ socket }: IncomingMessage): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // A session that is resumed without a certificate counts as authorized for the runtime.
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const name = /^CN=(.+)$/m.exec(certificate.subject)?.[0] ?? certificate.fingerprint256;
  return name.slice(0, NAME_LENGTH_MAX);
}
