import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf } from "../../src/health/silence-watch.js";

describe("the dial of a question that fails", () => {
  it("says that the node cannot be reached", () => {
    for (const code of ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENOENT", "ENOTFOUND"])
      assert.deepEqual(answerOf(code), { code });
  });

  it("says no more than silence does when it takes too long", () => {
    assert.equal(answerOf("ETIMEDOUT"), "silent");
  });

  it("says nothing of the node when the fault is our own", () => {
    for (const code of ["EMFILE", "ENFILE", "EADDRNOTAVAIL"]) assert.equal(answerOf(code), "unasked");
  });
});
