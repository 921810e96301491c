import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hashString } from "../../src/core/hash.js";
import { HeadResult, RequestHead } from "../../src/http1/request-head.js";
import { ResponseHead } from "../../src/http1/response-head.js";
import { DEFAULTS } from "../support/balancer.js";
import { REQUESTS, RESPONSES } from "../support/corpus.js";

const bytesOf = (text: string) => Buffer.from(text, "latin1");

/** Everything that a parser says about what it has just read, as far as it read it. */
function told(head: RequestHead | ResponseHead, result: number): unknown {
  if (result === HeadResult.MORE) return "more";
  if (result === HeadResult.REFUSED) return head instanceof RequestHead ? head.refusal : "refused";
  const { fields, ...rest } = { ...head };
  const lines = Array.from({ length: fields.count }, (_, index) => [
    fields.id[index],
    fields.drop[index],
    fields.lineStart[index],
    fields.nameEnd[index],
    fields.valueStart[index],
    fields.valueEnd[index],
    fields.lineEnd[index],
  ]);
  // `*` has no path: it is never forwarded, and nothing asks for its hash.
  const pathHash = "pathHash" in rest && !rest.isAsterisk ? rest.pathHash : undefined;
  return { ...rest, pathHash, refusal: undefined, lines };
}

describe("request head", () => {
  it("hashes the path while it is scanned as it hashes a string", () => {
    const head = new RequestHead(DEFAULTS);
    const path = fc
      .array(
        fc.integer({ min: 0x21, max: 0x7e }).filter((byte) => byte !== 0x23 && byte !== 0x3f),
        { maxLength: 64 },
      )
      .map((bytes) => `/${String.fromCharCode(...bytes)}`);
    fc.assert(
      fc.property(
        path,
        fc.constantFrom("", "?", "?a=b", "?/x?"),
        fc.constantFrom("", "http://fn"),
        (at, query, origin) => {
          const bytes = bytesOf(`GET ${origin}${at}${query} HTTP/1.1\r\nHost: fn\r\n\r\n`);
          assert.equal(head.parse(bytes, 0, bytes.length), HeadResult.DONE);
          assert.equal(head.pathHash, hashString(at));
        },
      ),
    );
  });

  it("hashes the slash that an absolute-form target leaves out", () => {
    const head = new RequestHead(DEFAULTS);
    const bytes = bytesOf("GET http://fn?a HTTP/1.1\r\nHost: fn\r\n\r\n");
    assert.equal(head.parse(bytes, 0, bytes.length), HeadResult.DONE);
    assert.equal(head.pathHash, hashString("/"));
  });

  it("is the same at any place in a buffer, but for its offsets", () => {
    const head = new RequestHead(DEFAULTS);
    for (const [name, text] of REQUESTS) {
      const result = head.parse(bytesOf(text), 0, text.length);
      const [method, end, hash] = [head.method, head.end, head.pathHash];
      assert.equal(head.parse(bytesOf(`xyz${text}GET /`), 3, 3 + text.length), result, name);
      if (result === HeadResult.DONE)
        assert.deepEqual([head.method, head.end - 3, head.pathHash], [method, end, hash], name);
    }
  });

  it("needs more of every beginning of a good head, and never reads behind the end that it was given", () => {
    const head = new RequestHead(DEFAULTS);
    for (const [name, text] of REQUESTS) {
      const bytes = bytesOf(text);
      if (head.parse(bytes, 0, bytes.length) !== HeadResult.DONE) continue;
      const { end } = head;
      for (let stop = 0; stop < end; stop++)
        assert.equal(head.parse(bytes, 0, stop), HeadResult.MORE, `${name} to ${stop}`);
    }
  });

  it("remembers nothing of the heads before", () => {
    const messages = fc.array(fc.constantFrom(...REQUESTS.map(([, text]) => text)), { minLength: 2, maxLength: 6 });
    const cut = fc.double({ min: 0.2, max: 1, noNaN: true });
    fc.assert(
      fc.property(messages, cut, (texts, share) => {
        const shared = new RequestHead(DEFAULTS);
        for (const [index, text] of texts.entries()) {
          const bytes = bytesOf(text);
          // All but the last are left at some point.
          const stop = index < texts.length - 1 ? Math.ceil(share * bytes.length) : bytes.length;
          const fresh = new RequestHead(DEFAULTS);
          assert.deepEqual(told(shared, shared.parse(bytes, 0, stop)), told(fresh, fresh.parse(bytes, 0, stop)));
        }
      }),
      { seed: 20_240_229, numRuns: 500 },
    );
  });
});

describe("response head", () => {
  it("needs more of every beginning of a good head", () => {
    const head = new ResponseHead(DEFAULTS);
    for (const [name, text] of RESPONSES) {
      const bytes = bytesOf(text);
      if (head.parse(bytes, 0, bytes.length, false) !== HeadResult.DONE) continue;
      const { end } = head;
      for (let stop = 0; stop < end; stop++) {
        assert.equal(head.parse(bytes, 0, stop, false), HeadResult.MORE, `${name} to ${stop}`);
      }
    }
  });

  it("remembers nothing of the heads before", () => {
    const messages = fc.array(fc.tuple(fc.constantFrom(...RESPONSES.map(([, text]) => text)), fc.boolean()), {
      minLength: 2,
      maxLength: 6,
    });
    fc.assert(
      fc.property(messages, (texts) => {
        const shared = new ResponseHead(DEFAULTS);
        for (const [text, isHead] of texts) {
          const bytes = bytesOf(text);
          const fresh = new ResponseHead(DEFAULTS);
          assert.deepEqual(
            told(shared, shared.parse(bytes, 0, bytes.length, isHead)),
            told(fresh, fresh.parse(bytes, 0, bytes.length, isHead)),
          );
        }
      }),
      { seed: 20_240_229, numRuns: 500 },
    );
  });
});
