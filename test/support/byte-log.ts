import assert from "node:assert/strict";

/**
 * How long a test waits for something that must happen. Nothing passes by it: it only names what a test hung at, so it is long
 * enough for the slowest machine to start a few processes at once, and short enough that the runner does not end the file first.
 */
const PATIENCE_MS = 60_000;

/** What one side of a connection has received, and the means to wait for more of it. */
export class ByteLog {
  /**
   * Has room behind `#end` that doubles when it is full, or a large body would be copied once for each of its chunks. What
   * lies before `#end` is never written again: whoever was given `bytes` may keep them.
   */
  #room: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #waiters = new Set<() => void>();
  /** The peer sent its FIN. */
  hasEnded = false;
  /** The connection is gone, cleanly or not. */
  isClosed = false;
  /** Code of the error that broke it, such as ECONNRESET. */
  errorCode: string | undefined;

  add(chunk: Buffer): void {
    if (this.#end + chunk.length > this.#room.length) {
      const kept = this.bytes;
      this.#room = Buffer.allocUnsafe(2 * (kept.length + chunk.length));
      this.#start = 0;
      this.#end = kept.copy(this.#room);
    }
    this.#end += chunk.copy(this.#room, this.#end);
    this.wake();
  }

  wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  get bytes(): Buffer {
    return this.#room.subarray(this.#start, this.#end);
  }

  /** Everything received so far, one character a byte. */
  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** Forgets the first `length` bytes. */
  drop(length: number): void {
    this.#start = Math.min(this.#start + length, this.#end);
  }

  /** Resolves as soon as `test` gives something else than undefined. */
  async until<T>(what: string, test: () => T | undefined): Promise<T> {
    const first = test();
    if (first !== undefined) return first;
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        this.#waiters.delete(check);
      };
      const check = () => {
        const value = test();
        if (value === undefined) return;
        finish();
        resolve(value);
      };
      const timer = setTimeout(() => {
        finish();
        const got = this.text.length > 400 ? `${this.text.slice(0, 400)}… (${this.text.length} bytes)` : this.text;
        reject(
          new assert.AssertionError({
            message: `waited in vain for ${what}; got ${JSON.stringify(got)}, ended ${this.hasEnded}, closed ${this.isClosed}`,
          }),
        );
      }, PATIENCE_MS);
      this.#waiters.add(check);
    });
  }

  /** Resolves once the text received so far contains `part`. */
  untilText(part: string): Promise<string> {
    return this.until(JSON.stringify(part), () => (this.text.includes(part) ? this.text : undefined));
  }

  untilLength(length: number): Promise<Buffer> {
    return this.until(`${length} bytes`, () => (this.bytes.length >= length ? this.bytes : undefined));
  }

  async untilEnd(): Promise<void> {
    await this.until("the end", () => (this.hasEnded || this.isClosed ? true : undefined));
  }

  async untilClosed(): Promise<void> {
    await this.until("the close", () => (this.isClosed ? true : undefined));
  }
}
