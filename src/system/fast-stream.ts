// Hot path, and the one file that touches the runtime's internals: handles without a net.Socket around them,
// reads into one buffer for all, writes straight to the descriptor. `sockets.ts` tests at start that all of it
// works here and falls back to `plain-stream.ts` when it does not. Measured in bench/results.md.
import { readSync } from "node:fs";
import type { Server } from "node:net";
import { getSystemErrorName } from "node:util";
import { type ByteStream, type Dial, READ_BYTES_MAX, type StreamHandler } from "../core/stream.js";
import { type Written, writeBothNow, writeNow } from "./direct-write.js";

interface Handle {
  readonly fd: number;
  fnlbStream: FastStream | undefined;
  onread: (this: Handle) => void;
  useUserBuffer(buffer: Buffer): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, buffer: Buffer): number;
  shutdown(request: ShutdownRequest): number;
  setNoDelay?(on: boolean): number;
  getpeername?(out: PeerName): number;
  getsockname?(out: PeerName): number;
  reset?(callback: () => void): number;
  close(callback?: () => void): void;
  unref(): void;
  connect(request: ConnectRequest, host: string, port?: number): number;
  connect6(request: ConnectRequest, host: string, port: number): number;
}
interface PeerName {
  address?: string;
  port?: number;
}
interface WriteRequest {
  oncomplete?: (status: number) => void;
  /** Held for the runtime, which keeps the request but not the bytes it points to. */
  buffer?: Buffer;
}
interface ShutdownRequest {
  oncomplete?: (status: number) => void;
}
interface ConnectRequest {
  oncomplete?: (status: number) => void;
}
interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => ShutdownRequest;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}
interface TcpBinding {
  readonly TCP: new (type: number) => Handle;
  readonly TCPConnectWrap: new () => ConnectRequest;
  readonly constants: { readonly SOCKET: number };
}
interface PipeBinding {
  readonly Pipe: new (type: number) => Handle;
  readonly PipeConnectWrap: new () => ConnectRequest;
  readonly constants: { readonly SOCKET: number };
}

// The parse boundary with an untyped runtime: `sockets.ts` proves at start that these shapes are right.
function binding<T>(name: string): T {
  return (process as unknown as { binding(name: string): T }).binding(name);
}

/** What a process needs once to work on handles. Throws where the runtime does not offer it. */
export interface FastSockets {
  /** Hands accepted connections of a listening server to `onAccept`, paused, instead of making sockets of them. */
  takeOver(server: Server, onAccept: (stream: ByteStream) => void): void;
  readonly dial: Dial;
}

const nobody: StreamHandler = {
  onData() {},
  onDrain() {},
  onEnd() {},
  onClose() {},
};

let stream: StreamBinding;
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX);

const UV_EOF = -4095;

function onRead(this: Handle): void {
  const owner = this.fnlbStream;
  if (owner === undefined) return;
  owner.onRead(stream.streamBaseState[stream.kReadBytesOrError]);
}

class FastStream implements ByteStream {
  readonly #handle: Handle;
  readonly #fd: number;
  handler: StreamHandler = nobody;
  /** False as soon as nothing can be sent any more; what the peer has sent before may still be read then. */
  isOpen = true;
  #isClosed = false;
  remoteAddress = "";
  remotePort = 0;
  localPort = 0;
  readonly isEncrypted = false;
  readonly tls = undefined;
  #isReading = false;
  #isWriting = false;
  #isEnding = false;
  #isShutting = false;
  #resetsOnceShut = false;
  #waiting: Buffer[] | undefined;
  #breakCode: string | undefined;

  constructor(handle: Handle) {
    this.#handle = handle;
    this.#fd = handle.fd;
    handle.fnlbStream = this;
    handle.onread = onRead;
    handle.useUserBuffer(readBuffer);
    handle.setNoDelay?.(true);
  }

