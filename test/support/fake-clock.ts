import type { Clock } from "../../src/core/clock.js";

interface Alarm {
  readonly atMs: number;
  readonly callback: () => void;
}

/** How far `advanceUntil` goes at a time. */
const STEP_MS = 50;

/** A clock that stands still until it is told to advance. */
export class FakeClock implements Clock {
  #nowMs = 1_000_000;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return Date.UTC(2024, 0, 1) + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const alarm = { atMs: this.#nowMs + delayMs, callback };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Callbacks that wait for their time. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Moves time on at once, for code that only reads it: alarms stay where they are. */
  pass(ms: number): void {
    this.#nowMs += ms;
  }

  /**
   * Moves time on, alarm by alarm. After each one the event loop turns a few times, so that what an alarm set off
   * on real sockets of this machine has happened before the next one rings.
   */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      let next: Alarm | undefined;
      for (const alarm of this.#alarms) {
        if (alarm.atMs <= untilMs && (next === undefined || alarm.atMs < next.atMs)) next = alarm;
      }
      if (next === undefined) break;
      this.#alarms.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await turns(3);
    }
    this.#nowMs = untilMs;
    await turns(3);
  }

  /** Moves time on in small steps until something has happened, and resolves or rejects with what it gave. */
  async advanceUntil<T>(happening: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    happening.then(over, over);
    while (!isOver) await this.advance(STEP_MS);
    return happening;
  }
}

/** Lets the event loop turn `count` times. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets the event loop turn until something is so; the runner's own timeout ends a test that waits for ever. */
export async function eventually(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turns(1);
}
