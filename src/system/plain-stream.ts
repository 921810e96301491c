import { connect, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type ByteStream, type Dial, READ_BYTES_MAX, type StreamHandler, type TlsSession } from "../core/stream.js";
import { plainAddress } from "./fast-stream.js";

const nobody: StreamHandler = {
  onData() {},
  onDrain() {},
  onEnd() {},
  onClose() {},
};

const NOTHING = Buffer.alloc(0);
/** Turns of the loop that a shutdown may take with nothing to be written before it. */
const SHUTDOWN_TURNS = 4;
/** Below this a copy of its own is cheaper. */
const SMALL_BYTES = 16 * 1024;
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX);

/**
 * Copies of what was written, until the kernel has them. Reused: a fresh buffer for each 64 KiB would keep the garbage
 * collector busier than the sockets.
 */
const free: Buffer[] = [];
const FREE_MAX = 64;

/** `length` bytes to copy to. */
function take(length: number): Buffer {
  if (length <= SMALL_BYTES || length > READ_BYTES_MAX) return Buffer.allocUnsafe(length);
  const slab = free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES_MAX);
  return slab.subarray(0, length);
}

function giveBack(copy: Buffer): void {
  if (copy.buffer.byteLength === READ_BYTES_MAX && free.length < FREE_MAX) free.push(Buffer.from(copy.buffer));
}

/** A byte stream on the public `net` and `tls` API: slower than handles, and right on every runtime. */
export class PlainStream implements ByteStream {
  readonly #socket: Socket;
  /** What carries the bytes: the socket itself, or the one below a TLS socket. */
  readonly #carrier: Socket;
  handler: StreamHandler = nobody;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly isEncrypted: boolean;
  #isBlocked = false;
  /** What a socket still reports after its end was our wish is no break. */
  #isGivenUp = false;
  #breakCode: string | undefined;
  readonly #onWritten = () => {
    if (!this.#isBlocked || this.#socket.writableLength > 0) return;
    this.#isBlocked = false;
    if (this.isOpen) this.handler.onDrain();
  };

  #tls: TlsSession | undefined;

  constructor(socket: Socket, carrier: Socket = socket) {
    this.#socket = socket;
    this.#carrier = carrier;
    this.isEncrypted = carrier !== socket;
    const isTcp = carrier.remoteFamily !== undefined;
    this.remoteAddress = isTcp ? plainAddress(carrier.remoteAddress ?? "") : "";
    this.remotePort = carrier.remotePort ?? 0;
    this.localPort = isTcp ? (carrier.localPort ?? 0) : 0;
    carrier.setNoDelay(true);
    socket.pause();
    socket.on("data", (chunk: Buffer) => this.handler.onData(chunk, 0, chunk.length));
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (!this.#isGivenUp) this.#breakCode ??= error.code ?? "EIO";
    });
    socket.on("close", () => this.handler.onClose(this.#breakCode));
  }

  get tls(): TlsSession | undefined {
    if (this.#socket instanceof TLSSocket) this.#tls ??= sessionOf(this.#socket);
    return this.#tls;
  }

  /**
   * The runtime reports a reset that arrived together with the last bytes as a clean end. A write of nothing fails
   * behind a reset: else a truncated body that lasts until close would pass for a complete one.
   */
  #onEnd(): void {
    if (!this.#socket.writable || this.#socket.writableLength > 0) {
      this.handler.onEnd();
      return;
    }
    // Below TLS, which does not pass the fault on.
    this.#carrier.write(NOTHING, (error) => {
      if (!error && this.isOpen) this.handler.onEnd();
    });
  }

  get isOpen(): boolean {
    return !this.#isGivenUp && !this.#socket.destroyed;
  }

  /** For `net.connect({ onread })`, whose bytes do not come as "data" events. */
  onRead(count: number): void {
    this.handler.onData(readBuffer, 0, count);
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (!this.isOpen) return true;
    // Copied before it is known whether the kernel takes it all: the public API does not say in time.
    const copy = take(end - start);
    buffer.copy(copy, 0, start, end);
    return this.#send(copy);
  }

  writeBoth(first: Buffer, firstEnd: number, second: Buffer, secondStart: number, secondEnd: number): boolean {
    if (!this.isOpen) return true;
    const copy = take(firstEnd + secondEnd - secondStart);
    first.copy(copy, 0, 0, firstEnd);
    second.copy(copy, firstEnd, secondStart, secondEnd);
    return this.#send(copy);
  }

  #send(copy: Buffer): boolean {
    if (copy.length <= SMALL_BYTES) this.#socket.write(copy, this.#onWritten);
    else {
      this.#socket.write(copy, () => {
        giveBack(copy);
        this.#onWritten();
      });
    }
    this.#isBlocked = this.#socket.writableLength > 0;
    return !this.#isBlocked;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.isOpen) this.#socket.end();
  }

  destroy(): void {
    if (!this.isOpen) return;
    this.#isGivenUp = true;
    // The goodbye of TLS leaves at once when nothing waits before it. Without it the peer would see a truncation,
    // which is what it shall see when bytes are thrown away.
    if (this.isEncrypted && this.#socket.writableLength === 0) this.#socket.end();
    this.#socket.destroy();
  }

  reset(): void {
    if (!this.isOpen) return;
    this.#isGivenUp = true;
    if (this.remoteAddress === "") {
      this.#socket.destroy();
      return;
    }
    // A TLS socket closes with its carrier, later; until then nothing more is to be heard of it.
    this.#socket.pause();
    this.#resetOnceShut(SHUTDOWN_TURNS);
  }

  /** While a shutdown is under way the system refuses to reset, and the runtime never closes the socket then. */
  #resetOnceShut(turnsLeft: number): void {
    const { writableEnded, writableFinished, writableLength } = this.#socket;
    // It begins when all is written: behind that, a reset cuts off what is not.
    const isShutting = writableEnded && !writableFinished && writableLength === 0;
    if (!isShutting) this.#carrier.resetAndDestroy();
    else if (turnsLeft > 0) setImmediate(() => this.#resetOnceShut(turnsLeft - 1));
    else this.#carrier.destroy();
  }
}

/** Dials with `net.connect`, reading into one buffer for all. */
export const plainDial: Dial = (target, handler) => {
  let stream: PlainStream | undefined;
  const socket = connect({
    ...target,
    allowHalfOpen: true,
    // Addresses are resolved already; trying families in turn would add its own waits.
    autoSelectFamily: false,
    onread: {
      buffer: readBuffer,
      callback: (count: number) => {
        stream?.onRead(count);
        return true;
      },
    },
  } as Parameters<typeof connect>[0] & object);
  const onError = (error: NodeJS.ErrnoException) => handler.onDialFailed(error.code ?? "EIO");
  socket.once("error", onError);
  socket.once("connect", () => {
    socket.off("error", onError);
    stream = new PlainStream(socket);
    handler.onDialed(stream);
  });
  return () => {
    if (stream !== undefined) return;
    socket.off("error", onError);
    // Whatever the abandoned attempt still reports is of no interest.
    socket.on("error", () => {});
    socket.destroy();
  };
};

function sessionOf(socket: TLSSocket): TlsSession {
  // False where the client asked for none, which the types do not say.
  const { servername } = socket as { readonly servername?: string | false };
  return {
    version: socket.getProtocol() ?? "",
    cipher: socket.getCipher().name,
    serverName: servername || "",
    isResumed: socket.isSessionReused(),
  };
}
