import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { RequestSketch } from "../../src/core/operations.js";
import { HeadResult, RequestHead } from "../../src/http1/request-head.js";
import { sketchedRequest } from "../../src/http1/sketched-request.js";
import { DEFAULTS } from "../support/balancer.js";

function textOf(sketch: RequestSketch): string {
  const sketched = sketchedRequest(sketch);
  assert.equal(sketched.kind, "head", JSON.stringify(sketched));
  return sketched.kind === "head" ? sketched.bytes.toString() : "";
}

function refusalOf(sketch: RequestSketch): string {
  const sketched = sketchedRequest(sketch);
  return sketched.kind === "bad" ? sketched.detail : "";
}

describe("a sketched request", () => {
  it("is the head that a client would send", () => {
    assert.equal(textOf({ url: "http://a.example/b?c" }), "GET /b?c HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert.equal(
      textOf({ method: "POST", url: "HTTPS://[::1]:8443/b", headers: [["X-Tenant", "blue"]] }),
      "POST /b HTTP/1.1\r\nHost: [::1]:8443\r\nX-Tenant: blue\r\n\r\n",
    );
  });

  it("has a slash for a path that is empty, and never a fragment", () => {
    assert.match(textOf({ url: "http://a" }), /^GET \/ HTTP/);
    assert.match(textOf({ url: "http://a?b" }), /^GET \/\?b HTTP/);
    assert.match(textOf({ url: "http://a/b?c#d" }), /^GET \/b\?c HTTP/);
    assert.match(textOf({ url: "/b#d" }), /^GET \/b HTTP/);
  });

  it("keeps dots, case, double slashes and percent-encoding, which decide where it goes", () => {
    assert.match(textOf({ url: "http://A.example/x/../%2e/Y//z" }), /^GET \/x\/\.\.\/%2e\/Y\/\/z HTTP/);
    assert.match(textOf({ url: "//a/b" }), /^GET \/\/a\/b HTTP/);
  });

  it("has a host from its headers, or none at all, which only HTTP/1.0 may do", () => {
    assert.equal(textOf({ url: "/b", headers: [["host", "a"]] }), "GET /b HTTP/1.1\r\nhost: a\r\n\r\n");
    assert.equal(textOf({ url: "/b" }), "GET /b HTTP/1.0\r\n\r\n");
  });

  it("sends what is not ASCII as UTF-8", () => {
    const sketched = sketchedRequest({ url: "/", headers: [["x", "é"]] });
    assert.ok(sketched.kind === "head" && sketched.bytes.includes(Buffer.from([0xc3, 0xa9])));
  });

  for (const [what, sketch, field] of [
    ["a URL of another scheme", { url: "ftp://a/b" }, "url"],
    ["a path without a slash", { url: "b" }, "url"],
    ["an empty URL", { url: "" }, "url"],
    ["a URL without a host", { url: "http:///b" }, "url"],
    ["a URL with a user", { url: "http://me@a/b" }, "url"],
    ["a URL with a blank", { url: "/b c" }, "url"],
    ["a URL with a line end", { url: "/b HTTP/1.1\r\nX: y" }, "url"],
    ["a URL with a letter outside ASCII", { url: "/é" }, "url"],
    ["a star without OPTIONS", { url: "*" }, "url"],
    ["a method of two words", { url: "/", method: "GET /x" }, "method"],
    ["an empty method", { url: "/", method: "" }, "method"],
    ["a line end in a name", { url: "/", headers: [["a\r\nb", "c"]] }, "headers[0]"],
    ["a colon in a name", { url: "/", headers: [["a:", "c"]] }, "headers[0]"],
    [
      "a name that is empty",
      {
        url: "/",
        headers: [
          ["a", "b"],
          ["", "c"],
        ],
      },
      "headers[1]",
    ],
    ["a line end in a value", { url: "/", headers: [["a", "secret\r\nb: c"]] }, "headers[0]"],
    ["a bare line feed in a value", { url: "/", headers: [["a", "b\nc"]] }, "headers[0]"],
    ["a second host", { url: "http://a/", headers: [["Host", "b"]] }, "headers[0]"],
  ] as const satisfies readonly (readonly [string, RequestSketch, string])[]) {
    it(`is refused with the name of the field for ${what}`, () => {
      const detail = refusalOf(sketch);
      assert.ok(detail.startsWith(`"${field}" must be `), detail);
      assert.doesNotMatch(detail, /secret/);
    });
  }

  it("is exactly one head for any text, or refused", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("/", "\r", "\n", ":", " ", "a", "?", "#") }));
    const sketch = fc.record({
      method: fc.oneof(fc.constant("GET"), text),
      url: fc.oneof(
        text,
        text.map((path) => `/${path}`),
        text.map((rest) => `http://a/${rest}`),
        text.map((host) => `http://${host}/`),
      ),
      headers: fc.array(fc.tuple(fc.oneof(fc.constantFrom("x", "cookie"), text), text), { maxLength: 3 }),
    });
    let sent = 0;
    fc.assert(
      fc.property(sketch, (given) => {
        const sketched = sketchedRequest(given);
        if (sketched.kind === "bad") return;
        sent++;
        const { bytes } = sketched;
        const head = new RequestHead(DEFAULTS);
        const result = head.parse(bytes, 0, bytes.length);
        assert.notEqual(result, HeadResult.MORE);
        if (result === HeadResult.REFUSED) return;
        assert.equal(head.end, bytes.length);
        assert.equal(head.method, given.method);
        const hasHost = head.minor === 1 && !given.headers.some(([name]) => name.toLowerCase() === "host");
        assert.equal(head.fields.count, given.headers.length + (hasHost ? 1 : 0));
      }),
      { numRuns: 2000 },
    );
    assert.ok(sent > 200, String(sent));
  });
});
