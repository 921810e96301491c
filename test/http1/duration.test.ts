import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseGoDuration } from "../../src/http1/duration.js";

function parsed(bytes: Buffer): number {
  const buffer = Buffer.concat([Buffer.from("9h"), bytes, Buffer.from("9h")]);
  return parseGoDuration(buffer, 2, 2 + bytes.length);
}

describe("a duration as Go writes it", () => {
  for (const [text, ms] of [
    ["0", 0],
    ["0s", 0],
    ["300ms", 300],
    ["1.5s", 1500],
    ["3s", 3000],
    ["1h2m3.5s", 3_723_500],
    ["2us", 0.002],
    ["1µs", 0.001],
    ["1μs", 0.001],
    ["250ns", 0.000_25],
    ["1m0.000000001s", 60_000.000_001],
    ["2540400h10m10s", 9_145_440_610_000],
    ["2562047h47m16.8s", 9_223_372_036_800],
    // Go writes none of these, but reads them.
    ["+1.5s", 1500],
    ["+0", 0],
    [".5s", 500],
    ["1.s", 1000],
    ["1s1s", 2000],
    ["0.3333333333333333333333333333333333h", 1_200_000],
    ["0000000000000000000000000000001s", 1000],
  ] as const) {
    it(`${text} is ${ms} ms`, () => {
      const got = parsed(Buffer.from(text));
      assert.ok(Math.abs(got - ms) <= ms * 1e-12, `${got}`);
    });
  }

  it("is read with a Latin-1 sign of micro as well", () => {
    assert.equal(parsed(Buffer.from("1500µs", "latin1")), 1.5);
  });

  for (const text of [
    "",
    "+",
    "-",
    "1",
    "00",
    "1.5",
    "s",
    ".s",
    ".",
    "-1s",
    "-0",
    "- 1s",
    "+-1s",
    "1 s",
    " 1s",
    "1s ",
    "1s,2s",
    "1S",
    "1Ms",
    "1d",
    "1min",
    "1sec",
    "1mss",
    "1s1",
    "1s-1s",
    "1..5s",
    "1.5.5s",
    "1e3s",
    "0x1s",
    "1_0s",
    "٣s",
    "NaN",
    "Infinity",
    "1µ",
    "1\xc3s",
    "2562047h47m17s",
    "9223372036854775808ns",
    "99999999999999999999999h",
    `${"9".repeat(400)}s`,
    `${"9".repeat(400)}ns`,
  ]) {
    it(`is not ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(parsed(Buffer.from(text)), -1));
  }

  it("comes back from what Go's String makes of it", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(59), fc.nat(59), fc.nat(999_999_999), (hours, minutes, seconds, nanos) => {
        const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
        const text = `${hours > 0 ? `${hours}h` : ""}${hours + minutes > 0 ? `${minutes}m` : ""}${seconds}${fraction}s`;
        const ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + nanos / 1e6;
        assert.ok(Math.abs(parsed(Buffer.from(text)) - ms) < 1e-6, text);
      }),
    );
  });

  it("is never anything but a finite number that is not negative, or -1", () => {
    const piece = fc.constantFrom("0", "1", "99", ".", "+", "-", "h", "m", "s", "ms", "us", "µs", "ns", " ", "\0", "e");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const ms = parsed(Buffer.from(pieces.join("")));
        assert.ok(ms === -1 || (Number.isFinite(ms) && ms >= 0));
      }),
      { numRuns: 3000 },
    );
  });
});
