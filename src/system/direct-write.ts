// Hot path: two of these a request. Internals of the runtime; `sockets.ts` proves them at start.
import { writeSync, writevSync } from "node:fs";
import { getSystemErrorName } from "node:util";

/** Bytes that the kernel took, or the system's error code, such as EAGAIN. */
export type Written = number | string;

/** How `fs` talks to the system on Node 20: given a `context`, an error is a negative result instead of being thrown. */
interface FileBinding {
  writeBuffer(
    fd: number,
    buffer: Buffer,
    start: number,
    length: number,
    position: null,
    request: undefined,
    context: object,
  ): number;
}

/**
 * How `writeSync` itself calls the binding where it has that shape. Read from its source, because a runtime whose
 * binding wants other arguments ends the process over them: nothing that could be tried first.
 */
const KNOWN_CALL = /binding\.writeBuffer\(fd, buffer, offset, length, position,\s+undefined, ctx\)/;

/**
 * Writes `buffer[start, start + length)` at once. On Node 20 it goes past `writeSync`, whose checks cost as much as
 * the call into the runtime itself, and whose errors, made of every full socket buffer, cost ten times that.
 */
export const writeNow: (fd: number, buffer: Buffer, start: number, length: number) => Written = KNOWN_CALL.test(
  writeSync.toString(),
)
  ? directly()
  : publicly;

function directly(): typeof writeNow {
  const files = (process as unknown as { binding(name: "fs"): FileBinding }).binding("fs");
  const context = {};
  return (fd, buffer, start, length) => {
    const written = files.writeBuffer(fd, buffer, start, length, null, undefined, context);
    return written >= 0 ? written : getSystemErrorName(written);
  };
}

function publicly(fd: number, buffer: Buffer, start: number, length: number): Written {
  try {
    return writeSync(fd, buffer, start, length);
  } catch (error) {
    return codeOf(error);
  }
}

/** Writes `first[0, firstEnd)` and `second[start, end)` in one system call. */
export function writeBothNow(
  fd: number,
  first: Buffer,
  firstEnd: number,
  second: Buffer,
  start: number,
  end: number,
): Written {
  try {
    return writevSync(fd, [first.subarray(0, firstEnd), second.subarray(start, end)]);
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "EIO";
}
