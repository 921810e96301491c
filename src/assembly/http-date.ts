import type { Clock } from "../core/clock.js";

/** The time as IMF-fixdate, made once a second (RFC 9110 §5.6.7). */
export function httpDate(clock: Clock): () => string {
  let second = -1;
  let text = "";
  return () => {
    const now = Math.floor(clock.wallNow() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
