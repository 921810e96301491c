import type { ProcessSettings } from "../config/config.js";
import { type ForwardedLines, plainLines } from "../http1/compose-request.js";

export interface ForwardedOptions {
  readonly config: ProcessSettings;
  readonly isTrusted: boolean;
  /** The client's address, "" for a unix socket. */
  readonly address: string;
  /** Port that the client connected to. */
  readonly port: number;
  readonly viaName: string;
}

/** What one client connection adds to its requests, made once for all of them. */
export function forwardedLines({ config, isTrusted, address, port, viaName }: ForwardedOptions): ForwardedLines {
  const { forwardedFor, forwardedHeaders } = config;
  const lines = {
    forwardedFor: forwardedFor === "off" ? "" : address,
    replacesFor: forwardedFor === "replace",
    sendsXForwarded: forwardedHeaders === "x-forwarded" || forwardedHeaders === "both",
    sendsForwarded: forwardedHeaders === "forwarded" || forwardedHeaders === "both",
    isTrusted,
    proto: "http" as const,
    port,
    forwardedNode: address === "" ? "unknown" : address.includes(":") ? `"[${address}]"` : address,
    viaAndEnd: `Via: 1.1 ${viaName}\r\n\r\n`,
  };
  return { ...lines, plain: plainLines(lines) };
}
