import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { beginTrace, parseTraceparent, traceIdOf } from "../../src/http1/traceparent.js";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const GOOD = `00-${TRACE}-${PARENT}-01`;

/** Parses the value from the middle of a buffer: what stands beside it must not matter. */
function parse(value: string): string {
  const buffer = Buffer.from(`a-${value}-b`, "latin1");
  return parseTraceparent(buffer, 2, 2 + value.length);
}

describe("a traceparent", () => {
  for (const [what, value] of [
    ["of version 00", GOOD],
    ["whose flags nobody knows", `00-${TRACE}-${PARENT}-f9`],
    ["of a higher version", `cc-${TRACE}-${PARENT}-01`],
    ["of a higher version with more behind a dash", `cc-${TRACE}-${PARENT}-01-what-the-future-holds`],
    ["of a higher version with a dash and nothing behind it", `01-${TRACE}-${PARENT}-01-`],
  ]) {
    it(`${what} has its trace id read`, () => assert.equal(parse(value), TRACE));
  }

  for (const [what, value] of [
    ["empty", ""],
    ["too short", GOOD.slice(0, -1)],
    ["too long for its version", `${GOOD}-01`],
    ["too long by a dot, in a higher version", `cc-${TRACE}-${PARENT}-01.what`],
    ["of version ff, which is none", `ff-${TRACE}-${PARENT}-01`],
    ["of a version in capitals", `CC-${TRACE}-${PARENT}-01`],
    ["with a trace id of zeros", `00-${"0".repeat(32)}-${PARENT}-01`],
    ["with a parent id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["with capitals in the trace id", GOOD.replace("bf", "BF")],
    ["with capitals in the parent id", GOOD.replace("aa", "AA")],
    ["with capitals in the flags", `00-${TRACE}-${PARENT}-0A`],
    ["with another letter", GOOD.replace("bf", "bg")],
    ["with dots", GOOD.replaceAll("-", ".")],
    ["two in one field", `${GOOD},${GOOD}`],
  ]) {
    it(`is refused when it is ${what}`, () => assert.equal(parse(value), ""));
  }

  it("is taken exactly when the grammar of the specification takes it", () => {
    const grammar = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|(?<!^00.{53})-)/;
    const anywhere = fc.nat({ max: GOOD.length - 1 });
    const mark = fc.constantFrom(..."0123456789abcdefABCDEFg-_ .,");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anywhere, mark), { maxLength: 3 }),
        fc.constantFrom("", "-", "-01", "0"),
        (edits, tail) => {
          const text = [...GOOD];
          for (const [at, character] of edits) text[at] = character;
          const value = text.join("") + tail;
          assert.equal(parse(value), grammar.test(value) ? value.slice(3, 35) : "", value);
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe("a trace that is begun", () => {
  it("has ids that are good and new each time, and says that its id is random", () => {
    const begun = Array.from({ length: 1000 }, () => beginTrace(randomUUID, 1));
    for (const value of begun) {
      assert.equal(parse(value), traceIdOf(value));
      assert.match(value, /-03$/);
    }
    assert.equal(new Set(begun.map(traceIdOf)).size, begun.length);
    assert.equal(new Set(begun.map((value) => value.slice(36, 52))).size, begun.length);
  });

  it("is sampled as its id says, so that whoever samples by id agrees", () => {
    const withEnd = (digits: string) => () => `00000000-0000-4000-8000-${digits}`;
    // The last seven bytes are 00 and these six.
    assert.match(beginTrace(withEnd("ffffffffffff"), 1), /-03$/);
    assert.match(beginTrace(withEnd("ffffffffffff"), 0.99), /-02$/, "the first of the seven is 00");
    assert.match(beginTrace(withEnd("ffffffffffff"), 0), /-02$/);
    const high = () => "00000000-0000-4000-80ff-ffffffffffff";
    assert.match(beginTrace(high, 0.001), /-03$/);
    assert.match(beginTrace(high, 0), /-02$/);
  });

  it("is sampled about as often as asked for", () => {
    const sampled = Array.from({ length: 10_000 }, () => beginTrace(randomUUID, 0.1)).filter((it) => it.endsWith("3"));
    assert.ok(sampled.length > 700 && sampled.length < 1300, `${sampled.length} of 10,000`);
  });
});
