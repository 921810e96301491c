import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { redirectResponse, slashLocation } from "../../src/http1/redirect.js";
import { readResponse } from "../support/read-message.js";

const DATE = "Mon, 01 Jan 2024 00:16:40 GMT";

/** The Location for an origin-form target. */
function locationOf(target: string): string {
  const bytes = Buffer.from(`GET ${target} HTTP/1.1`, "latin1");
  const query = target.indexOf("?");
  const end = 4 + target.length;
  return slashLocation(bytes, 4, query < 0 ? end : 4 + query, end);
}

describe("redirect", () => {
  for (const [status, title] of [
    [301, "Moved Permanently"],
    [302, "Found"],
    [303, "See Other"],
    [307, "Temporary Redirect"],
    [308, "Permanent Redirect"],
  ] as const) {
    it(`with ${status} is a complete response with its Location`, () => {
      const bytes = redirectResponse({ status, location: "/a/?b", closes: true, isHead: false, date: DATE });
      const response = readResponse(bytes, "GET", false);
      assert.ok(response);
      assert.equal(response.length, bytes.length);
      assert.equal(response.startLine, `HTTP/1.1 ${status} ${title}`);
      const named = ["date", "location", "connection"].map((name) => response.header(name));
      assert.deepEqual(named, [DATE, "/a/?b", "close"]);
      assert.equal(response.body.toString(), `${title}: /a/?b\n`);
    });
  }

  it("has no body as an answer to HEAD, but its length, and need not close", () => {
    const options = { status: 308, location: "/a/", closes: false, date: DATE } as const;
    const full = redirectResponse({ ...options, isHead: false }).toString();
    const head = redirectResponse({ ...options, isHead: true }).toString();
    assert.equal(head, full.slice(0, full.indexOf("\r\n\r\n") + 4));
    assert.ok(!head.includes("Connection"));
  });

  it("never lets a Location begin a line of its own, whatever is in it", () => {
    for (const [location, sent] of [
      ["/a\r\nX: y", "/a%0D%0AX:%20y"],
      ["/\u010a\u010d", "/%C4%8A%C4%8D"],
      ["/zürich \u{1f600}", "/z%C3%BCrich%20%F0%9F%98%80"],
      ["/\0\x7f", "/%00%7F"],
      ["https://other.example/%2F?a=b#c", "https://other.example/%2F?a=b#c"],
    ]) {
      const text = redirectResponse({ status: 302, location, closes: false, isHead: true, date: DATE }).toString(
        "latin1",
      );
      assert.match(text, /^[ -~\r\n]*$/);
      assert.equal(/\r\nLocation: (.*)\r\n/.exec(text)?.[1], sent);
    }
  });
});

describe("the Location with a slash behind the path", () => {
  for (const [target, location] of [
    ["/a", "/a/"],
    ["/a?b", "/a/?b"],
    ["/a?b/c?d", "/a/?b/c?d"],
    ["/a?", "/a/?"],
    ["/a//b", "/a//b/"],
    ["/a/?b", "/a/?b"],
    ["/", "/"],
    ["//", "/.//"],
    ["/%2F%2Fevil", "/%2F%2Fevil/"],
    ["/a;x=1", "/a;x=1/"],
    ["//evil", "/.//evil/"],
    ["///evil", "/.///evil/"],
    ["//evil?q", "/.//evil/?q"],
    ["/\\evil", "/./\\evil/"],
    ["/\\/evil", "/./\\/evil/"],
  ]) {
    it(`of ${target} is ${location}`, () => assert.equal(locationOf(target), location));
  }

  const characters = fc.integer({ min: 0x21, max: 0x7e }).filter((code) => code !== 0x23);
  const path = fc
    .array(fc.oneof(characters, fc.constantFrom(0x2f, 0x2f, 0x5c, 0x2e, 0x40, 0x3a)), { maxLength: 12 })
    .map((codes) => `/${String.fromCharCode(...codes).replaceAll("?", "")}`);
  const slashed = (own: string) => (own.endsWith("/") ? own : `${own}/`);
  const query = fc
    .array(characters, { maxLength: 6 })
    .map((codes) => (codes.length === 0 ? "" : `?${String.fromCharCode(...codes)}`));

  it("stays on the host that was asked, as browsers read it", () => {
    fc.assert(
      fc.property(path, query, (own, rest) => {
        const location = locationOf(own + rest);
        for (const base of ["http://fn.example/x/y", "https://fn.example:8443/"]) {
          const url = new URL(location, base);
          assert.equal(url.origin, new URL(base).origin, location);
          assert.ok(url.pathname.endsWith("/"), location);
        }
        assert.ok(!location.startsWith("//") && location.endsWith(slashed(own) + rest));
      }),
      { numRuns: 5000 },
    );
  });

  it("names the path that was asked, and nothing else", () => {
    fc.assert(
      fc.property(path, query, (own, rest) => {
        // A browser resolves `\` and dots also in the URL that it asks first.
        fc.pre(!/\\|(^|\/)(\.|%2e){1,2}(\/|$)/i.test(own));
        const asked = new URL(`http://fn.example${slashed(own)}${rest}`);
        assert.equal(new URL(locationOf(own + rest), asked).href, asked.href);
      }),
      { numRuns: 5000 },
    );
  });
});
