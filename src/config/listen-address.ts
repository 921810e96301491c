import { isIP } from "node:net";
import { badOption, parsePort } from "./units.js";
import type { Given } from "./value.js";

/** Where clients connect. Port 0 asks the system for a free one; `fd` is an inherited listening socket. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "fd"; readonly fd: number };

/** What `parseListenAddress` reads, for error messages and help. */
export const LISTEN_ADDRESS_SHAPE = "an address such as :8081, host:port, [::1]:8081, unix:/path or fd@3";

/** Reads `:8081` (all IPv4 addresses), `host:port`, `[::1]:8081`, `unix:/path` or `fd@3`; undefined for anything else. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const item = text.trim();
  if (item.startsWith("unix:")) {
    const path = item.slice("unix:".length);
    return path === "" || path.includes("\0") ? undefined : { kind: "unix", path };
  }
  if (item.startsWith("fd@")) {
    // 0 to 2 are the standard streams.
    return /^fd@(?:[3-9]|[1-9]\d{1,5})$/.test(item) ? { kind: "fd", fd: Number(item.slice(3)) } : undefined;
  }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(item);
  if (match === null) return undefined;
  const [, bracketed, plain, portText] = match;
  const port = parsePort(portText, 0);
  if (port === undefined) return undefined;
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { kind: "tcp", host: bracketed, port } : undefined;
  if (plain === "") return { kind: "tcp", host: "0.0.0.0", port };
  return isHostName(plain) ? { kind: "tcp", host: plain, port } : undefined;
}

/** An IPv4 literal, or labels of letters, digits, `-` and `_`; digits and dots that are no address are neither. */
export function isHostName(text: string): boolean {
  if (text.length > 253) return false;
  if (/^[\d.]+$/.test(text)) return isIP(text) === 4;
  return /^(?!-)[\w-]{1,63}(?:\.(?!-)[\w-]{1,63})*\.?$/.test(text);
}

/** One or more addresses; none where nothing was given. */
export function readListenAddresses({ texts, source }: Given): readonly ListenAddress[] {
  if (texts.join("") === "") return [];
  return texts.map((item) => {
    const address = parseListenAddress(item);
    if (address === undefined) throw badOption(source, LISTEN_ADDRESS_SHAPE, item);
    return address;
  });
}

/** One name for one address, however it was written. */
export function listenName(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.kind === "fd" ? `fd@${address.fd}` : `${address.host}:${address.port}`;
}
