import { readLatin1, SLASH } from "./chars.js";
import type { ProblemOptions } from "./problem.js";

const TITLES = {
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
} as const;

export interface RedirectOptions extends ProblemOptions {
  /** 307 and 308 keep the method and the body (RFC 9110 §15.4); the others may turn a POST into a GET. */
  readonly status: keyof typeof TITLES;
  /** A URI reference. Whatever is not visible ASCII in it is percent-encoded. */
  readonly location: string;
}

/** A complete response that sends the client elsewhere, with one line of text for whoever reads it. */
export function redirectResponse({ status, location, closes, isHead, date }: RedirectOptions): Buffer {
  const title = TITLES[status];
  const safe = visible(location);
  const body = `${title}: ${safe}\n`;
  const close = closes ? "Connection: close\r\n" : "";
  return Buffer.from(
    `HTTP/1.1 ${status} ${title}\r\nDate: ${date}\r\nLocation: ${safe}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${body.length}\r\n${close}\r\n${isHead ? "" : body}`,
    "latin1",
  );
}

/** A line break in a Location would begin a field of somebody else's choice. */
function visible(location: string): string {
  return location.replace(/[^!-~]+/g, (hidden) =>
    [...Buffer.from(hidden)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

const BACKSLASH = 0x5c;

/**
 * The Location of the same resource with a slash behind its path, if there is none: of `/a?b` it is `/a/?b`.
 * `buffer[start, end)` is a target in origin-form, whose path ends at `pathEnd`.
 *
 * A path that begins with two slashes would be read as the name of a host (RFC 3986 §4.2), and browsers take `\` for
 * a slash: `//evil` becomes `/.//evil/`, which names the same path on the host that was asked.
 */
export function slashLocation(buffer: Buffer, start: number, pathEnd: number, end: number): string {
  const second = buffer[start + 1];
  const guard = pathEnd - start > 1 && (second === SLASH || second === BACKSLASH) ? "/." : "";
  const slash = buffer[pathEnd - 1] === SLASH ? "" : "/";
  return `${guard}${readLatin1(buffer, start, pathEnd)}${slash}${readLatin1(buffer, pathEnd, end)}`;
}
