import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { ByteLog } from "./byte-log.js";
import { type MessageRead, readResponse } from "./read-message.js";
import { resetSocket } from "./reset-socket.js";

const NOTHING = Buffer.alloc(0);

/** One end of a connection in the hands of a test: it sends exactly these bytes and records exactly what came. */
export class RawPeer {
  readonly socket: Socket;
  readonly log = new ByteLog();

  constructor(socket: Socket) {
    this.socket = socket;
    const { log } = this;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => log.add(chunk));
    socket.on("end", () => {
      // The runtime reports a reset that arrives together with the last bytes as a clean end; a write of nothing fails.
      if (socket.writable) socket.write(NOTHING);
      log.hasEnded = true;
      log.wake();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      log.errorCode = error.code;
    });
    socket.on("close", () => {
      log.isClosed = true;
      log.wake();
    });
  }

  get text(): string {
    return this.log.text;
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Half-close. */
  end(): void {
    this.socket.end();
  }

  /** A RST: the peer sees a broken connection. */
  reset(): void {
    resetSocket(this.socket);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** A final response and the interim ones before it. */
export interface ResponseRead extends MessageRead {
  readonly interims: readonly MessageRead[];
}

/** A client that speaks in bytes. */
export class RawClient extends RawPeer {
  /**
   * Takes the next complete final response off what was received, interim ones first into `interims`.
   * `method` decides whether there is a body; a body that lasts until close is complete at the close.
   */
  async response(method = "GET"): Promise<ResponseRead> {
    const interims: MessageRead[] = [];
    for (;;) {
      const message = await this.log.until("a response", () =>
        readResponse(this.log.bytes, method, this.log.hasEnded || this.log.isClosed),
      );
      this.log.drop(message.length);
      if (message.status >= 200 || message.status === 101) return { ...message, interims };
      interims.push(message);
    }
  }

  async ask(bytes: string | Buffer, method = "GET"): Promise<ResponseRead> {
    this.send(bytes);
    return this.response(method);
  }
}

/** Connects a raw client to a port of this machine; it is gone when the test is over. */
export async function connectClient(t: TestContext, port: number, localAddress?: string): Promise<RawClient> {
  const socket = connect({
    host: "127.0.0.1",
    port,
    allowHalfOpen: true,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve();
    });
  });
  t.after(() => socket.destroy());
  return new RawClient(socket);
}
