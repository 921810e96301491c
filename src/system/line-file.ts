import { closeSync, openSync, write } from "node:fs";

/** Lines waiting for a slow disk; more are dropped, so that a full disk cannot fill the memory. */
const PENDING_BYTES_MAX = 8 * 1024 * 1024;

export interface LineFileEvents {
  onDropped(lines: number): void;
}

/** Appends lines to a file or to standard output, one write at a time, never blocking its caller. */
export class LineFile {
  readonly #path: string;
  readonly #events: LineFileEvents;
  #fd: number;
  #pending = "";
  #isWriting = false;
  #isClosing = false;

  /** `"-"` is standard output. Throws the system's error when the file cannot be opened. */
  constructor(path: string, events: LineFileEvents) {
    this.#path = path;
    this.#events = events;
    this.#fd = path === "-" ? 1 : openSync(path, "a");
  }

  write(lines: string): void {
    if (this.#pending.length + lines.length > PENDING_BYTES_MAX) {
      this.#events.onDropped(countLines(lines));
      return;
    }
    this.#pending += lines;
    this.#next();
  }

  #next(): void {
    if (this.#isWriting || this.#pending === "") {
      if (this.#isClosing && !this.#isWriting) this.#closeFile();
      return;
    }
    const bytes = Buffer.from(this.#pending, "utf8");
    this.#pending = "";
    this.#isWriting = true;
    this.#writeFrom(bytes, 0);
  }

  #writeFrom(bytes: Buffer, start: number): void {
    write(this.#fd, bytes, start, bytes.length - start, null, (error, written) => {
      if (error?.code === "EAGAIN") {
        setTimeout(() => this.#writeFrom(bytes, start), 10).unref();
        return;
      }
      if (error === null && start + written < bytes.length) {
        this.#writeFrom(bytes, start + written);
        return;
      }
      if (error !== null) this.#events.onDropped(countLines(bytes.toString("utf8", start)));
      this.#isWriting = false;
      this.#next();
    });
  }

  /** After a rotation: the path is opened again. The old file stays when that fails. */
  reopen(): void {
    if (this.#path === "-") return;
    const old = this.#fd;
    this.#fd = openSync(this.#path, "a");
    // A write under way still goes to the old descriptor: it is closed behind it.
    if (this.#isWriting) setTimeout(() => closeSync(old), 1000).unref();
    else closeSync(old);
  }

  /** Closes behind what is still to be written. */
  close(): void {
    this.#isClosing = true;
    this.#next();
  }

  #closeFile(): void {
    if (this.#fd > 2) closeSync(this.#fd);
    this.#fd = -1;
    this.#isClosing = false;
  }
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
