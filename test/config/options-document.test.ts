import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { environmentName, OPTION_LIST } from "../../src/config/options.js";
import { ROOT } from "../support/program.js";

describe("docs/options.md", () => {
  it("is what the table of options says", async () => {
    await promisify(execFile)(process.execPath, [join(ROOT, "docs/write-options.js"), "--check"]);
  });

  it("has every flag and variable", () => {
    const text = readFileSync(join(ROOT, "docs/options.md"), "utf8");
    for (const [name] of OPTION_LIST) {
      assert.ok(text.includes(`\`--${name}\``), name);
      assert.ok(text.includes(`\`${environmentName(name)}\``), name);
    }
  });
});
