import { ApiError, request } from "./api.js";

/** An event comes each second, from a large balancer each five: after that long the connection is gone, whatever the system says. */
const SILENCE_MS = 9000;
const WAIT_MIN_MS = 500;
const WAIT_MAX_MS = 15_000;

/**
 * @typedef {object} StreamListener
 * @property {(status: import("./shapes.js").StatusShape) => void} onStatus
 * @property {(sample: import("./shapes.js").HistorySample) => void} onSample
 * @property {(error: ApiError) => void} onLost The connection is gone.
 */

/**
 * Reads the events of the balancer for as long as the page is open. It is `fetch` and no `EventSource`, which cannot send
 * a token. Where the balancer refuses for want of one, it is not asked again until somebody says so.
 * @param {StreamListener} listener
 * @param {() => AbortSignal} retryNow Ends the wait after the try that begins.
 */
export async function runStream(listener, retryNow) {
  let waitMs = WAIT_MIN_MS;
  for (;;) {
    // Asked for during a try that hangs, it ends the wait that follows.
    const now = retryNow();
    const silence = new AbortController();
    let error = new ApiError(0, "the balancer ended the stream");
    try {
      // A balancer that is stopped, or behind a tunnel that is gone, takes a connection and never says a word.
      const response = await request("v1/events", { signal: silence.signal, headMs: SILENCE_MS });
      for await (const { event, data } of eventsOf(response, silence)) {
        waitMs = WAIT_MIN_MS;
        if (event === "sample") listener.onSample(JSON.parse(data));
        else if (event === "status") listener.onStatus(JSON.parse(data));
      }
    } catch (cause) {
      error = cause instanceof ApiError ? cause : new ApiError(0, "no answer from the balancer");
    }
    silence.abort();
    // Pages that have lost the same balancer do not come back in step.
    const jittered = waitMs * (0.8 + 0.4 * Math.random());
    listener.onLost(error);
    await wait(error.status === 401 ? undefined : jittered, now);
    waitMs = Math.min(2 * waitMs, WAIT_MAX_MS);
  }
}

/**
 * @param {Response} response
 * @param {AbortController} silence
 * @returns {AsyncGenerator<{ event: string, data: string }>}
 */
async function* eventsOf(response, silence) {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    pending += value;
    const blocks = pending.split("\n\n");
    pending = blocks.pop() ?? "";
    for (const block of blocks) yield eventOf(block);
  }
}

/** @param {string} block lines up to an empty one */
function eventOf(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return { event, data: data.join("\n") };
}

/**
 * @param {number | undefined} ms undefined: until the signal aborts
 * @param {AbortSignal} signal
 */
function wait(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      // The signal outlives thousands of waits.
      signal.removeEventListener("abort", end);
      resolve(undefined);
    };
    const timer = ms === undefined ? undefined : setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