  readNames(): void {
    const name: PeerName = {};
    if (this.#handle.getpeername !== undefined && this.#handle.getpeername(name) === 0) {
      this.remoteAddress = plainAddress(name.address ?? "");
      this.remotePort = name.port ?? 0;
    }
    if (this.#handle.getsockname !== undefined && this.#handle.getsockname(name) === 0) this.localPort = name.port ?? 0;
  }

  onRead(count: number): void {
    if (count > 0) this.handler.onData(readBuffer, 0, count);
    else if (count === UV_EOF) {
      this.#isReading = false;
      this.#handle.readStop();
      const code = this.#breakCode ?? this.#hiddenReset();
      if (code === undefined) this.handler.onEnd();
      else this.#break(code);
    } else if (count < 0) this.#break(getSystemErrorName(count));
  }

  /**
   * The runtime reports a reset that arrived together with the last bytes as a clean end. Only reading once more
   * tells them apart: else a truncated body that lasts until close would pass for a complete one.
   */
  #hiddenReset(): string | undefined {
    try {
      readSync(this.#fd, readBuffer, 0, 1, null);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "EIO";
      return code === "EAGAIN" ? undefined : code;
    }
    return undefined;
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (!this.isOpen) return true;
    if (this.#isWriting) return this.#keep(buffer, start, end);
    const written = writeNow(this.#fd, buffer, start, end - start);
    if (written === end - start) return true;
    if (typeof written === "number") return this.#keep(buffer, start + written, end);
    return this.#survives(written) ? this.#keep(buffer, start, end) : true;
  }

  writeBoth(first: Buffer, firstEnd: number, second: Buffer, secondStart: number, secondEnd: number): boolean {
    if (!this.isOpen) return true;
    let written: Written = 0;
    if (!this.#isWriting) {
      written = writeBothNow(this.#fd, first, firstEnd, second, secondStart, secondEnd);
      if (typeof written === "string") {
        if (!this.#survives(written)) return true;
        written = 0;
      }
    }
    if (written < firstEnd) {
      this.#keep(first, written, firstEnd);
      return this.#keep(second, secondStart, secondEnd);
    }
    const rest = secondStart + written - firstEnd;
    return rest === secondEnd || this.#keep(second, rest, secondEnd);
  }

  /** A full socket buffer is no fault; anything else breaks the stream. */
  #survives(code: string): boolean {
    if (code === "EAGAIN") return true;
    this.#failWrite(code);
    return false;
  }

  /**
   * The peer takes no more. What it said before is still read: a node that refuses a body answers, closes, and so
   * resets what goes on coming; its answer is the news. The end of that reading reports the break.
   */
  #failWrite(code: string): void {
    this.#breakCode ??= code;
    this.isOpen = false;
    if (!this.#isReading) this.destroy();
  }

  #keep(buffer: Buffer, start: number, end: number): false {
    const rest = Buffer.allocUnsafeSlow(end - start);
    buffer.copy(rest, 0, start, end);
    if (this.#isWriting) {
      this.#waiting ??= [];
      this.#waiting.push(rest);
    } else this.#send(rest);
    return false;
  }

  #send(rest: Buffer): void {
    this.#isWriting = true;
    const request = new stream.WriteWrap();
    request.oncomplete = (status) => this.#onWritten(status);
    // Or the memory is collected and used again while the kernel still waits for it.
    request.buffer = rest;
    const status = this.#handle.writeBuffer(request, rest);
    if (status !== 0) this.#failWrite(getSystemErrorName(status));
    else if (stream.streamBaseState[stream.kLastWriteWasAsync] === 0) setImmediate(() => this.#onWritten(0));
  }

  #onWritten(status: number): void {
    if (!this.isOpen) return;
    if (status < 0) {
      this.#failWrite(getSystemErrorName(status));
      return;
    }
    this.#isWriting = false;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      this.#send(Buffer.concat(waiting));
      return;
    }
    if (this.#isEnding) this.#shutDown();
    this.handler.onDrain();
  }

  pause(): void {
    if (!this.#isReading || this.#isClosed) return;
    if (!this.isOpen) {
      // Nobody would hear of the break.
      this.destroy();
      return;
    }
    this.#isReading = false;
    this.#handle.readStop();
  }

  resume(): void {
    if (this.#isReading || !this.isOpen) return;
    this.#isReading = true;
    const status = this.#handle.readStart();
    if (status !== 0) this.#break(getSystemErrorName(status));
  }

  end(): void {
    if (!this.isOpen || this.#isEnding) return;
    this.#isEnding = true;
    if (!this.#isWriting) this.#shutDown();
  }

  #shutDown(): void {
    const request = new stream.ShutdownWrap();
    // ENOTCONN: the peer has already gone, which the read side reports.
    request.oncomplete = () => {
      this.#isShutting = false;
      if (this.#resetsOnceShut) this.#closeByReset();
    };
    this.#isShutting = this.#handle.shutdown(request) === 0;
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.isOpen = false;
    this.#isClosed = true;
    this.#handle.close(() => this.#onClosed());
  }

  reset(): void {
    if (this.#isClosed) return;
    this.isOpen = false;
    this.#isClosed = true;
    if (!this.#isShutting) {
      this.#closeByReset();
      return;
    }
    // Until the shutdown is over, within this turn of the loop, the system refuses (UV_EINVAL), and the runtime takes the handle
    // for closed all the same: it would never be, and the process could not even exit.
    this.#resetsOnceShut = true;
    if (this.#isReading) this.#handle.readStop();
  }

  #closeByReset(): void {
    // A pipe cannot be reset.
    if (this.#handle.reset === undefined) this.#handle.close(() => this.#onClosed());
    else if (this.#handle.reset(() => this.#onClosed()) !== 0) setImmediate(() => this.#onClosed());
  }

  #break(code: string): void {
    if (this.#isClosed) return;
    this.#breakCode ??= code;
    this.destroy();
  }

  #onClosed(): void {
    this.#handle.fnlbStream = undefined;
    this.#waiting = undefined;
    this.handler.onClose(this.#breakCode);
  }
}

/** IPv4 peers of a dual-stack listener are known by their IPv4 address. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** Looks the internals up. Throws where this runtime lacks one. */
export function openFastSockets(): FastSockets {
  stream = binding<StreamBinding>("stream_wrap");
  const tcp = binding<TcpBinding>("tcp_wrap");
  const pipe = binding<PipeBinding>("pipe_wrap");
  for (const part of [
    stream.WriteWrap,
    stream.ShutdownWrap,
    stream.streamBaseState,
    tcp.TCP,
    tcp.TCPConnectWrap,
    pipe.Pipe,
    pipe.PipeConnectWrap,
  ]) {
    if (part === undefined) throw new Error("the runtime does not offer its socket handles");
  }

  const dial: Dial = (target, handler) => {
    let isOver = false;
    let handle: Handle;
    let status: number;
    const complete = (result: number) => {
      if (isOver) return;
      isOver = true;
      if (result === 0) handler.onDialed(new FastStream(handle));
      else {
        handle.close();
        handler.onDialFailed(getSystemErrorName(result));
      }
    };
    if ("path" in target) {
      handle = new pipe.Pipe(pipe.constants.SOCKET);
      const request = new pipe.PipeConnectWrap();
      request.oncomplete = complete;
      // Some versions return nothing and report by the callback alone.
      status = handle.connect(request, target.path) ?? 0;
    } else {
      handle = new tcp.TCP(tcp.constants.SOCKET);
      const request = new tcp.TCPConnectWrap();
      request.oncomplete = complete;
      status = target.host.includes(":")
        ? handle.connect6(request, target.host, target.port)
        : handle.connect(request, target.host, target.port);
    }
    if (status !== 0) setImmediate(() => complete(status));
    return () => {
      if (isOver) return;
      isOver = true;
      handle.close();
    };
  };

  return {
    takeOver(server, onAccept) {
      const listening = (server as unknown as { _handle: { onconnection: (status: number, handle?: Handle) => void } })
        ._handle;
      listening.onconnection = (status, handle) => {
        if (status !== 0 || handle === undefined) return;
        const accepted = new FastStream(handle);
        accepted.readNames();
        onAccept(accepted);
      };
    },
    dial,
  };
}
