import { unlinkSync } from "node:fs";
import { type AddressInfo, connect, type Server } from "node:net";
import type { AdminAddress } from "../config/admin.js";
import { FnlbError } from "../errors.js";

/** Only the user that fnlb runs as may connect. */
const SOCKET_MODE = 0o600;

/** Listens, and resolves to the address; a socket file that nobody listens on any more is replaced. Rejects with `ERR_LISTEN`. */
export async function bindAdmin(
  server: Server,
  address: Exclude<AdminAddress, { readonly kind: "off" }>,
): Promise<string> {
  try {
    await listen(server, address);
  } catch (error) {
    if (address.kind !== "unix" || !(await isStale(address.path, error))) throw listenError(error);
    unlinkSync(address.path);
    await listen(server, address).catch((again) => {
      throw listenError(again);
    });
  }
  return boundAddress(server);
}

function listenError(error: unknown): FnlbError {
  const reason = error instanceof Error ? error.message : String(error);
  return new FnlbError("ERR_LISTEN", `the admin API cannot listen: ${reason}`, { cause: error });
}

function listen(server: Server, address: Exclude<AdminAddress, { readonly kind: "off" }>): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const onListening = () => {
      server.off("error", reject);
      resolve();
    };
    if (address.kind === "tcp") {
      server.listen({ host: address.host, port: address.port }, onListening);
      return;
    }
    // Made within the call, and with its mode: before a later chmod anybody could connect.
    const mask = process.umask(0o777 & ~SOCKET_MODE);
    try {
      server.listen({ path: address.path }, onListening);
    } finally {
      process.umask(mask);
    }
  });
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
