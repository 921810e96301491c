import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BodyFramer } from "../../src/http1/body.js";
import { Framing } from "../../src/http1/framing.js";

/** Feeds everything and returns what goes on, as often as the framer wants to be called. */
function passed(
  framer: BodyFramer,
  text: string,
): { readonly bytes: string; readonly end: number; readonly calls: number } {
  const buffer = Buffer.from(text, "latin1");
  let bytes = "";
  let at = 0;
  let calls = 0;
  while (at < buffer.length && !framer.isDone && !framer.isBad) {
    at = framer.feed(buffer, at, buffer.length);
    calls++;
    for (let span = 0; span < framer.spanCount; span++) {
      bytes += buffer.toString("latin1", framer.spans[span * 2], framer.spans[span * 2 + 1]);
    }
    bytes += framer.tail?.toString("latin1") ?? "";
  }
  return { bytes, end: at, calls };
}

function begun(framing: number, length = 0, dechunk = false): BodyFramer {
  const framer = new BodyFramer(1000);
  framer.begin(framing, length, dechunk);
  return framer;
}

describe("body framer", () => {
  it("is done at once without a body, and with one of length 0", () => {
    for (const framer of [begun(Framing.NONE), begun(Framing.COUNTED, 0)]) {
      assert.equal(framer.isDone, true);
      assert.deepEqual(passed(framer, "next"), { bytes: "", end: 0, calls: 0 });
    }
  });

  it("counts a body and leaves what follows", () => {
    const framer = begun(Framing.COUNTED, 5);
    assert.deepEqual(passed(framer, "helloGET /"), { bytes: "hello", end: 5, calls: 1 });
    assert.deepEqual([framer.isDone, framer.bodyBytes], [true, 5]);
  });

  it("passes an untouched chunked body as one span, whatever it holds", () => {
    const body = "5\r\nhello\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n";
    const framer = begun(Framing.CHUNKED);
    assert.deepEqual(passed(framer, `${body}next`), { bytes: body, end: body.length, calls: 1 });
    assert.equal(framer.spanCount, 1);
    assert.equal(framer.bodyBytes, 9);
  });

  it("asks to be called again when a buffer holds more pieces than it can tell", () => {
    const framer = begun(Framing.CHUNKED, 0, true);
    const { bytes, calls } = passed(framer, `${"1\r\nx\r\n".repeat(1000)}0\r\n\r\n`);
    assert.equal(bytes, "x".repeat(1000));
    assert.ok(calls > 10);
    assert.deepEqual([framer.isDone, framer.bodyBytes], [true, 1000]);
  });

  it("takes a chunk of 2^53 - 1 bytes, and none of one more", () => {
    const largest = begun(Framing.CHUNKED);
    passed(largest, "1fffffffffffff\r\nx");
    assert.deepEqual([largest.isBad, largest.bodyBytes], [false, 1]);
    const larger = begun(Framing.CHUNKED);
    passed(larger, "20000000000000\r\nx");
    assert.equal(larger.isBad, true);
  });

  it("takes a size of 16 digits, and none of 17", () => {
    const framer = begun(Framing.CHUNKED);
    passed(framer, "0000000000000001\r\nx\r\n0\r\n\r\n");
    assert.equal(framer.isDone, true);
    const longer = begun(Framing.CHUNKED);
    passed(longer, "00000000000000001\r\nx\r\n");
    assert.equal(longer.isBad, true);
  });

  it("drops trailers together with the chunks when these are taken off", () => {
    const framer = begun(Framing.CHUNKED, 0, true);
    const text = "2;a\r\nok\r\n0\r\nX: y\r\n\r\n";
    assert.deepEqual(passed(framer, `${text}next`), { bytes: "ok", end: text.length, calls: 1 });
  });

  it("collects trailers up to its limit", () => {
    const section = (bytes: number) => `X: ${"y".repeat(bytes - 7)}\r\n\r\n`;
    const fits = begun(Framing.CHUNKED);
    assert.equal(section(1000).length, 1000);
    assert.equal(passed(fits, `0\r\n${section(1000)}`).bytes, `0\r\n${section(1000)}`);
    const tooLong = begun(Framing.CHUNKED);
    passed(tooLong, `0\r\n${section(1001)}`);
    assert.deepEqual([tooLong.isBad, tooLong.isDone], [true, false]);
  });

  it("collects trailers that come byte by byte", () => {
    const framer = begun(Framing.CHUNKED);
    const text = `0\r\n${"X: yyyy\r\n".repeat(80)}Y: ${"z".repeat(250)}\r\n\r\n`;
    let bytes = "";
    for (const byte of text) bytes += passed(framer, byte).bytes;
    assert.equal(bytes, text);
    assert.equal(framer.isDone, true);
  });

  it("lasts until the connection closes when nothing else says where it ends", () => {
    const framer = begun(Framing.UNTIL_CLOSE);
    assert.equal(passed(framer, "0\r\n\r\n").bytes, "0\r\n\r\n");
    assert.equal(framer.isDone, false);
    framer.finish();
    assert.equal(framer.isDone, true);
  });

  it("is not finished by a close when its length is known", () => {
    for (const framer of [begun(Framing.COUNTED, 5), begun(Framing.CHUNKED)]) {
      framer.finish();
      assert.equal(framer.isDone, false);
    }
  });

  it("begins anew after any body, broken ones included", () => {
    const framer = begun(Framing.CHUNKED);
    for (const text of ["x\r\n", "5;a\r\nhel", "0\r\nX: y\r\n", "0\r\n\r\n"]) {
      framer.begin(Framing.CHUNKED, 0, false);
      passed(framer, text);
      framer.begin(Framing.CHUNKED, 0, false);
      assert.deepEqual(passed(framer, "2\r\nok\r\n0\r\n\r\n"), { bytes: "2\r\nok\r\n0\r\n\r\n", end: 12, calls: 1 });
      assert.deepEqual([framer.isDone, framer.isBad, framer.bodyBytes], [true, false, 2]);
    }
  });
});
