import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseDuration, parsePort, parseSize } from "../../src/config/units.js";

/** What a 32-bit timer can wait. */
const DURATION_MS_MAX = 2 ** 31 - 1;

describe("durations", () => {
  it("are milliseconds, with or without a unit", () => {
    for (const [text, ms] of [
      ["0", 0],
      ["250", 250],
      ["250ms", 250],
      ["5s", 5000],
      ["1.5s", 1500],
      ["1.1s", 1100],
      ["1m", 60_000],
      ["1h", 3_600_000],
      ["1d", 86_400_000],
      [" 5 S ", 5000],
    ] as const)
      assert.equal(parseDuration(text), ms, text);
  });

  it("are refused when they are no whole number of milliseconds that a timer can wait", () => {
    const bad = ["", " ", "s", "NaN", "Infinity", "-1", "+1", "-5s", "0.5", "1.5ms", "0.0001s", "1e3", "0x10", "1,5s"];
    bad.push("5 seconds", "5sec", "5s 5s", "1h30m", "..5s", "1.s", `${DURATION_MS_MAX + 1}`, "30d", "9".repeat(400));
    bad.push("1__proto__", "1constructor", "５s");
    for (const text of bad) assert.equal(parseDuration(text), undefined, JSON.stringify(text));
  });

  it("are what was written, times the unit", () => {
    const unit = fc.constantFrom(["", 1], ["ms", 1], ["s", 1000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000]);
    fc.assert(
      fc.property(
        fc.nat({ max: DURATION_MS_MAX }),
        unit as fc.Arbitrary<[string, number]>,
        (count, [suffix, factor]) => {
          const ms = count * factor;
          assert.equal(parseDuration(`${count}${suffix}`), ms > DURATION_MS_MAX ? undefined : ms);
        },
      ),
    );
  });

  it("keep up to three decimals of a second exactly", () => {
    fc.assert(
      fc.property(fc.nat({ max: 999_999 }), (ms) => {
        assert.equal(parseDuration(`${(ms / 1000).toFixed(3)}s`), ms);
      }),
    );
  });
});

describe("sizes", () => {
  it("are bytes, with binary and decimal units", () => {
    for (const [text, bytes] of [
      ["0", 0],
      ["500", 500],
      ["500b", 500],
      ["16k", 16_384],
      ["16K", 16_384],
      ["64KiB", 65_536],
      ["64kb", 64_000],
      ["1MiB", 1_048_576],
      ["1m", 1_048_576],
      ["1.5MB", 1_500_000],
      ["1g", 1_073_741_824],
    ] as const)
      assert.equal(parseSize(text), bytes, text);
  });

  it("are refused when they are no whole number of bytes", () => {
    const bad = ["", "k", "-1", "-1k", "1.5", "0.3k", "1e3", "NaN", "64KiBs", "64Ki", "1t", "9007199254740993"];
    bad.push("99999999999g");
    for (const text of bad) assert.equal(parseSize(text), undefined, JSON.stringify(text));
  });

  it("are what was written, times the unit", () => {
    const unit = fc.constantFrom(["", 1], ["k", 1024], ["KiB", 1024], ["kB", 1000], ["MiB", 1024 ** 2], ["GB", 1e9]);
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), unit as fc.Arbitrary<[string, number]>, (count, [suffix, factor]) => {
        const bytes = count * factor;
        assert.equal(parseSize(`${count}${suffix}`), Number.isSafeInteger(bytes) ? bytes : undefined);
      }),
    );
  });
});

describe("any text", () => {
  it("is a sane number or none, and never an exception", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.e+-]{0,20} ?[a-zA-Z]{0,4}$/)), (text) => {
        for (const value of [parseDuration(text), parseSize(text)])
          assert.ok(value === undefined || (Number.isSafeInteger(value) && value >= 0), `${text} gave ${value}`);
      }),
    );
  });
});

describe("ports", () => {
  it("are decimal numbers up to 65535", () => {
    assert.equal(parsePort("8080", 1), 8080);
    assert.equal(parsePort("65535", 1), 65_535);
    assert.equal(parsePort("0", 0), 0);
    for (const text of ["0", "65536", "abc", "", "-1", "+1", "1.0", "0x50", "100000"])
      assert.equal(parsePort(text, 1), undefined, text);
  });
});
