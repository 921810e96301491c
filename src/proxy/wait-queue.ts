import { TimerEntry, type TimerOwner, type TimerWheel } from "../core/timer-wheel.js";

/** Read anew for each that joins. */
export interface WaitQueueOptions {
  /** How many may wait at once. */
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
}

export interface WaitQueueEvents<Waiter> {
  /** It has waited for too long and has left. */
  readonly onTimeout: (waiter: Waiter) => void;
  /** Somebody waits, and some time has passed. Room may have come that nobody spoke of: a breaker's time is over. */
  readonly onLook: () => void;
}

/** How often `onLook` is called while anybody waits. */
const LOOK_MS = 100;

/**
 * Who waits for a place, first come first served, each for a limited time. Whoever has had its turn and lost it, because
 * its node could not be dialled for example, came before all that wait: it goes to their head, and is not turned away.
 */
export class WaitQueue<Waiter> implements TimerOwner {
  readonly #wheel: TimerWheel;
  readonly #options: WaitQueueOptions;
  readonly #events: WaitQueueEvents<Waiter>;
  /** Those who are back, and behind them the newcomers; in the order of their coming, with the time at which they give up. */
  readonly #returned = new Map<Waiter, number>();
  readonly #newcomers = new Map<Waiter, number>();
  readonly #timer = new TimerEntry(this);

  constructor(wheel: TimerWheel, options: WaitQueueOptions, events: WaitQueueEvents<Waiter>) {
    this.#wheel = wheel;
    this.#options = options;
    this.#events = events;
  }

  get size(): number {
    return this.#returned.size + this.#newcomers.size;
  }

  /** Somebody waits who has had its turn. */
  get hasReturned(): boolean {
    return this.#returned.size > 0;
  }

  /** In turn. Whoever is given may leave meanwhile, and others may come. */
  *waiters(): IterableIterator<Waiter> {
    yield* this.#returned.keys();
    yield* this.#newcomers.keys();
  }

  /** False when as many wait as may. */
  join(waiter: Waiter): boolean {
    if (this.size >= this.#options.queueMax) return false;
    this.#add(this.#newcomers, waiter);
    return true;
  }

  /** As one that has had its turn. */
  rejoin(waiter: Waiter): void {
    this.#add(this.#returned, waiter);
  }

  leave(waiter: Waiter): void {
    if (!this.#returned.delete(waiter)) this.#newcomers.delete(waiter);
    if (this.size === 0) this.#wheel.cancel(this.#timer);
  }

  onTimer(): void {
    this.#expire(this.#returned);
    this.#expire(this.#newcomers);
    if (this.size > 0) this.#events.onLook();
    if (this.size > 0) this.#schedule();
  }

  #add(waiters: Map<Waiter, number>, waiter: Waiter): void {
    waiters.set(waiter, this.#wheel.nowMs + this.#options.queueTimeoutMs);
    if (!this.#timer.isScheduled) this.#schedule();
  }

  #expire(waiters: Map<Waiter, number>): void {
    const nowMs = this.#wheel.nowMs;
    for (const [waiter, deadlineMs] of waiters) {
      // Whoever came first runs out of time first, give or take a change of the limit. A coarse clock is up to a tick
      // behind: when it says exactly the deadline, that may be yet to come.
      if (deadlineMs >= nowMs) return;
      waiters.delete(waiter);
      this.#events.onTimeout(waiter);
    }
  }

  #schedule(): void {
    let delayMs = LOOK_MS;
    for (const waiters of [this.#returned, this.#newcomers]) {
      const [deadlineMs = Number.POSITIVE_INFINITY] = waiters.values();
      delayMs = Math.min(delayMs, Math.max(0, deadlineMs - this.#wheel.nowMs));
    }
    this.#wheel.schedule(this.#timer, delayMs);
  }
}
