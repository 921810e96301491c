import { closeSync, openSync, write } from "node:fs";

/** Lines waiting for a slow disk; more are dropped, so that a full disk cannot fill the memory. */
const PENDING_BYTES_MAX = 8 * 1024 * 1024;
/** Pause before a pipe that is full is tried again. */
const AGAIN_MS = 10;
/** The longest that an end waits for what was written last. */
const CLOSE_MS = 1000;
const STANDARD_OUTPUT = 1;
const STANDARD_ERROR = 2;

export interface LineFileEvents {
  onDropped(lines: number): void;
}

/** Appends lines to a file or to standard output, one write at a time, never blocking its caller. */
export class LineFile {
  #path: string;
  readonly #events: LineFileEvents;
  #fd: number;
  #pending = "";
  #isWriting = false;
  #onClosed: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  /** `"-"` is standard output. Throws the system's error when the file cannot be opened. */
  constructor(path: string, events: LineFileEvents) {
    this.#path = path;
    this.#events = events;
    this.#fd = path === "-" ? STANDARD_OUTPUT : openSync(path, "a");
  }

  write(lines: string): void {
    if (this.#fd < 0 || this.#pending.length + lines.length > PENDING_BYTES_MAX) {
      this.#events.onDropped(countLines(lines));
      return;
    }
    this.#pending += lines;
    this.#next();
  }

  #next(): void {
    if (this.#isWriting) return;
    if (this.#pending === "") {
      this.#closeIfAsked();
      return;
    }
    const bytes = Buffer.from(this.#pending, "utf8");
    this.#pending = "";
    this.#isWriting = true;
    this.#writeFrom(this.#fd, bytes, 0);
  }

  /** A batch stays with the descriptor it began on, so that a rotation in between cuts no line in two. */
  #writeFrom(fd: number, bytes: Buffer, start: number): void {
    write(fd, bytes, start, bytes.length - start, null, (error, written) => {
      if (error?.code === "EAGAIN") {
        setTimeout(() => this.#writeFrom(fd, bytes, start), AGAIN_MS);
        return;
      }
      if (error === null && start + written < bytes.length) {
        this.#writeFrom(fd, bytes, start + written);
        return;
      }
      if (error !== null) this.#events.onDropped(countLines(bytes.toString("utf8", start)));
      if (fd !== this.#fd && fd > STANDARD_ERROR) closeSync(fd);
      this.#isWriting = false;
      this.#next();
    });
  }

  /**
   * After a rotation: the path, or another one, is opened again. Throws the system's error, and goes on with the old
   * file, when it cannot be.
   */
  reopen(path = this.#path): void {
    if ((path === "-" && this.#path === "-") || this.#fd < 0) return;
    const old = this.#fd;
    this.#fd = path === "-" ? STANDARD_OUTPUT : openSync(path, "a");
    this.#path = path;
    // A write under way closes the descriptor it began on itself.
    if (!this.#isWriting && old > STANDARD_ERROR) closeSync(old);
  }

  /** Resolves when everything is written and the file closed, or after a second: a full pipe must not hold up an end. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      const timer = setTimeout(resolve, CLOSE_MS);
      this.#onClosed = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#next();
    });
    return this.#closed;
  }

  #closeIfAsked(): void {
    if (this.#onClosed === undefined) return;
    if (this.#fd > STANDARD_ERROR) closeSync(this.#fd);
    this.#fd = -1;
    this.#onClosed();
    this.#onClosed = undefined;
  }
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
