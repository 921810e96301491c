/** Time as data. Tests hand in one that stands still until told to advance. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; its origin means nothing. */
  now(): number;
  /** Milliseconds since the epoch, for log lines and dates. */
  wallNow(): number;
  /** Calls back once after `delayMs` unless the returned function was called before. Never keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

/**
 * Resolves to true after `delayMs`, or to false at once when the signal aborts, so that a loop reads
 * `while (await sleep(clock, intervalMs, signal)) …` and ends with its signal.
 */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onAbort = () => {
      cancel();
      resolve(false);
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve(true);
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
