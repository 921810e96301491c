import { request as askPlain, type IncomingHttpHeaders } from "node:http";
import { request as askSecurely } from "node:https";
import type { ConnectionOptions } from "node:tls";

/** What the admin API answered. */
export interface AdminResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** Of a body that says that it is JSON; else undefined. */
  readonly json: unknown;
}

export interface AdminQuestion {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  /** Asks in TLS. */
  readonly tls?: ConnectionOptions;
}

/** Asks once, on a connection of its own. `address` is as the balancer gives it: `127.0.0.1:41234` or `unix:/path`. */
export function askAdmin(
  address: string | undefined,
  path: string,
  { method = "GET", headers = {}, body, tls }: AdminQuestion = {},
): Promise<AdminResponse> {
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(address ?? "") ?? [];
  const place = address?.startsWith("unix:") === true ? { socketPath: address.slice("unix:".length) } : { host, port };
  const content = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  // The runtime sends no length by itself with methods that have no body as a rule.
  const length = content === undefined ? {} : { "content-length": `${Buffer.byteLength(content)}` };
  const fields = { ...(content === undefined ? {} : { "content-type": "application/json" }), ...length, ...headers };
  const options = { ...place, path, method, headers: fields, agent: false as const };
  return new Promise((resolve, reject) => {
    const request = tls === undefined ? askPlain(options) : askSecurely({ ...options, ...tls });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString();
        const isJson = /json/.test(response.headers["content-type"] ?? "") && text !== "";
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes,
          text,
          json: isJson ? JSON.parse(text) : undefined,
        });
      });
    });
    request.end(content);
  });
}

/** The code of a problem. */
export function codeOf({ json }: AdminResponse): unknown {
  return (json as { readonly code?: unknown } | undefined)?.code;
}
