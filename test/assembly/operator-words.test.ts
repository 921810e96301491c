import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorWords } from "../../src/assembly/operator-words.js";
import { nodesOf } from "../core/small-cluster.js";

describe("the operator's words on nodes that are gone", () => {
  it("are kept for the ten thousand that went last", () => {
    const words = new OperatorWords();
    const nodes = nodesOf(Array.from({ length: 10_001 }, (_, index) => `n${index}`));
    for (const node of nodes) node.mode = "draining";
    for (const node of nodes.slice(0, -1)) words.keep(node);
    // It was here again, and went once more.
    words.keep(nodes[0]);
    words.keep(nodes[10_000]);
    assert.deepEqual(
      [0, 1, 2, 10_000].map((index) => words.modeOf(`n${index}`)),
      ["draining", "active", "draining", "draining"],
    );
  });

  it("are not kept for those that were active", () => {
    const words = new OperatorWords();
    const [node] = nodesOf(["a"]);
    node.mode = "disabled";
    words.keep(node);
    words.forget(node);
    node.mode = "active";
    words.keep(node);
    assert.equal(words.modeOf("a"), "active");
  });
});
