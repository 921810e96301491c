import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Histogram, histogramBounds } from "../../src/core/histogram.js";

/** Over all seven decades alike; what is rounded to 10 µs is in the bucket below. */
const milliseconds = fc.double({ min: -1.97, max: 5, noNaN: true }).map((exponent) => 10 ** exponent);
const BOUNDS = [0.01, 0.25, 0.5, 1, 1.1, 2.25, 2.5, 5, 7.5, 10, 100, 1000, 2500, 60_000, 100_000];
/** What samples are rounded to. */
const ROUNDED_MS = 0.0005;

function histogramOf(samples: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const sample of samples) histogram.add(sample);
  return histogram;
}

describe("a histogram", () => {
  it("knows every quantile within a sixteenth, from 10 µs to 100 s", () => {
    fc.assert(
      fc.property(
        fc.array(milliseconds, { minLength: 1, maxLength: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (samples, share) => {
          const sorted = [...samples].sort((one, other) => one - other);
          const exact = sorted[Math.max(1, Math.ceil(share * samples.length)) - 1];
          const error = Math.abs(histogramOf(samples).quantile(share) - exact);
          assert.ok(error <= exact / 16 + ROUNDED_MS, `${error} ms at ${exact} ms`);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("counts below each bound what is at most as large, as Prometheus reads it", () => {
    const onBounds = fc.constantFrom(...BOUNDS);
    fc.assert(
      fc.property(fc.array(fc.oneof(milliseconds, onBounds), { maxLength: 50 }), (samples) => {
        const rounded = samples.map((sample) => Math.floor(sample / ROUNDED_MS + 0.5));
        const expected = BOUNDS.map(
          (bound) => rounded.filter((units) => units <= Math.round(bound / ROUNDED_MS)).length,
        );
        assert.deepEqual(histogramOf(samples).cumulative(histogramBounds(BOUNDS)), expected);
      }),
      { numRuns: 2000 },
    );
  });

  it("loses no sample, however odd", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1 })), (samples) => {
        const histogram = histogramOf(samples);
        assert.equal(histogram.count, samples.length);
        assert.equal(
          histogram.sumMs,
          samples.reduce((sum, sample) => sum + sample, 0),
        );
      }),
    );
  });

  it("has no bucket wider than an eighth of its lower bound", () => {
    // Each step of a sixteenth of a percent must be told apart from the value an eighth above it.
    for (let ms = 0.01; ms < 80_000; ms *= 1.000625) {
      const low = histogramOf([ms]).quantile(1);
      const high = histogramOf([ms * 1.126 + 2 * ROUNDED_MS]).quantile(1);
      assert.ok(low < high, `${ms}`);
    }
  });

  it("says 0 of nothing, and 100 s of all above", () => {
    assert.deepEqual(
      [0, 0.5, 1].map((share) => new Histogram().quantile(share)),
      [0, 0, 0],
    );
    assert.equal(histogramOf([100_001, 1e300, Number.POSITIVE_INFINITY]).quantile(0.5), 100_000);
  });

  it("gives a copy that later samples do not reach, and a line that says what matters", () => {
    const histogram = histogramOf([1, 2, 3]);
    const copy = histogram.copy();
    histogram.add(1000);
    assert.deepEqual([copy.count, copy.sumMs, histogram.count], [3, 6, 4]);
    assert.deepEqual(JSON.parse(JSON.stringify(copy)), { count: 3, sumMs: 6, p50Ms: 1.95, p90Ms: 2.875, p99Ms: 2.875 });
  });

  it("takes one sample for as many as it is said to stand for", () => {
    const histogram = histogramOf([1]);
    histogram.add(10, 3);
    assert.deepEqual(
      [histogram.count, histogram.sumMs, histogram.quantile(0.25), histogram.quantile(0.26)],
      [4, 31, 0.975, 9.75],
    );
  });

  it("refuses a bound at which no bucket ends", () => {
    assert.throws(() => histogramBounds([1, 2.1]), /no bucket ends at 2.1 ms/);
  });
});
