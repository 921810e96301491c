import { TimerEntry, type TimerOwner, type TimerWheel } from "../core/timer-wheel.js";

/** Read anew for each that joins. */
export interface WaitQueueOptions {
  /** How many may wait at once. */
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
}

/**
 * Who waits for a place, first come first served, each for a limited time. One timer serves all: whoever came first
 * runs out of time first, give or take a change of the limit.
 */
export class WaitQueue<Waiter> implements TimerOwner {
  readonly #wheel: TimerWheel;
  readonly #options: WaitQueueOptions;
  readonly #onTimeout: (waiter: Waiter) => void;
  /** In the order of their coming, with the time at which they give up. */
  readonly #deadlines = new Map<Waiter, number>();
  readonly #timer = new TimerEntry(this);

  constructor(wheel: TimerWheel, options: WaitQueueOptions, onTimeout: (waiter: Waiter) => void) {
    this.#wheel = wheel;
    this.#options = options;
    this.#onTimeout = onTimeout;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  get first(): Waiter | undefined {
    for (const waiter of this.#deadlines.keys()) return waiter;
    return undefined;
  }

  /** False when as many wait as may. */
  join(waiter: Waiter): boolean {
    const { queueMax, queueTimeoutMs } = this.#options;
    if (this.#deadlines.size >= queueMax) return false;
    this.#deadlines.set(waiter, this.#wheel.nowMs + queueTimeoutMs);
    if (!this.#timer.isScheduled) this.#wheel.schedule(this.#timer, queueTimeoutMs);
    return true;
  }

  leave(waiter: Waiter): void {
    this.#deadlines.delete(waiter);
    if (this.#deadlines.size === 0) this.#wheel.cancel(this.#timer);
  }

  onTimer(): void {
    const nowMs = this.#wheel.nowMs;
    for (const [waiter, deadlineMs] of this.#deadlines) {
      if (deadlineMs > nowMs) {
        this.#wheel.schedule(this.#timer, deadlineMs - nowMs);
        return;
      }
      this.#deadlines.delete(waiter);
      this.#onTimeout(waiter);
    }
  }
}
