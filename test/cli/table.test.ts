import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ageText, latencyText, rateText } from "../../src/cli/remote/display/figures.js";
import { type Column, tableLines } from "../../src/cli/remote/display/table.js";
import { cutText, plainText, textWidth } from "../../src/cli/remote/display/text-width.js";

interface Row {
  readonly name: string;
  readonly count: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "NAME", cell: ({ name }) => ({ text: name, color: "green" }) },
  { title: "N", align: "right", cell: ({ count }) => String(count) },
];
const ROWS: readonly Row[] = [
  { name: "a", count: 1 },
  { name: "节点", count: 1000 },
];

describe("a table", () => {
  it("is aligned by cells, not by characters", () => {
    assert.deepEqual(tableLines(COLUMNS, ROWS, { width: 80, hasColor: false }), [
      "NAME     N",
      "a        1",
      "节点  1000",
    ]);
  });

  it("is cut to its terminal, colours or not", () => {
    assert.deepEqual(tableLines(COLUMNS, ROWS, { width: 8, hasColor: false }), ["NAME   …", "a      …", "节点  1…"]);
    assert.deepEqual(tableLines(COLUMNS, ROWS, { width: 3, hasColor: true }), [
      "\x1b[1mNA…\x1b[0m",
      "\x1b[32ma …\x1b[0m",
      "\x1b[32m节…\x1b[0m",
    ]);
    assert.deepEqual(tableLines(COLUMNS, [], { width: 0, hasColor: false }), [""]);
  });

  it("is never wider than its terminal", () => {
    const row = fc.record({ name: fc.string({ unit: "grapheme", maxLength: 20 }), count: fc.nat() });
    fc.assert(
      fc.property(fc.array(row), fc.nat({ max: 40 }), (rows, width) => {
        const lines = tableLines(COLUMNS, rows, { width, hasColor: false });
        assert.equal(lines.length, rows.length + 1);
        for (const line of lines) assert.ok(textWidth(line) <= width, line);
      }),
    );
  });
});

describe("text for a terminal", () => {
  it("takes the cells that a terminal gives it", () => {
    const widths = {
      "": 0,
      abc: 3,
      µs: 2,
      é: 1,
      "e\u0301": 1,
      界: 2,
      ｆ: 2,
      "👍": 2,
      "👩‍👩‍👧": 2,
      "❤\ufe0f": 2,
      "\u200b": 0,
    };
    for (const [text, width] of Object.entries(widths)) assert.equal(textWidth(text), width, JSON.stringify(text));
  });

  it("is cut between graphemes", () => {
    assert.equal(cutText("abc", 3), "abc");
    assert.equal(cutText("abcd", 3), "ab…");
    assert.equal(cutText("界界", 3), "界…");
    assert.equal(cutText("界界", 2), "…");
    assert.equal(cutText("e\u0301e\u0301e\u0301", 2), "e\u0301…");
    assert.equal(cutText("abc", 0), "");
  });

  it("has nothing in it that a terminal obeys, or that turns a line around", () => {
    assert.equal(plainText(" a\r\n\tb\x1b[31m\x07\u202ec\x9b "), "a b\ufffd[31m\ufffd\ufffdc\ufffd");
  });
});

describe("figures", () => {
  it("are as long as they mean something", () => {
    assert.deepEqual([null, undefined, 0, 0.0004, 0.84, 1, 31.25, 999.6, 1204, 60_000].map(latencyText), [
      "-",
      "-",
      "0 µs",
      "0 µs",
      "840 µs",
      "1 ms",
      "31.3 ms",
      "1000 ms",
      "1.2 s",
      "60 s",
    ]);
    assert.deepEqual([undefined, 0, 0.123_4, 12.34, 99.96, 4830.4].map(rateText), [
      "-",
      "0",
      "0.123",
      "12.3",
      "100",
      "4830",
    ]);
    assert.deepEqual([0, 999, 42_000, 60_000, 200_000, 7_500_000, 349_200_000].map(ageText), [
      "0s",
      "0s",
      "42s",
      "1m",
      "3m 20s",
      "2h 5m",
      "4d 1h",
    ]);
  });
});
