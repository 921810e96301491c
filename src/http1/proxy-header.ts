import { isIP } from "node:net";
import { CR, LF, readLatin1 } from "./chars.js";

/** Longest version 1 line with its CR LF. */
const V1_BYTES_MAX = 107;
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** Addresses and extensions of version 2; more is an attack. */
const V2_BYTES_MAX = 16 + 4096;

export type ProxyHeader =
  | { readonly kind: "more" }
  | { readonly kind: "bad" }
  /** `address` "" keeps the peer's own: a health check of the proxy itself, or a family that is not IP. */
  | {
      readonly kind: "done";
      readonly end: number;
      readonly address: string;
      readonly port: number;
      readonly localPort: number;
    };

const MORE: ProxyHeader = { kind: "more" };
const BAD: ProxyHeader = { kind: "bad" };

/**
 * Parses the PROXY protocol header, version 1 or 2, at the start of a connection.
 *
 * @see The PROXY protocol, versions 1 & 2 (HAProxy), sections 2.1 and 2.2
 */
export function parseProxyHeader(buffer: Buffer, end: number): ProxyHeader {
  const known = Math.min(end, V2_SIGNATURE.length);
  if (known > 0 && buffer.subarray(0, known).equals(V2_SIGNATURE.subarray(0, known))) {
    return end < 16 ? MORE : parseVersion2(buffer, end);
  }
  const start = "PROXY ";
  for (let index = 0; index < Math.min(end, start.length); index++) {
    if (buffer[index] !== start.charCodeAt(index)) return BAD;
  }
  return parseVersion1(buffer, end);
}

function parseVersion1(buffer: Buffer, end: number): ProxyHeader {
  const stop = Math.min(end, V1_BYTES_MAX);
  let at = 0;
  while (at + 1 < stop && !(buffer[at] === CR && buffer[at + 1] === LF)) at++;
  if (at + 1 >= stop) return end >= V1_BYTES_MAX ? BAD : MORE;
  const words = readLatin1(buffer, 0, at).split(" ");
  if (words[1] === "UNKNOWN") return { kind: "done", end: at + 2, address: "", port: 0, localPort: 0 };
  const family = words[1] === "TCP4" ? 4 : words[1] === "TCP6" ? 6 : 0;
  const [, , source, destination, sourcePort, destinationPort] = words;
  if (words.length !== 6 || family === 0 || isIP(source) !== family || isIP(destination) !== family) return BAD;
  if (!isPort(sourcePort) || !isPort(destinationPort)) return BAD;
  return { kind: "done", end: at + 2, address: source, port: Number(sourcePort), localPort: Number(destinationPort) };
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function parseVersion2(buffer: Buffer, end: number): ProxyHeader {
  const versionAndCommand = buffer[12];
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return BAD;
  const length = buffer.readUInt16BE(14);
  const stop = 16 + length;
  if (stop > V2_BYTES_MAX) return BAD;
  if (end < stop) return MORE;
  const family = buffer[13];
  const keepsPeer: ProxyHeader = { kind: "done", end: stop, address: "", port: 0, localPort: 0 };
  if (versionAndCommand === 0x20) return keepsPeer;
  if (family === 0x11) {
    if (length < 12) return BAD;
    const address = buffer.subarray(16, 20).join(".");
    return { kind: "done", end: stop, address, port: buffer.readUInt16BE(24), localPort: buffer.readUInt16BE(26) };
  }
  if (family === 0x21) {
    if (length < 36) return BAD;
    return {
      kind: "done",
      end: stop,
      address: ipv6(buffer, 16),
      port: buffer.readUInt16BE(48),
      localPort: buffer.readUInt16BE(50),
    };
  }
  return family === 0x00 || family === 0x31 || family === 0x12 || family === 0x22 || family === 0x32 ? keepsPeer : BAD;
}

/** Canonical text of an IPv6 address (RFC 5952), as far as the URL parser gives it. */
function ipv6(buffer: Buffer, start: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => buffer.readUInt16BE(start + index * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
