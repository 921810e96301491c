import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseExposition, sampleValue } from "../support/exposition.js";
import { makeDirectory, runProgram } from "../support/program.js";

describe("a config file that is refused", () => {
  it("is seen by scrapers until another one is taken over", async (t) => {
    const path = `${makeDirectory(t)}/fnlb.yaml`;
    writeFileSync(path, "nodes: 127.0.0.1\n");
    const program = runProgram(t, ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", path]);
    const { address } = await program.event("admin_listening");
    await program.addresses();
    const seen = async () => {
      const families = parseExposition(await (await fetch(`http://${address}/metrics`)).text());
      return ["config_last_reload_successful", "reloads_total", "reloads_failed_total"].map((name) =>
        sampleValue(families, `fnlb_${name}`),
      );
    };
    assert.deepEqual(await seen(), [1, 0, 0]);
    for (const [text, event, after] of [
      ["nodes: [", "reload_failed", [0, 0, 1]],
      ["access-log: /nowhere/at/all\n", "reload_failed", [0, 0, 2]],
      ["nodes: 127.0.0.2\n", "reloaded", [1, 1, 2]],
    ] as const) {
      writeFileSync(path, text);
      program.signal("SIGHUP");
      await program.event(event);
      assert.deepEqual(await seen(), after, text);
    }
  });
});
