import assert from "node:assert/strict";

/**
 * How long a test waits for something that must happen. Nothing passes by it: it only names what a test hung at, so it is long
 * enough for the slowest machine to start a few processes at once, and short enough that the runner does not end the file first.
 */
const PATIENCE_MS = 60_000;

/** What one side of a connection has received, and the means to wait for more of it. */
export class ByteLog {
  #chunks: Buffer[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #waiters = new Set<() => void>();
  /** The peer sent its FIN. */
  hasEnded = false;
  /** The connection is gone, cleanly or not. */
  isClosed = false;
  /** Code of the error that broke it, such as ECONNRESET. */
  errorCode: string | undefined;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.wake();
  }

  wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  get bytes(): Buffer {
    if (this.#chunks.length > 0) {
      this.#bytes = Buffer.concat([this.#bytes, ...this.#chunks]);
      this.#chunks = [];
    }
    return this.#bytes;
  }

  /** Everything received so far, one character a byte. */
  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** Forgets the first `length` bytes. */
  drop(length: number): void {
    this.#bytes = this.bytes.subarray(length);
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
