import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { describe, it } from "node:test";
import { PROGRAM } from "../support/program.js";

const FULL = "/dev/full";

describe("a command whose answer cannot be written", () => {
  it("says so and fails: a script must not take half a file for the whole", { skip: !existsSync(FULL) }, () => {
    const full = openSync(FULL, "w");
    try {
      for (const args of [["--version"], ["route", "/x", "--nodes", "a,b", "--json"]]) {
        const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
          stdio: ["ignore", full, "pipe"],
          encoding: "utf8",
        });
        assert.deepEqual([status, stderr], [1, "could not write to standard output (ENOSPC)\n"], args.join(" "));
      }
    } finally {
      closeSync(full);
    }
  });
});
