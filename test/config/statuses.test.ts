import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseStatuses } from "../../src/config/statuses.js";

describe("lists of statuses", () => {
  it("are codes and ranges with both ends included", () => {
    for (const [text, ranges] of [
      ["200", [[200, 200]]],
      ["200-299", [[200, 299]]],
      [
        "200-299,404",
        [
          [200, 299],
          [404, 404],
        ],
      ],
      [
        " 200 - 204 , 301 ",
        [
          [200, 204],
          [301, 301],
        ],
      ],
      ["200-200", [[200, 200]]],
      ["100-599", [[100, 599]]],
      [
        "404,200-299,200",
        [
          [404, 404],
          [200, 299],
          [200, 200],
        ],
      ],
    ] as const)
      assert.deepEqual(parseStatuses(text), ranges, text);
  });

  it("are refused when an item is neither", () => {
    const bad = [
      "",
      " ",
      ",",
      "200,",
      ",200",
      "200,,404",
      "2xx",
      "20",
      "2000",
      "099",
      "99",
      "600",
      "500-600",
      "099-200",
    ];
    bad.push(
      "300-200",
      "200-",
      "-299",
      "200--299",
      "200-299-300",
      "200;404",
      "200 404",
      "+200",
      "2e2",
      "0200",
      "２００",
      "ok",
    );
    for (const text of bad) assert.equal(parseStatuses(text), undefined, JSON.stringify(text));
  });

  it("are what was written", () => {
    const status = fc.integer({ min: 100, max: 599 });
    const range = fc.tuple(status, status).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    fc.assert(
      fc.property(fc.array(range, { minLength: 1 }), (ranges) => {
        const text = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
        assert.deepEqual(parseStatuses(text), ranges);
      }),
    );
  });
});
