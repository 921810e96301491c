import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { request } from "undici";
import { openDispatcher } from "../support/dispatcher.js";
import { freeze } from "../support/freeze.js";
import { startFunctionNodes } from "../support/function-node.js";

describe("a program that does not come to its connections for longer than a dial may take", () => {
  it("holds that against no node", async (t) => {
    const nodes = await startFunctionNodes(t, 3);
    const { dispatcher, events } = openDispatcher(t, nodes, { connectTimeoutMs: 20, attemptsMax: 1 });
    const asked = request("http://functions.example/f", { dispatcher });
    freeze(60);
    const { statusCode, body } = await asked;
    assert.equal(statusCode, 200);
    await body.dump();
    assert.deepEqual(events, []);
  });
});
