/** The most that one read delivers, in bytes: as much as loopback and most networks have at once. */
export const READ_BYTES_MAX = 128 * 1024;

/**
 * One end of a connected byte stream, as the data path sees it. Two implementations live in `system/`: one on
 * the runtime's handles, one on the public `net` API.
 */
export interface ByteStream {
  /** Who hears of it. May be replaced between calls, as when an exchange becomes a tunnel. */
  handler: StreamHandler;
  /** Address of the peer without port, "" for a unix socket. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Port that the peer connected to, 0 for a unix socket. */
  readonly localPort: number;
  /** The peer speaks TLS to this process. */
  readonly isEncrypted: boolean;
  /** What the handshake with it has agreed on; undefined where there was none. Made when it is asked for. */
  readonly tls: TlsSession | undefined;
  /** False once `destroy` or `reset` was called or the connection broke. */
  readonly isOpen: boolean;

  /**
   * Sends `buffer[start, end)`; afterwards the buffer is the caller's again. True: the kernel has it all. False:
   * the stream copied what is left; stop producing until `onDrain`. What is written to a closed stream is dropped.
   */
  write(buffer: Buffer, start: number, end: number): boolean;
  /** Two pieces in one system call. */
  writeBoth(first: Buffer, firstEnd: number, second: Buffer, secondStart: number, secondEnd: number): boolean;
  /** Reading starts paused. */
  pause(): void;
  resume(): void;
  /** Half-close: a FIN behind everything written. */
  end(): void;
  /** Close at once; to the peer it looks like a clean end. */
  destroy(): void;
  /** Close at once with a RST, so that the peer sees that something is missing. */
  reset(): void;
}

/** A connection in TLS, as its handshake has left it. */
export interface TlsSession {
  /** `TLSv1.3`, `TLSv1.2`. */
  readonly version: string;
  /** As OpenSSL calls it: `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** The name that the client asked for (RFC 6066 §3), "" for none. */
  readonly serverName: string;
  readonly isResumed: boolean;
}

export interface StreamHandler {
  /** Bytes arrived. The buffer is shared by all streams: they are valid during the call only. */
  onData(buffer: Buffer, start: number, end: number): void;
  /** Everything written is with the kernel, after a write that returned false. */
  onDrain(): void;
  /** The peer will send no more (FIN). */
  onEnd(): void;
  /** The stream is closed, with the system's error code if it broke. Once, and never inside a call to the stream. */
  onClose(code: string | undefined): void;
}

/** How a dial is secured. Made by the system, and opaque to everybody else. */
export interface DialSecurity {
  /** The name that the peer's certificate must be for. */
  readonly serverName: string;
}

/** Where to dial: an address literal and port, or a unix socket. With `tls` the handshake is part of the dial. */
export type DialTarget =
  | { readonly host: string; readonly port: number; readonly tls?: DialSecurity }
  | { readonly path: string };

export interface DialHandler {
  /** Connected, and known to be whom the target's security wants. The stream reads nothing before `resume`, and its handler must be set now. */
  onDialed(stream: ByteStream): void;
  /** The system's error code, such as ECONNREFUSED, or that of a handshake, such as ERR_TLS_CERT_ALTNAME_INVALID. */
  onDialFailed(code: string): void;
}

/** Starts to connect; the returned function gives up, after which the handler hears nothing. Never calls back at once. */
export type Dial = (target: DialTarget, handler: DialHandler) => () => void;
