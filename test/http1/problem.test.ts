import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ErrorCode, HTTP_STATUS } from "../../src/errors.js";
import { problemResponse } from "../../src/http1/problem.js";
import { readResponse } from "../support/read-message.js";

const DATE = "Mon, 01 Jan 2024 00:16:40 GMT";
const codes = (Object.keys(HTTP_STATUS) as ErrorCode[]).filter((code) => HTTP_STATUS[code] > 0);

describe("problem", () => {
  for (const code of codes) {
    it(`of ${code} has its status, a title and a sentence`, () => {
      const bytes = problemResponse(code, { closes: true, isHead: false, date: DATE });
      const response = readResponse(bytes, "GET", false);
      assert.ok(response);
      assert.equal(response.length, bytes.length);
      const { type, title, status, detail, ...rest } = response.json();
      assert.deepEqual([type, status, rest], ["about:blank", HTTP_STATUS[code], { code }]);
      assert.equal(response.startLine, `HTTP/1.1 ${status} ${title}`);
      assert.match(String(detail), /^[a-z]/);
      assert.deepEqual([response.header("date"), response.header("connection")], [DATE, "close"]);
      assert.equal(response.header("retry-after"), status === 503 || status === 429 ? "1" : undefined);
      assert.equal(response.header("allow") !== undefined, status === 405);
    });
  }

  it("has no body as an answer to HEAD, but its length", () => {
    const full = problemResponse("ERR_NODE_CLOSED", { closes: false, isHead: false, date: DATE }).toString();
    const head = problemResponse("ERR_NODE_CLOSED", { closes: false, isHead: true, date: DATE }).toString();
    assert.equal(head, full.slice(0, full.indexOf("\r\n\r\n") + 4));
    assert.ok(!head.includes("Connection"));
  });
});
