import { type Clock, sleep } from "../core/clock.js";

export interface ConfigWatchDependencies {
  readonly clock: Clock;
  /** The file's text, or undefined while it cannot be read. */
  readonly read: () => string | undefined;
  /** The text that was taken over or refused last, by whomever. */
  readonly lastTried: () => string | undefined;
  /** It has another text than that, and has kept it for one interval. */
  readonly onChange: () => Promise<void>;
}

/**
 * Looks at a file again and again. Its text is compared, not its time, and by its path: a watch on the file itself
 * would end with the first atomic rename and miss the swapped links of a mounted ConfigMap.
 */
export async function runConfigWatch(
  { clock, read, lastTried, onChange }: ConfigWatchDependencies,
  { intervalMs }: { readonly intervalMs: number },
  signal: AbortSignal,
): Promise<void> {
  let before = lastTried();
  while (await sleep(clock, intervalMs, signal)) {
    const text = read();
    // A text that has just changed may be half written.
    const isSettled = text === before;
    before = text;
    if (text !== undefined && isSettled && text !== lastTried()) await onChange();
  }
}
