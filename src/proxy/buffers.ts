import { READ_BYTES_MAX } from "../core/stream.js";

const HELD_BYTES = 4096;
const HELD_KEPT_MAX = 1024;
const EMPTY = Buffer.alloc(0);
const free: Buffer[] = [];

/** Buffers for requests under way: taken when a head has been read, given back when its exchange ends. */
export const HeldBuffers = {
  EMPTY,
  /** A buffer of at least `size` bytes. */
  take(size: number): Buffer {
    if (size > HELD_BYTES) return Buffer.allocUnsafeSlow(size);
    return free.pop() ?? Buffer.allocUnsafeSlow(HELD_BYTES);
  },
  giveBack(buffer: Buffer): void {
    if (buffer.length === HELD_BYTES && free.length < HELD_KEPT_MAX) free.push(buffer);
  },
} as const;

let out = Buffer.allocUnsafeSlow(2 * READ_BYTES_MAX);

/** One buffer in which messages are put together; a stream's write is done with it when it returns. */
export function outBuffer(size = 0): Buffer {
  if (size > out.length) out = Buffer.allocUnsafeSlow(size);
  return out;
}
