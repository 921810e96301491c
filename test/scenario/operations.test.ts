import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NodeChange } from "../../src/core/registry.js";
import { localNode, startBalancer, type TestBalancer } from "../support/balancer.js";
import { type FunctionNode, startFunctionNodes } from "../support/function-node.js";

const idOf = ({ port }: Pick<FunctionNode, "port">) => `127.0.0.1:${port}`;

/** What everybody may see of the nodes, as id, weight and mode. */
function nodesOf({ balancer }: Pick<TestBalancer, "balancer">): unknown[] {
  return balancer.snapshot().nodes.map(({ id, weight, mode }) => [id, weight, mode]);
}

describe("an edit of a node", () => {
  it("shows in the snapshot as soon as it is made, and says whether it changed anything (FB5, FB6)", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const started = await startBalancer(t, { nodes: [localNode(a.port, 2)] });
    const { balancer } = started;
    const steps: readonly (readonly [NodeChange, string, unknown[]])[] = [
      [
        { id: idOf(b), presence: "added" },
        "applied",
        [
          [idOf(a), 2, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(b), presence: "added" },
        "unchanged",
        [
          [idOf(a), 2, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(a), weight: 2 },
        "unchanged",
        [
          [idOf(a), 2, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(a), weight: 3 },
        "applied",
        [
          [idOf(a), 3, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(a), weight: null },
        "applied",
        [
          [idOf(a), 2, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(a), mode: "draining" },
        "applied",
        [
          [idOf(a), 2, "draining"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(a), mode: "active" },
        "applied",
        [
          [idOf(a), 2, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [
        { id: idOf(a), mode: "active" },
        "unchanged",
        [
          [idOf(a), 2, "active"],
          [idOf(b), 1, "active"],
        ],
      ],
      [{ id: idOf(b), presence: "removed" }, "applied", [[idOf(a), 2, "active"]]],
      [{ id: idOf(b), presence: "removed" }, "unchanged", [[idOf(a), 2, "active"]]],
    ];
    for (const [change, result, nodes] of steps) {
      assert.equal(await balancer.editNode("default", change), result, JSON.stringify(change));
      assert.deepEqual(nodesOf(started), nodes);
    }
  });
});
