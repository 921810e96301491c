import type { RequestSketch } from "../core/operations.js";
import { TARGET, TOKEN, VALUE } from "./chars.js";
import { isHost } from "./request-head.js";

/** The head of a sketched request as a client would send it, or which part of the sketch no client could send. */
export type SketchedRequest =
  | { readonly kind: "head"; readonly bytes: Buffer }
  | { readonly kind: "bad"; readonly field: keyof RequestSketch; readonly detail: string };

/** Scheme and authority, path, query; a fragment is never sent. */
const URL_PARTS = /^(?:https?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(?:#.*)?$/is;

/**
 * Writes the request down byte by byte as sketched: neither dots in the path nor case nor percent-encoding are touched,
 * because what routes requests does not touch them either. Text outside ASCII is sent as UTF-8. Without any host it is
 * an HTTP/1.0 request, the only one that may have none (RFC 9112 §3.2).
 *
 * What would end a line or a word is refused: a sketch is one request and never two.
 */
export function sketchedRequest({ method = "GET", url, headers = [] }: RequestSketch): SketchedRequest {
  if (!isAll(method, TOKEN)) return bad("method", "a token such as GET");
  const [, authority, path = "", query = ""] = URL_PARTS.exec(url) ?? [];
  const target = `${path === "" && authority !== undefined ? "/" : path}${query}`;
  const isAsterisk = target === "*" && method === "OPTIONS";
  if (!isAsterisk && !target.startsWith("/")) return bad("url", "http://host/path, https://host/path or /path");
  if (!isAll(target, TARGET)) return bad("url", "in visible ASCII, everything else percent-encoded");
  if (authority !== undefined && !isHostText(authority)) return bad("url", "one with a host, and a port at most");

  const lines: string[] = [];
  let hasHost = authority !== undefined;
  if (authority !== undefined) lines.push(`Host: ${authority}\r\n`);
  for (const [index, [name, value]] of headers.entries()) {
    const badHeader = (wanted: string) => bad("headers", wanted, `headers[${index}]`);
    if (!isAll(name, TOKEN)) return badHeader("a name that is a token, and a value");
    if (value !== "" && !isAll(value, VALUE)) return badHeader("without line ends and other control characters");
    if (name.toLowerCase() === "host") {
      if (authority !== undefined) return badHeader("another field than Host, which the URL gives already");
      hasHost = true;
    }
    lines.push(`${name}: ${value}\r\n`);
  }
  const text = `${method} ${target} HTTP/1.${hasHost ? 1 : 0}\r\n${lines.join("")}\r\n`;
  return { kind: "head", bytes: Buffer.from(text) };
}

/** Never says what was given: a field may be somebody's password. */
function bad(field: keyof RequestSketch, wanted: string, place: string = field): SketchedRequest {
  return { kind: "bad", field, detail: `"${place}" must be ${wanted}` };
}

function isAll(text: string, allowed: Uint8Array): boolean {
  return text !== "" && Buffer.from(text).every((byte) => allowed[byte] === 1);
}

function isHostText(text: string): boolean {
  const bytes = Buffer.from(text);
  return isHost(bytes, 0, bytes.length);
}
