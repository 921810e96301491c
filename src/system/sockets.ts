import { type AddressInfo, createServer, type Server } from "node:net";
import type { ListenAddress } from "../config/config.js";
import type { ByteStream, Dial, StreamHandler } from "../core/stream.js";
import { bindServer } from "./bind.js";
import { type FastSockets, openFastSockets } from "./fast-stream.js";
import { PlainStream, plainDial } from "./plain-stream.js";
import { tlsDial } from "./tls-dial.js";
import { openTlsAcceptor, type TlsListening } from "./tls-listener.js";

export interface BoundListener {
  /** Of a TLS listener: how the connections that come from now on are secured. */
  secure(tls: TlsListening): void;
  /** `127.0.0.1:8081`, `[::1]:8081` or `unix:/path`. */
  readonly address: string;
  /** Accepts no more. Connections that were accepted go on; TLS handshakes that are under way end. */
  close(): void;
}

/** The two things the data path needs of the system, in one of two ways. */
export interface Sockets {
  readonly mode: "fast" | "plain";
  /**
   * Opens a listening socket; each connection arrives paused, and with `tls` when its handshake is done. Rejects with
   * ERR_LISTEN.
   */
  listen(address: ListenAddress, onAccept: (stream: ByteStream) => void, tls?: TlsListening): Promise<BoundListener>;
  readonly dial: Dial;
}

const SELF_TEST_MS = 2000;

export interface OpenSocketsOptions {
  /** "plain" turns the fast mode off; anything else tries it. */
  readonly preference: string | undefined;
  /** Told why when the fast mode was wanted and does not work here. */
  readonly onFallback: (reason: string) => void;
}

/** Chooses the fast mode when it proves itself in a round trip over loopback, else the public API. */
export async function openSockets({ preference, onFallback }: OpenSocketsOptions): Promise<Sockets> {
  if (preference !== "plain") {
    try {
      const fast = openFastSockets();
      await proveRoundTrip(fast);
      return socketsOf("fast", fast.dial, (server, onAccept) => fast.takeOver(server, onAccept));
    } catch (error) {
      onFallback(error instanceof Error ? error.message : String(error));
    }
  }
  return socketsOf("plain", plainDial, (server, onAccept) => {
    server.on("connection", (socket) => onAccept(new PlainStream(socket)));
  });
}

type TakeOver = (server: Server, onAccept: (stream: ByteStream) => void) => void;

function socketsOf(mode: "fast" | "plain", dial: Dial, takeOver: TakeOver): Sockets {
  return {
    mode,
    dial: (target, handler) => {
      if (!("host" in target) || target.tls === undefined) return dial(target, handler);
      return tlsDial({ ...target, tls: target.tls }, handler);
    },
    async listen(address, onAccept, tls) {
      // In a handshake a FIN is the end; the acceptor allows it behind one.
      const server = createServer({ pauseOnConnect: tls === undefined, allowHalfOpen: tls === undefined });
      const bound = await bindServer(server, address);
      const acceptor = tls === undefined ? undefined : openTlsAcceptor(tls, onAccept);
      if (acceptor === undefined) takeOver(server, onAccept);
      else server.on("connection", (carrier) => acceptor.take(carrier));
      // A failed accept closes one connection; the listener stays.
      server.on("error", () => {});
      const close = () => {
        server.close();
        acceptor?.close();
      };
      return { address: bound, secure: (next) => acceptor?.secure(next), close };
    },
  };
}

/** Sends bytes to and fro and closes both ends, on the very code that will carry the traffic. */
async function proveRoundTrip(fast: FastSockets): Promise<void> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  await bindServer(server, { kind: "tcp", host: "127.0.0.1", port: 0 });
  const streams: ByteStream[] = [];
  let cancelDial = () => {};
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("the self-test of the fast sockets timed out")), SELF_TEST_MS);
      const fail = (reason: string) => reject(new Error(`the self-test of the fast sockets failed: ${reason}`));
      fast.takeOver(server, (accepted) => {
        streams.push(accepted);
        if (accepted.remoteAddress !== "127.0.0.1" || accepted.localPort === 0) fail("no addresses");
        accepted.handler = testHandler({
          onData: (buffer, start, end) =>
            accepted.writeBoth(
              Buffer.from("<"),
              1,
              Buffer.from(`${buffer.toString("latin1", start, end)}>`),
              0,
              end - start + 1,
            ),
          onEnd: () => accepted.destroy(),
        });
        accepted.resume();
      });
      cancelDial = fast.dial(
        { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
        {
          onDialFailed: fail,
          onDialed(dialled) {
            streams.push(dialled);
            let answer = "";
            dialled.handler = testHandler({
              onData: (buffer, start, end) => {
                answer += buffer.toString("latin1", start, end);
                if (answer.endsWith(">")) dialled.end();
              },
              onEnd: () => dialled.destroy(),
              onClose: () => (answer === "<fnlb>" ? resolve() : fail(`got ${JSON.stringify(answer)}`)),
            });
            dialled.resume();
            dialled.write(Buffer.from("-fnlb-"), 1, 5);
          },
        },
      );
    });
  } finally {
    clearTimeout(timer);
    cancelDial();
    for (const stream of streams) stream.destroy();
    server.close();
  }
}

function testHandler(handler: Partial<StreamHandler>): StreamHandler {
  return { onData() {}, onDrain() {}, onEnd() {}, onClose() {}, ...handler };
}
