import { FnlbError } from "../../errors.js";

export interface CookieAttributes {
  /** Default `/`. */
  readonly path?: string;
  /** Default: none, the host that answered and no other. */
  readonly domain?: string;
  /** Over TLS only. Default false. */
  readonly secure?: boolean;
  /** Out of reach for scripts. Default true. */
  readonly httpOnly?: boolean;
  /** Default `lax`. `none` needs `secure`, or browsers drop the cookie. */
  readonly sameSite?: "strict" | "lax" | "none";
  /** Life of the cookie in seconds; 0 or less ends it at once. Default: until the browser is closed. */
  readonly maxAgeSeconds?: number;
  /** When the cookie ends, for clients that do not know Max-Age. Default: none. */
  readonly expires?: Date;
}

/** Values of one cookie that are looked at: clients send one, or one for each path. */
const VALUES_MAX = 8;

/**
 * The values of a cookie in a `Cookie` header, in its order and without quotes. Takes what real clients send: pieces
 * that are no cookies are skipped. Looks for one name and builds no object, so that no name is special.
 */
export function cookieValues(header: string, name: string): string[] {
  const values: string[] = [];
  let start = 0;
  while (start < header.length && values.length < VALUES_MAX) {
    const semicolon = header.indexOf(";", start);
    const end = semicolon < 0 ? header.length : semicolon;
    const equals = header.indexOf("=", start);
    if (equals >= 0 && equals < end && header.slice(start, equals).trim() === name) {
      values.push(unquoted(header.slice(equals + 1, end).trim()));
    }
    start = end + 1;
  }
  return values;
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

/** Characters of a value: no controls, space, quote, comma, semicolon or backslash (RFC 6265 §4.1.1). */
export function isCookieValue(value: string): boolean {
  return /^[!#-+\--:<-[\]-~]*$/.test(value);
}

/** Throws `ERR_OPTION` for what is no name of a cookie, or promises by its prefix what the attributes do not keep. */
export function checkCookieName(name: string, { path = "/", domain, secure = false }: CookieAttributes): void {
  if (!/^[!#$%&'*+\-.^_`|~\da-z]+$/i.test(name)) throw badOption("name", "a token", name);
  const prefix = /^__(?:host|secure)-/i.exec(name)?.[0].toLowerCase();
  if (prefix !== undefined && !secure) throw badOption("secure", `true for a cookie ${name}`, String(secure));
  if (prefix === "__host-" && (domain !== undefined || path !== "/")) {
    throw badOption("path", `"/", and "domain" not given, for a cookie ${name}`, path);
  }
}

/**
 * What follows name and value in a `Set-Cookie` header (RFC 6265 §4.1.1), a semicolon and a space in front. Throws
 * `ERR_OPTION` for a value that is no such attribute, anything that could begin another one or another line included.
 */
export function cookieAttributes(attributes: CookieAttributes): string {
  const { path = "/", domain, secure = false, httpOnly = true, sameSite = "lax", maxAgeSeconds, expires } = attributes;
  if (!/^\/[ -:<-~]*$/.test(path)) throw badOption("path", "a path that begins with / and has no semicolon", path);
  if (domain !== undefined && !/^\.?[\da-z](?:[\d.a-z-]*[\da-z])?$/i.test(domain)) {
    throw badOption("domain", "a host name", domain);
  }
  const sameSiteName = SAME_SITE.get(sameSite);
  if (sameSiteName === undefined) throw badOption("sameSite", "strict, lax or none", sameSite);
  if (sameSite === "none" && !secure) throw badOption("secure", "true with sameSite none", String(secure));
  if (maxAgeSeconds !== undefined && !Number.isSafeInteger(maxAgeSeconds)) {
    throw badOption("maxAgeSeconds", "a whole number of seconds", String(maxAgeSeconds));
  }
  if (expires !== undefined && Number.isNaN(expires.getTime())) throw badOption("expires", "a date", String(expires));
  return [
    `; Path=${path}`,
    domain === undefined ? "" : `; Domain=${domain}`,
    maxAgeSeconds === undefined ? "" : `; Max-Age=${Math.max(0, maxAgeSeconds)}`,
    expires === undefined ? "" : `; Expires=${expires.toUTCString()}`,
    secure ? "; Secure" : "",
    httpOnly ? "; HttpOnly" : "",
    `; SameSite=${sameSiteName}`,
  ].join("");
}

const SAME_SITE: ReadonlyMap<string, string> = new Map([
  ["strict", "Strict"],
  ["lax", "Lax"],
  ["none", "None"],
]);

function badOption(option: string, expected: string, got: string): FnlbError {
  return new FnlbError("ERR_OPTION", `option "${option}" must be ${expected}, got ${JSON.stringify(got)}`);
}
