import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseVersion } from "../../src/core/version.js";
import { CheckAnswer, type CheckResult, type Expectation } from "../../src/health/check-answer.js";

const STATUS_ONLY: Expectation = {
  isHead: false,
  statuses: [[200, 299]],
  bodyIncludes: undefined,
  minVersion: undefined,
  bodyBytesMax: 64,
};
const BODY: Expectation = { ...STATUS_ONLY, bodyIncludes: Buffer.from("well") };
const VERSION: Expectation = { ...STATUS_ONLY, minVersion: parseVersion("0.0.235") };

/** The result for an answer that comes in these pieces, or of its end. */
function judge(expectation: Expectation, pieces: readonly (string | Buffer)[]): CheckResult {
  const answer = new CheckAnswer(expectation);
  for (const piece of pieces) {
    // Somewhere within a larger buffer that is overwritten after the call, as reads of a stream are.
    const bytes = Buffer.from(piece as string, "latin1");
    const buffer = Buffer.concat([Buffer.from("HT"), bytes, Buffer.from("TP")]);
    const result = answer.feed(buffer, 2, 2 + bytes.length);
    buffer.fill("X");
    if (result !== undefined) return result;
  }
  return answer.finish();
}

const splitAt = (bytes: Buffer, cuts: readonly number[]) => {
  const ends = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
};

const counted = (body: string, status = "200 OK") =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

const ANSWERS: readonly (readonly [string, Expectation, string])[] = [
  ["a good status", STATUS_ONLY, counted("whatever")],
  ["a bad status", STATUS_ONLY, counted("x", "503 Service Unavailable")],
  ["a body", BODY, counted("all is well here")],
  ["another body", BODY, counted("all is lost here")],
  [
    "a chunked body",
    BODY,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nI w\r\n5;a=b\r\nell, \r\n0\r\nA: b\r\n\r\n",
  ],
  ["broken chunks", BODY, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\nzz\r\n"],
  ["a body until close", BODY, "HTTP/1.0 200 OK\r\n\r\nvery well"],
  ["a body that breaks off", BODY, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nwell"],
  ["a body above the limit", BODY, counted("-".repeat(100))],
  [
    "interim responses first",
    BODY,
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n${counted("well")}`,
  ],
  ["no HTTP", STATUS_ONLY, "SSH-2.0-OpenSSH_9.6\r\n"],
  ["two lengths", STATUS_ONLY, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
  ["a version", VERSION, counted('{"version":"0.0.235"}')],
  ["an old version", VERSION, counted('{"version":"0.0.234"}')],
  ["no JSON", VERSION, counted("<html>")],
];

describe("check answer", () => {
  it("gives the same result however the answer is split", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ANSWERS),
        fc.array(fc.nat(), { maxLength: 20 }),
        ([title, expectation, text], cuts) => {
          const bytes = Buffer.from(text, "latin1");
          assert.deepEqual(judge(expectation, splitAt(bytes, cuts)), judge(expectation, [bytes]), title);
        },
      ),
      { numRuns: 500 },
    );
    for (const [title, expectation, text] of ANSWERS)
      assert.deepEqual(judge(expectation, [...text]), judge(expectation, [text]), `${title}, byte by byte`);
  });

  it("FB10: gives some result for any bytes whatever", () => {
    const near = fc
      .constantFrom(...ANSWERS)
      .chain(([, , text]) =>
        fc
          .tuple(fc.nat({ max: text.length }), fc.uint8Array({ maxLength: 8 }), fc.nat({ max: 8 }))
          .map(([at, bytes, cut]) =>
            Buffer.concat([
              Buffer.from(text.slice(0, at), "latin1"),
              bytes,
              Buffer.from(text.slice(at + cut), "latin1"),
            ]),
          ),
      );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
      near,
    );
    fc.assert(
      fc.property(fc.constantFrom(STATUS_ONLY, BODY, VERSION), bytes, (expectation, answer) => {
        const result = judge(expectation, [answer]);
        assert.ok(result.passed === true || (result.passed === false && result.reason.length < 300));
      }),
      { numRuns: 2000 },
    );
  });

  it("FB10: gives some result for any JSON whatever, and passes only what has a version", () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const { passed } = judge({ ...VERSION, bodyBytesMax: 1e6 }, [
          `HTTP/1.0 200 OK\r\n\r\n`,
          Buffer.from(json) as Buffer,
        ]);
        assert.equal(passed, false);
      }),
    );
  });

  it("refuses a head that is too large, whether it ends or not", () => {
    const field = `X: ${"x".repeat(1000)}\r\n`;
    const tooLarge = { passed: false, reason: "head too large" };
    assert.deepEqual(judge(STATUS_ONLY, [`HTTP/1.1 200 OK\r\n${field.repeat(70)}\r\n`]), tooLarge);
    assert.deepEqual(judge(STATUS_ONLY, ["HTTP/1.1 200 OK\r\n", ...Array<string>(70).fill(field)]), tooLarge);
    assert.deepEqual(
      judge(STATUS_ONLY, ["HTTP/1.1 200 OK\r\nX: ", ...Array<string>(70).fill("x".repeat(1000))]),
      tooLarge,
    );
    assert.deepEqual(judge(STATUS_ONLY, [`HTTP/1.1 200 OK\r\n${field.repeat(60)}\r\n`]), { passed: true });
    assert.deepEqual(judge(STATUS_ONLY, [`HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(501)}\r\n`]), tooLarge);
    assert.deepEqual(judge(STATUS_ONLY, [`HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(500)}\r\n`]), { passed: true });
  });

  it("does not wait for ever while a node says wait", () => {
    const interim = "HTTP/1.1 102 Processing\r\n\r\n";
    assert.deepEqual(judge(STATUS_ONLY, [interim.repeat(10), counted("")]), { passed: true });
    assert.deepEqual(judge(STATUS_ONLY, [interim.repeat(11)]), { passed: false, reason: "malformed" });
  });

  it("takes the answer to HEAD without a body, whatever its length field says", () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    assert.deepEqual(judge({ ...STATUS_ONLY, isHead: true }, [head]), { passed: true });
  });
});
