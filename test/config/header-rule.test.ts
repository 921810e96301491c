import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseHeaderRule } from "../../src/config/header-rule.js";

describe("a header rule as text", () => {
  for (const [text, action, name, value] of [
    ["set X-Env: prod", "set", "X-Env", "prod"],
    ["add Vary:Cookie", "add", "Vary", "Cookie"],
    ["remove Server", "remove", "Server", ""],
    ["  set\tX:", "set", "X", ""],
    ["set X-Url: http://h:80/?a=b", "set", "X-Url", "http://h:80/?a=b"],
    ["set X:  two  words \t", "set", "X", "two  words"],
    ["set X: remove Y", "set", "X", "remove Y"],
    ["set remove: add", "set", "remove", "add"],
    ["  remove   X-A  ", "remove", "X-A", ""],
    ["set X: {client} {{", "set", "X", "{client} {{"],
    // Judged where rules are compiled, with a message that says why.
    ["set X: a\nb", "set", "X", "a\nb"],
    ["set X(Y: a", "set", "X(Y", "a"],
  ]) {
    it(JSON.stringify(text), () => assert.deepEqual(parseHeaderRule(text), { action, name, value }));
  }

  for (const text of [
    "",
    "set",
    "set X",
    "set : a",
    "set X : a",
    "set X Y: a",
    "SET X: a",
    "unset X",
    "remove",
    "remove X: a",
    "remove X:",
    "remove X Y",
    "X: a",
    "setX: a",
    "removeX",
    "set\nX: a",
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.equal(parseHeaderRule(text), undefined);
    });
  }

  it("comes back from its own text", () => {
    const name = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}$/);
    const value = fc.string().filter((text) => !/^[ \t]|[ \t]$/.test(text));
    fc.assert(
      fc.property(fc.constantFrom("set" as const, "add" as const), name, value, (action, field, text) => {
        assert.deepEqual(parseHeaderRule(`${action} ${field}: ${text}`), { action, name: field, value: text });
        assert.deepEqual(parseHeaderRule(`remove ${field}`), { action: "remove", name: field, value: "" });
      }),
    );
  });
});
