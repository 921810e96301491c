import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { redirectResponse } from "../../src/http1/redirect.js";

const date = "Thu, 01 Jan 1970 00:00:00 GMT";

describe("a redirect", () => {
  it("is a 308 without a body", () => {
    assert.equal(
      redirectResponse("/api/?q=%2F", { closes: false, date }).toString(),
      `HTTP/1.1 308 Permanent Redirect\r\nDate: ${date}\r\nLocation: /api/?q=%2F\r\nContent-Length: 0\r\n\r\n`,
    );
  });

  it("says when the connection closes behind it", () => {
    assert.match(redirectResponse("/a/", { closes: true, date }).toString(), /\r\nConnection: close\r\n\r\n$/);
  });
});
