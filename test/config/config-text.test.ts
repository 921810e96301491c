import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ConfigNode, parseConfigText } from "../../src/config/config-text.js";

/** The tree without places. */
function plain(node: ConfigNode): unknown {
  switch (node.kind) {
    case "map":
      return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
    case "list":
      return node.items.map(plain);
    case "text":
      return node.text;
    case "nothing":
      return null;
    default:
      return node satisfies never;
  }
}
const read = (text: string) => plain(parseConfigText(text, "f.yaml"));
const faultOf = (text: string) => {
  try {
    parseConfigText(text, "f.yaml");
  } catch (error) {
    assert.equal((error as { code: string }).code, "ERR_OPTION");
    return (error as Error).message;
  }
  return "none";
};

describe("the text of a config file", () => {
  for (const [text, value] of [
    ["", null],
    ["# nothing\n", null],
    ["---\n...\n", null],
    ["a", "a"],
    [
      "a: 010\nb: 1e3\nc: yes\nd: True\ne: 12345678901234567890\nf: .5\n",
      { a: "010", b: "1e3", c: "yes", d: "True", e: "12345678901234567890", f: ".5" },
    ],
    ["a:\nb: ~\nc: null\nd: ''\ne: \"null\"\nf: '~'\n", { a: null, b: null, c: null, d: "", e: "null", f: "~" }],
    ['{x-canary: "yes", authorization: }', { "x-canary": "yes", authorization: null }],
    ["{a, b: 1}", { a: null, b: "1" }],
    ["? a\n? b\n", { a: null, b: null }],
    ["1: a\ntrue: b\n", { "1": "a", true: "b" }],
    ["a: &x {b: 1}\nc: *x\nd: &x 2\ne: *x\n", { a: { b: "1" }, c: { b: "1" }, d: "2", e: "2" }],
    ["a: |\n  x\n  y\nb: >-\n  z\n  z\n", { a: "x\ny\n", b: "z z" }],
    ["\uFEFFa: 1\r\nb: 2\r\n", { a: "1", b: "2" }],
    ['{\n\t"a": [1, -2.5e+3, true, null, "\\u00fc\\/\\n"]\n}', { a: ["1", "-2.5e+3", "true", null, "ü/\n"] }],
    ["%YAML 1.2\n---\na: 1\n", { a: "1" }],
    ["a: 2001-01-01\nb: 1:30\nc: =\n", { a: "2001-01-01", b: "1:30", c: "=" }],
  ] as const)
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(read(text), value));

  for (const [text, fault] of [
    ['a: 1\nb:\n  c: 1\n  d: 2\n  "c": 3\n', /^f.yaml:5:3: key "c" is given twice, first in 3:3$/],
    ["a: &x {b: 1}\nc:\n  <<: *x\n", /^f.yaml:3:3: merge keys/],
    ["a: 1\n---\nb: 2\n", /^f.yaml:2:1: a second document begins here$/],
    ["%YAML 1.1\n---\na: yes\n", /^f.yaml:1:1: must be YAML 1.2, got 1.1$/],
    ["%YAML 1.3\n---\na: yes\n", /^f.yaml:1:\d+: Unsupported YAML version 1.3$/],
    ["a: !env HOME\n", /^f.yaml:1:4: /],
    ["a: !!str 5\n", /^f.yaml:1:\d+: /],
    ["a: !!binary aGk=\n", /^f.yaml:1:\d+: /],
    ["a: !!js/function x\n", /^f.yaml:1:4: /],
    ["a: !!set {b}\n", /^f.yaml:1:\d+: /],
    ["a: !!map {b: 1}\n", /^f.yaml:1:\d+: /],
    ["a: *x\n", /^f.yaml:1:4: alias \*x has no anchor before it$/],
    ["a: *x\nb: &x 1\n", /^f.yaml:1:4: alias \*x has no anchor before it$/],
    ["a: &x [*x]\n", /^f.yaml:1:8: alias \*x stands inside its own anchor$/],
    ["a: &x\n  b: [1, {c: *x}]\n", /^f.yaml:2:14: alias \*x stands inside its own anchor$/],
    ["a:\n\tb: 1\n", /^f.yaml:2:1: Tabs are not allowed/],
    ["a: [1\n", /^f.yaml:2:1: /],
    ['a: "x\n', /^f.yaml:2:1: Missing closing/],
    ["[a, b]: 1\n", /^f.yaml:1:1: a key must be a text$/],
    ["~: 1\n", /^f.yaml:1:1: a key must be a text$/],
    ["\uFEFFa: [\uFEFF\n", /^f.yaml:\d+:\d+: /],
    ["[".repeat(100_000), /^f.yaml:1:\d+: /],
    ["[".repeat(40) + "]".repeat(40), /^f.yaml:1:34: nested deeper than 32$/],
    ["- ".repeat(3000), /^f.yaml:1:\d+: /],
    ["x".repeat(1024 * 1024 + 1), /^f.yaml must be at most 1048576 characters, got 1048577$/],
    [
      [
        "a: &a [x,x,x,x,x,x,x,x,x,x]",
        ..."bcdef".split("").map((l, i) => `${l}: &${l} [${`*${"abcde"[i]},`.repeat(10)}]`),
      ].join("\n"),
      /^f.yaml:\d+:\d+: more than 200000 values/,
    ],
  ] as const)
    it(`refuses ${JSON.stringify(text.slice(0, 60))}`, () => assert.match(faultOf(text), fault));

  it("keeps keys away from prototypes", () => {
    const node = parseConfigText("__proto__: {x: 1}\n", "f");
    assert.ok(node.kind === "map" && node.entries.has("__proto__"));
    assert.equal(({} as { x?: unknown }).x, undefined);
  });

  it("reads 40,000 keys and 20,000 aliases without comparing each with all", () => {
    const node = parseConfigText(Array.from({ length: 40_000 }, (_, i) => `k${i}: 1\n`).join(""), "f");
    assert.ok(node.kind === "map" && node.entries.size === 40_000);
    assert.ok(Array.isArray((read(`a: &a 1\nb: [${"*a,".repeat(20_000)}]`) as { b: unknown[] }).b));
  });

  it("reads any JSON", () => {
    const text = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(text)
        : typeof value === "object" && value !== null
          ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, text(v)]))
          : value === null
            ? null
            : String(typeof value === "string" ? value : JSON.stringify(value));
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        for (const indent of [0, 2, "\t"])
          assert.deepEqual(read(JSON.stringify(value, null, indent)), text(JSON.parse(JSON.stringify(value))));
      }),
      { numRuns: 1000 },
    );
  });

  it("throws nothing but faults of the file, whatever the text", () => {
    const word = fc.constantFrom(
      "a",
      ": ",
      "- ",
      "\n",
      "\n  ",
      "[",
      "]",
      "{",
      "}",
      ",",
      "&x ",
      "*x ",
      "!!str ",
      "!y ",
      '"',
      "'",
      "|",
      ">",
      "---\n",
      "...\n",
      "%YAML 1.1\n",
      "? ",
      "#",
      "<<: ",
      "\t",
      "\uFEFF",
      "\0",
      "~",
      "1",
    );
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 30 }).map((w) => w.join("")),
        (text) => {
          faultOf(text);
        },
      ),
      { numRuns: 5000 },
    );
  });
});
