import { unlinkSync } from "node:fs";
import { type AddressInfo, connect, type Server } from "node:net";
import type { ListenAddress } from "../config/config.js";
import { FnlbError } from "../errors.js";

const BACKLOG = 4096;

export interface BindOptions {
  /** Of a unix socket: who may connect. Default: what the umask of the process leaves. */
  readonly socketMode?: number;
  /** What an error says in front of its reason. Default: nothing. */
  readonly complaint?: string;
}

/**
 * Listens, and resolves to the address: `127.0.0.1:8081`, `[::1]:8081` or `unix:/path`. A socket file that nobody listens
 * on any more is replaced. Rejects with `ERR_LISTEN`.
 */
export async function bindServer(server: Server, address: ListenAddress, options: BindOptions = {}): Promise<string> {
  const { complaint = "" } = options;
  const refused = (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    return new FnlbError("ERR_LISTEN", `${complaint}${reason}`, { cause: error });
  };
  try {
    await listen(server, address, options);
  } catch (error) {
    if (address.kind !== "unix" || !(await isStale(address.path, error))) throw refused(error);
    unlinkSync(address.path);
    await listen(server, address, options).catch((again) => {
      throw refused(again);
    });
  }
  return boundAddress(server);
}

function listen(server: Server, address: ListenAddress, { socketMode }: BindOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const onListening = () => {
      server.off("error", reject);
      resolve();
    };
    const place = placeOf(address);
    if (socketMode === undefined) {
      server.listen({ ...place, backlog: BACKLOG }, onListening);
      return;
    }
    // Made within the call, and with its mode: before a later chmod anybody could connect.
    const mask = process.umask(0o777 & ~socketMode);
    try {
      server.listen({ ...place, backlog: BACKLOG }, onListening);
    } finally {
      process.umask(mask);
    }
  });
}

function placeOf(
  address: ListenAddress,
): { readonly host: string; readonly port: number } | { readonly path: string } | { readonly fd: number } {
  switch (address.kind) {
    case "tcp":
      return { host: address.host, port: address.port };
    case "unix":
      return { path: address.path };
    case "fd":
      return { fd: address.fd };
    default:
      return address satisfies never;
  }
}

/** A socket file that nobody listens on any more, left by a process that was killed. */
function isStale(path: string, error: unknown): Promise<boolean> {
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (failure: NodeJS.ErrnoException) => resolve(failure.code === "ECONNREFUSED"));
  });
}

function boundAddress(server: Server): string {
  const bound = server.address() as AddressInfo | string | null;
  if (bound === null) return "unknown";
  if (typeof bound === "string") return `unix:${bound}`;
  return bound.family === "IPv6" ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
}
