import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";

/** One server that is a node at each address of this machine, 127.0.0.1 to 127.255.255.254, on one port. */
export interface ManyNodes {
  readonly port: number;
  /** Requests that each address has answered, checks left out. */
  readonly calls: ReadonlyMap<string, number>;
  /** Addresses whose answer to `/health` is 503. */
  readonly unhealthy: Set<string>;
  /** Ends the responses to `/held`, whose heads have been sent. */
  release(): void;
}

export async function startManyNodes(t: TestContext): Promise<ManyNodes> {
  const calls = new Map<string, number>();
  const unhealthy = new Set<string>();
  const held = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const address = request.socket.localAddress ?? "";
    response.setHeader("x-node", address);
    if (request.url === "/health") {
      response.statusCode = unhealthy.has(address) ? 503 : 200;
      response.end();
      return;
    }
    calls.set(address, (calls.get(address) ?? 0) + 1);
    if (request.url?.startsWith("/held")) {
      response.write("begun ");
      held.add(response);
    } else response.end("done");
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    unhealthy,
    release() {
      for (const response of held) response.end("done");
      held.clear();
    },
  };
}
