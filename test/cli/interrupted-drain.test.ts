import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startAdminStub, stubNode } from "../support/admin-stub.js";
import { runProgram } from "../support/program.js";

describe("a drain that somebody stops waiting for", () => {
  it("says that the nodes go on draining, removes none of them, and fails", async (t) => {
    const stub = await startAdminStub(t);
    stub.answer = ({ method, path }) => {
      if (method === "PATCH") return { body: { result: "applied" } };
      return path.includes("/nodes/") ? { body: stubNode("a:8080", { inFlight: 2 }) } : undefined;
    };
    const program = runProgram(t, ["nodes", "remove", "--drain", "a", "b", "--admin", stub.address]);
    await program.stdout.untilText("a:8080: draining, 2 in flight\n");
    program.signal("SIGINT");
    assert.equal(await program.ended(), 1);
    assert.equal(
      program.stderr.text,
      "no longer waiting for node a:8080: 2 exchanges in flight, and it goes on draining\n" +
        "no longer waiting for node b:8080: it goes on draining\n",
    );
    assert.ok(stub.calls.every(({ method }) => method !== "DELETE"));
  });
});
