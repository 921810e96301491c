import type { ProcessSettings } from "../config/config.js";
import { type ForwardedLines, plainLines } from "../http1/compose-request.js";

export interface ForwardedOptions {
  readonly config: ProcessSettings;
  readonly isTrusted: boolean;
  /** The client's address, "" for a unix socket. */
  readonly address: string;
  /** Port that the client connected to. */
  readonly port: number;
  /** The client speaks TLS. */
  readonly isEncrypted: boolean;
  readonly viaName: string;
}

/** What one client connection adds to its requests, made once for all of them. */
export function forwardedLines({
  config,
  isTrusted,
  address,
  port,
  isEncrypted,
  viaName,
}: ForwardedOptions): ForwardedLines {
  const { forwardedFor, forwardedHeaders } = config;
  const lines = {
    clientAddress: address,
    forwardedFor: forwardedFor === "off" ? "" : address,
    replacesFor: forwardedFor === "replace",
    sendsXForwarded: forwardedHeaders === "x-forwarded" || forwardedHeaders === "both",
    sendsForwarded: forwardedHeaders === "forwarded" || forwardedHeaders === "both",
    isTrusted,
    proto: isEncrypted ? ("https" as const) : ("http" as const),
    port,
    forwardedNode: address === "" ? "unknown" : address.includes(":") ? `"[${address}]"` : address,
    viaAndEnd: `Via: 1.1 ${viaName}\r\n\r\n`,
  };
  return { ...lines, plain: plainLines(lines) };
}

/** Lower-case names of the fields that the balancer writes into requests itself: no header rule may. */
export function forwardedNames({ forwardedFor, forwardedHeaders, requestId, traceparent }: ProcessSettings): string[] {
  const names: string[] = [];
  if (forwardedFor !== "off") names.push("x-forwarded-for");
  if (forwardedHeaders === "x-forwarded" || forwardedHeaders === "both") {
    names.push("x-forwarded-proto", "x-forwarded-host", "x-forwarded-port");
  }
  if (forwardedHeaders === "forwarded" || forwardedHeaders === "both") names.push("forwarded");
  if (requestId) names.push("x-request-id");
  if (traceparent !== "pass") names.push("traceparent", "tracestate");
  return names;
}
