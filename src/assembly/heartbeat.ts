import { type Clock, sleep } from "../core/clock.js";
import { Histogram } from "../core/histogram.js";
import { TimerWheel } from "../core/timer-wheel.js";

/** How coarse the timeouts of the data path are. */
const TICK_MS = 25;
const WHEEL_SLOTS = 512;
/** The most that one tick may move time on: after a freeze, bytes that waited are read before timeouts fire. */
const LEAP_MS = 250;

/** Moves the coarse time of the data path on, and measures how late that happens. */
export class Heartbeat {
  readonly wheel = new TimerWheel({ tickMs: TICK_MS, slots: WHEEL_SLOTS });
  /** How much later than due each tick came, in milliseconds. */
  readonly delay = new Histogram();

  /** Ends with the signal. */
  async run(clock: Clock, signal: AbortSignal): Promise<void> {
    let before = clock.now();
    let virtual = this.wheel.nowMs;
    while (await sleep(clock, TICK_MS, signal)) {
      const now = clock.now();
      virtual += Math.min(now - before, LEAP_MS);
      this.delay.add(Math.max(0, now - before - TICK_MS));
      before = now;
      this.wheel.advance(virtual);
    }
  }
}
