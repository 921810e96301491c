import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { stopWith } from "../../src/core/stop.js";

describe("a stop", () => {
  it("is pulled by itself and by its parent, and the parent holds nothing of one that is over", () => {
    const parent = new AbortController();
    const held = () => getEventListeners(parent.signal, "abort").length;
    const [own, others, over] = [stopWith(parent.signal), stopWith(parent.signal), stopWith(parent.signal)];
    assert.equal(held(), 3);
    own.abort();
    over.release();
    over.release();
    assert.deepEqual([own.signal.aborted, others.signal.aborted, over.signal.aborted, held()], [true, false, false, 1]);
    parent.abort();
    assert.deepEqual([others.signal.aborted, over.signal.aborted], [true, false]);
    assert.ok(stopWith(parent.signal).signal.aborted);
  });
});
