/** Ends something, on its own or with what it is a part of. */
export interface Stop {
  readonly signal: AbortSignal;
  abort(): void;
  /** It is over without having been ended: the parent forgets it. Not needed behind `abort`; twice is fine. */
  release(): void;
}

/**
 * A stop that its parent pulls as well. Instead of `AbortSignal.any`, which leaves a reference in the parent that nobody takes
 * away: one that lives as long as the process would grow with each short-lived part.
 */
export function stopWith(parent: AbortSignal): Stop {
  const controller = new AbortController();
  const release = () => parent.removeEventListener("abort", abort);
  const abort = () => {
    release();
    controller.abort();
  };
  if (parent.aborted) controller.abort();
  else parent.addEventListener("abort", abort, { once: true });
  return { signal: controller.signal, abort, release };
}
