import { badOption } from "./units.js";
import { type Given, single } from "./value.js";

/** What `--store` looks like, for error messages and help. */
export const STORE_SHAPE = "redis://[user:password@]host[:port][/db], rediss://… for TLS, or unix:///path[?db=n]";

/** A URL as the client of the store takes it; "" is the process's own memory. Passwords are never repeated in an error. */
export function readStoreUrl(given: Given): string {
  const url = single(given);
  if (url !== "" && !isRedisUrl(url) && !isSocketUrl(url)) {
    throw badOption(given.source, STORE_SHAPE, url.replace(/\/\/.*@/, "//***@"));
  }
  return url;
}

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, pathname, search, hash, username, password } = new URL(text);
  const isRedis = protocol === "redis:" || protocol === "rediss:";
  // The client would not read what stands behind the number of the database.
  const isWhole = /^(?:\/\d{0,5})?$/.test(pathname) && search === "" && hash === "";
  return isRedis && hostname !== "" && isWhole && isEscaped(username) && isEscaped(password);
}

function isSocketUrl(text: string): boolean {
  const match = /^unix:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?(\/[^?#]+)(?:\?db=\d{1,5})?$/.exec(text);
  return match?.slice(1).every((part) => isEscaped(part ?? "")) ?? false;
}

function isEscaped(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    // A lone percent sign: the client would fail over it at each connection.
    return false;
  }
}
