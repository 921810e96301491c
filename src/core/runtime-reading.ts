/** What the process has taken of its machine, as of one moment. */
export interface RuntimeReading {
  /** Version of the runtime, such as `v20.20.2`. */
  readonly runtime: string;
  /** When the process began, in seconds since the epoch. */
  readonly startedSeconds: number;
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  /** The event loop had work, or waited for some. */
  readonly loopActiveSeconds: number;
  readonly loopIdleSeconds: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  /** Buffers. */
  readonly externalBytes: number;
  /** Files and sockets that the process may have open. */
  readonly descriptorsMax: number;
}
