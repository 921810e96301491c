import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { promisify } from "node:util";
import * as library from "../../src/index.js";
import { ROOT } from "../support/program.js";

const PAGE = readFileSync(join(ROOT, "docs/library.md"), "utf8");
const EXAMPLES = [...PAGE.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
const EXAMPLE_MS_MAX = 20_000;

/** What an example imports from the package. */
function importsOf(code: string): string[] {
  const names = /^import \{([^}]*)\} from "fnlb";$/m.exec(code)?.[1] ?? "";
  return names.split(",").flatMap((name) => name.trim() || []);
}

describe("docs/library.md", () => {
  // Inside the package, so that its name leads to itself, as it leads to it from where it is installed.
  mkdirSync(join(ROOT, "build"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, "build/library-"));
  after(() => rmSync(folder, { recursive: true }));

  for (const [index, code] of EXAMPLES.entries()) {
    it(`runs example ${index + 1}: ${importsOf(code).join(", ")}`, async () => {
      const file = join(folder, `example-${index + 1}.mjs`);
      writeFileSync(file, code);
      await promisify(execFile)(process.execPath, [file], { cwd: folder, timeout: EXAMPLE_MS_MAX });
    });
  }

  it("has an example for every export that is not a type", () => {
    const shown = new Set(EXAMPLES.flatMap(importsOf));
    assert.deepEqual(
      Object.keys(library).filter((name) => !shown.has(name)),
      [],
    );
  });

  it("uses what it imports", () => {
    for (const code of EXAMPLES) {
      for (const name of importsOf(code)) assert.ok(code.split(new RegExp(`\\b${name}\\b`)).length > 2, name);
    }
  });
});
