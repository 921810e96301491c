import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isNodeError, SlidingMeter, type SlidingMeterOptions } from "../../src/core/meter.js";
import { FakeClock } from "../support/fake-clock.js";

function meterOf(options: SlidingMeterOptions = {}) {
  const clock = new FakeClock();
  return { clock, meter: new SlidingMeter(clock, options) };
}

/** So many responses with one status, spread evenly over a time. */
function answer(
  { clock, meter }: ReturnType<typeof meterOf>,
  status: number,
  count: number,
  overMs = 0,
  latencyMs = 10,
) {
  for (let n = 0; n < count; n++) {
    meter.record(status, latencyMs);
    clock.pass(overMs / count);
  }
}

describe("which statuses speak against a node", () => {
  it("O12: 500 to 504 do; 4xx, 499 and the other 5xx do not", () => {
    for (const status of [500, 501, 502, 503, 504]) assert.equal(isNodeError(status), true, String(status));
    for (const status of [101, 200, 304, 400, 404, 429, 499, 505, 507, 511, 599]) {
      assert.equal(isNodeError(status), false, String(status));
    }
  });

  it("O12: is what the meter counts, unless it is told otherwise", () => {
    const standard = meterOf();
    for (const status of [200, 404, 499, 503]) standard.meter.record(status, 1);
    assert.equal(standard.meter.read().errorRatio, 0.25);

    const strict = meterOf({ isError: (status) => status === 404 || status >= 500 });
    for (const status of [200, 404, 499, 507]) strict.meter.record(status, 1);
    assert.equal(strict.meter.read().errorRatio, 0.5);
  });
});

describe("sliding meter", () => {
  it("knows nothing before the first response", () => {
    const { meter } = meterOf();
    assert.deepEqual(meter.read(), { isReady: false, requests: 0, errorRatio: 0, latencyMs: 0 });
  });

  it("is ready when it has watched for a window, with or without traffic, and stays ready", () => {
    const { clock, meter } = meterOf({ windowMs: 10_000 });
    clock.pass(9_999);
    assert.equal(meter.read().isReady, false);
    clock.pass(1);
    assert.equal(meter.read().isReady, true);
    clock.pass(3_600_000);
    assert.equal(meter.read().isReady, true);
  });

  it("forgets what is older than its window when enough is newer", () => {
    const metered = meterOf();
    answer(metered, 500, 500, 10_000);
    assert.equal(metered.meter.read().errorRatio, 1);
    answer(metered, 200, 250, 5_000);
    const { errorRatio } = metered.meter.read();
    assert.ok(errorRatio > 0.4 && errorRatio < 0.6, String(errorRatio));
    answer(metered, 200, 300, 6_000);
    assert.equal(metered.meter.read().errorRatio, 0);
  });

  it("reaches back to the last twenty requests where they are rare", () => {
    const metered = meterOf();
    answer(metered, 500, 10, 100_000);
    answer(metered, 200, 20, 200_000);
    const { requests, errorRatio } = metered.meter.read();
    assert.ok(requests >= 20 && requests <= 30, String(requests));
    assert.ok(errorRatio <= 0.2, String(errorRatio));
    answer(metered, 200, 10, 100_000);
    assert.equal(metered.meter.read().errorRatio, 0);
  });

  it("never holds fewer requests than its minimum once it had them, whatever the rhythm", () => {
    const metered = meterOf({ requestsMin: 20 });
    answer(metered, 200, 40, 400_000);
    for (const [count, overMs] of [
      [1, 1],
      [3, 90_000],
      [200, 1_000],
      [1, 30_000],
      [7, 7],
    ]) {
      for (let n = 0; n < count; n++) {
        answer(metered, 200, 1, overMs / count);
        assert.ok(metered.meter.read().requests >= 20);
      }
    }
  });

  it("goes by time alone with a minimum of 0", () => {
    const metered = meterOf({ requestsMin: 0 });
    answer(metered, 500, 5, 1_000);
    assert.equal(metered.meter.read().requests, 5);
    metered.clock.pass(10_000);
    assert.deepEqual(metered.meter.read(), { isReady: true, requests: 0, errorRatio: 0, latencyMs: 0 });
  });

  it("forgets everything after ten minutes of silence", () => {
    const metered = meterOf();
    answer(metered, 500, 30);
    metered.clock.pass(599_999);
    assert.equal(metered.meter.read().requests, 30);
    metered.clock.pass(1);
    assert.equal(metered.meter.read().requests, 0);
    metered.meter.record(200, 5);
    assert.equal(metered.meter.read().requests, 1);
    assert.equal(metered.meter.read().errorRatio, 0);
  });

  it("measures the latency of answers, not of failures", () => {
    const { meter } = meterOf();
    meter.record(200, 40);
    meter.record(500, 1);
    meter.record(504, 60_000);
    assert.equal(Math.round(meter.read().latencyMs), 40);
    assert.equal(meterOf().meter.read().latencyMs, 0);
  });

  it("does not let one long poll speak for twenty quick answers", () => {
    const metered = meterOf();
    answer(metered, 200, 20, 0, 10);
    metered.meter.record(200, 30_000);
    const { latencyMs } = metered.meter.read();
    assert.ok(latencyMs > 14 && latencyMs < 15, String(latencyMs));
  });

  it("takes no latency for less than a tenth of a millisecond", () => {
    const { meter } = meterOf();
    for (const latencyMs of [0, -5, Number.NaN]) meter.record(200, latencyMs);
    assert.equal(Math.round(meter.read().latencyMs * 1000), 100);
  });

  it("refuses options out of range", () => {
    for (const options of [{ windowMs: 0 }, { requestsMin: -1 }, { memoryMs: 9_999 }, { windowMs: Number.NaN }]) {
      assert.throws(() => meterOf(options), { code: "ERR_OPTION", message: /^option "\w+" must be a number from / });
    }
  });
});
