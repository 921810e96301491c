import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseNodeList } from "../../src/discovery/node-list.js";
import { orderedNodes } from "../../src/discovery/ordered-nodes.js";

function idsOf(text: string): readonly string[] {
  const nodes = parseNodeList(text);
  assert.ok(!("reason" in nodes), JSON.stringify(nodes));
  return nodes.map(({ id, weight }) => (weight === 1 ? id : `${id}=${weight}`));
}

function reasonOf(text: string): string {
  const nodes = parseNodeList(text);
  assert.ok("reason" in nodes, JSON.stringify(nodes));
  return nodes.reason;
}

describe("a file of nodes", () => {
  it("has a node on each line, or several with commas", () => {
    assert.deepEqual(idsOf("10.0.0.1\n10.0.0.2:9000=2, fn.example\r\n\n  [::1]:8080  \n"), [
      "10.0.0.1:8080",
      "10.0.0.2:9000=2",
      "fn.example:8080",
      "[::1]:8080",
    ]);
  });

  it("has comments at the start of a line and behind a blank, and no others", () => {
    assert.deepEqual(idsOf("# all of them\na # the first\n\t# none\nunix:/run/a#1.sock\n"), [
      "a:8080",
      "unix:/run/a#1.sock",
    ]);
  });

  it("may be a JSON array of texts", () => {
    assert.deepEqual(idsOf('\n [ "a", "b:9000=2" ]\n'), ["a:8080", "b:9000=2"]);
    assert.deepEqual(idsOf("[]"), []);
    assert.deepEqual(idsOf("[\n]"), []);
  });

  it("is not taken for JSON when it begins with an IPv6 address", () => {
    assert.deepEqual(idsOf("[::1]:8080\n[fe80::1]:8080"), ["[::1]:8080", "[fe80::1]:8080"]);
  });

  it("may begin with the mark of UTF-8, and may be empty", () => {
    assert.deepEqual(idsOf("\uFEFFa"), ["a:8080"]);
    assert.deepEqual(idsOf('\uFEFF["a"]'), ["a:8080"]);
    assert.deepEqual(idsOf(""), []);
    assert.deepEqual(idsOf("# nobody\n"), []);
  });

  it("is refused as a whole, with the place of what is wrong", () => {
    assert.match(reasonOf("a\n\nb:0\n"), /^line 3 has "b:0", whose port is not a number/);
    assert.match(reasonOf("a\nb,\n"), /^line 2 has an empty item$/);
    assert.match(reasonOf('["a", 5]'), /^item 2 is no text$/);
    assert.match(reasonOf('["a", ""]'), /^item 2 has an empty item$/);
    assert.match(reasonOf('["a", "b=x"]'), /^item 2 has "b=x", whose weight/);
    assert.match(reasonOf('["a", "b"'), /^is no JSON array: /);
    assert.match(reasonOf("a\nftp://b\n"), /^line 2 has "ftp:\/\/b", whose scheme/);
  });

  it("never throws, whatever it is", () => {
    const lines = fc.array(fc.oneof(fc.string(), fc.constantFrom("a", "[::1]:80", '["a"]', "#", "b=2", "[", "]", ",")));
    fc.assert(
      fc.property(lines, fc.constantFrom("\n", "\r\n", ",", ""), (items, separator) => {
        const nodes = parseNodeList(items.join(separator));
        assert.ok("reason" in nodes || nodes.every(({ id }) => id !== ""));
      }),
    );
  });
});

describe("the order of nodes", () => {
  const list = fc.array(
    fc.record({ name: fc.constantFrom("a", "B", "10.0.0.1", "10.0.0.10", "10.0.0.2:80", "[::1]"), weight: fc.nat(3) }),
  );

  it("is the same for each order of an answer, and each node is there once", () => {
    fc.assert(
      fc.property(list, fc.nat(), (items, turn) => {
        const read = (some: typeof items) => {
          const nodes = parseNodeList(some.map(({ name, weight }) => `${name}=${weight}`).join("\n"));
          assert.ok(!("reason" in nodes));
          return orderedNodes(nodes);
        };
        const ordered = read(items);
        const at = items.length === 0 ? 0 : turn % items.length;
        assert.deepEqual(read([...items.slice(at), ...items.slice(0, at)]), ordered);
        assert.deepEqual(read([...items].reverse()), ordered);
        assert.equal(new Set(ordered.map(({ id }) => id)).size, ordered.length);
        assert.equal(new Set(items.map(({ name }) => name)).size, ordered.length);
      }),
    );
  });
});
