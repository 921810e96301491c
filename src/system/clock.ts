import { performance } from "node:perf_hooks";
import type { Clock } from "../core/clock.js";

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, callback) {
    let immediate: NodeJS.Immediate | undefined;
    // Behind the reads of this turn: when the process was frozen, what has come meanwhile is seen first. Otherwise every dial
    // that stood long ago would have taken too long, and all nodes were dead at once.
    const timer = setTimeout(() => {
      immediate = setImmediate(callback);
    }, delayMs);
    timer.unref();
    return () => {
      clearTimeout(timer);
      clearImmediate(immediate);
    };
  },
};
