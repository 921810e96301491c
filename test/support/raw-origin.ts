import { type AddressInfo, createServer } from "node:net";
import type { TestContext } from "node:test";
import { ByteLog } from "./byte-log.js";
import { holdPort } from "./held-port.js";
import { RawPeer } from "./raw-peer.js";

/** A node that speaks in bytes: each connection is in the hands of the test, or of `onConnection`. */
export interface RawOrigin {
  readonly port: number;
  /** In the order in which they were accepted. */
  readonly connections: readonly RawPeer[];
  /** The next connection that no call has given out yet, as soon as it is there. */
  accept(): Promise<RawPeer>;
  /** Closes listener and connections; a later dial is refused. */
  stop(): Promise<void>;
}

export async function startRawOrigin(
  t: TestContext,
  onConnection?: (peer: RawPeer) => void,
  port = 0,
): Promise<RawOrigin> {
  const connections: RawPeer[] = [];
  const arrivals = new ByteLog();
  let given = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new RawPeer(socket);
    connections.push(peer);
    onConnection?.(peer);
    arrivals.wake();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: boundPort } = server.address() as AddressInfo;
  let letGo = () => {};
  const close = () =>
    new Promise<void>((resolve) => {
      for (const peer of connections) peer.destroy();
      if (server.listening) server.close(() => resolve());
      else resolve();
    });
  t.after(async () => {
    await close();
    letGo();
  });
  return {
    port: boundPort,
    connections,
    accept: () => arrivals.until(`connection ${given + 1} of a node`, () => connections[given] && connections[given++]),
    async stop() {
      const wasListening = server.listening;
      await close();
      if (wasListening) letGo = await holdPort(boundPort);
    },
  };
}

/** A port of this machine that refuses, and that nobody else is given until the test is over. */
export async function refusingPort(t: TestContext): Promise<number> {
  const { port, stop } = await startRawOrigin(t);
  await stop();
  return port;
}

/** Answers each complete request head with `response`, whatever was asked; bodies are not looked at. */
export function answering(response: string | Buffer): (peer: RawPeer) => void {
  return (peer) => {
    let answered = 0;
    peer.socket.on("data", () => {
      const heads = peer.text.split("\r\n\r\n").length - 1;
      for (; answered < heads; answered++) peer.send(response);
    });
  };
}

/** A plain 200 with that body. */
export function ok(body: string, fields = ""): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
}
