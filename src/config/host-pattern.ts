import { isIP } from "node:net";
import { isHostName } from "./listen-address.js";
import { parsePort } from "./units.js";

/** The host of a route, as it is compared. */
export interface HostPattern {
  /** Lower case, without a dot at its end; of `*.example.com` what stands behind `*.`. IPv6 addresses stand in brackets. */
  readonly name: string;
  /** Every name below `name`, however deep, but not `name`. */
  readonly isWildcard: boolean;
  /** undefined: whatever it is, and none. */
  readonly port: number | undefined;
}

/** What `parseHostPattern` reads, for error messages. */
export const HOST_PATTERN_SHAPE = "a host such as api.example.com, *.example.com or [::1], with or without :port";

/** Reads the host of a route; undefined for anything that no client could send. */
export function parseHostPattern(text: string): HostPattern | undefined {
  const match = /^(\*\.)?(\[[^\]]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, star, host, portText] = match;
  const isWildcard = star !== undefined;
  const port = portText === undefined ? undefined : parsePort(portText, 1);
  if (portText !== undefined && port === undefined) return undefined;
  const isAddress = host.startsWith("[") || /^[\d.]+$/.test(host);
  if (isAddress && isWildcard) return undefined;
  if (host.startsWith("[") ? !isPlainIPv6(host.slice(1, -1)) : !isHostName(host)) return undefined;
  return { name: host.toLowerCase().replace(/\.$/, ""), isWildcard, port };
}

/** Without a zone: that means something on one machine only. */
function isPlainIPv6(text: string): boolean {
  return isIP(text) === 6 && !text.includes("%");
}
