import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ComposedRequest, composedBytesMax, composeRequest } from "../../src/http1/compose-request.js";
import { RouteTable } from "../../src/proxy/route-table.js";
import { linesFor } from "../support/codec.js";
import { parsedRequest, routeTo } from "../support/routed-request.js";

/** What a node gets of a request whose route takes `path` away. */
function forwarded(path: string, request: string) {
  const { head, buffer } = parsedRequest(request);
  const hash = head.pathHash;
  const route = new RouteTable([routeTo("it", { path, stripsPrefix: true })]).find(head, buffer);
  assert.ok(route !== undefined);
  head.stripPath(route.stripBytes);
  assert.equal(head.pathHash, hash);
  const lines = linesFor(8081);
  const out = Buffer.alloc(composedBytesMax(head, lines), 0xee);
  const composed = new ComposedRequest();
  composeRequest(head, buffer, out, lines, "", "", composed);
  const text = out.toString("latin1", 0, composed.length);
  return {
    text,
    line: text.slice(0, text.indexOf("\r\n")),
    target: text.slice(composed.targetStart, composed.targetEnd),
    path: text.slice(composed.targetStart, composed.pathEnd),
    fields: text.slice(composed.lineEnd),
  };
}

describe("a request whose route takes its prefix away", () => {
  for (const [line, seen] of [
    ["GET /api/x HTTP/1.1", "GET /x HTTP/1.1"],
    ["GET /api HTTP/1.1", "GET / HTTP/1.1"],
    ["GET /api/ HTTP/1.1", "GET / HTTP/1.1"],
    ["GET /api?a=/b%20?c HTTP/1.1", "GET /?a=/b%20?c HTTP/1.1"],
    ["PURGE /api//x/../y HTTP/1.1", "PURGE //x/../y HTTP/1.1"],
    ["GET http://fn/api/x?q HTTP/1.1", "GET /x?q HTTP/1.1"],
    ["GET http://fn/api HTTP/1.0", "GET / HTTP/1.1"],
    ["GET /api/%2f%2E;a HTTP/1.0", "GET /%2f%2E;a HTTP/1.1"],
  ]) {
    it(`is ${seen} for ${line}`, () => {
      const { line: out, target, path, fields } = forwarded("/api", `${line}\r\nHost: fn\r\nA: b\r\n\r\n`);
      assert.equal(out, seen);
      assert.equal(target, seen.split(" ")[1]);
      assert.equal(path, target.split("?")[0]);
      assert.match(fields, /^Host: fn\r\nA: b\r\n/);
    });
  }

  it("is whole again when the parser goes on to the next", () => {
    const { head, buffer } = parsedRequest("GET /api/x HTTP/1.1\r\nHost: fn\r\n\r\n");
    const { start, end } = head;
    head.stripPath(4);
    head.parse(buffer, start, end);
    assert.equal(head.isStripped, false);
    assert.equal(buffer.toString("latin1", head.targetStart, head.targetEnd), "/api/x");
  });

  it("reaches the node with every other byte as it came", () => {
    const byte = fc.integer({ min: 0x21, max: 0x7e }).filter((code) => code !== 0x23 && code !== 0x3f);
    const text = fc.array(byte, { maxLength: 12 }).map((codes) => String.fromCharCode(...codes));
    const path = fc.tuple(text, text).map(([a, b]) => `/${a.replaceAll("/", "")}x/${b}y`);
    fc.assert(
      fc.property(path, text, text, fc.boolean(), (prefix, rest, query, isAbsolute) => {
        const target = `${prefix}/${rest}?${query}`;
        const request = (of: string) =>
          `GET ${isAbsolute ? "http://fn" : ""}${of} HTTP/1.1\r\nHost: fn\r\nAccept: */*\r\n\r\n`;
        assert.equal(forwarded(prefix, request(target)).text, forwarded("/", request(`/${rest}?${query}`)).text);
      }),
    );
  });
});
