import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { OptionRow } from "../../src/config/option-row.js";
import { isOption, OPTIONS, type OptionName } from "../../src/config/options.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { Counters } from "../../src/core/counters.js";
import { HTTP_STATUS } from "../../src/errors.js";

const PAGES = ["protection", "health-checks"].map((name) => readFileSync(`docs/${name}.md`, "utf8"));
const TEXT = PAGES.join("\n");

/** The options of a command line as the program takes them. */
function optionsOf(line: string): Record<string, string> {
  const options: Record<string, string> = {};
  for (const [, name, value] of line.matchAll(/--([a-z-]+) ([^\s`]+)/g)) options[name] = value;
  return options;
}

describe("the pages on protection and health checks", () => {
  it("show command lines that the program takes", () => {
    const lines = [...TEXT.matchAll(/^fnlb (--.*?)(?:\s+#.*)?$/gm)].map(([, line]) => line);
    assert.ok(lines.length >= 4);
    lines.push(...[...TEXT.matchAll(/`(--check-path [^`]+)`/g)].map(([, line]) => line));
    for (const line of lines) {
      const options = optionsOf(line);
      assert.ok(Object.keys(options).length > 0, line);
      resolveConfig({ options });
    }
  });

  it("are right about defaults", () => {
    let rows = 0;
    // Their last table has rows of another kind.
    const described = TEXT.replace(/^## What to watch$[\s\S]*?(?=^## )/m, "");
    for (const [, name, cell] of described.matchAll(/^\| `--([a-z-]+)` \| ([^|]+) \|/gm)) {
      assert.ok(isOption(name), name);
      const row: OptionRow = OPTIONS[name as OptionName];
      const said = cell.replaceAll("`", "").trim();
      if (/^(?:off|0 \(off\))$/.test(said)) assert.match(row.default, /^0?$/, name);
      else if (name === "check-host") assert.equal(row.default, "");
      else
        assert.deepEqual(
          row.read({ texts: [said], source: name }),
          row.read({ texts: [row.default], source: name }),
          name,
        );
      rows++;
    }
    assert.ok(rows > 25, `${rows}`);
  });

  it("leave no option of theirs out, and invent none", () => {
    for (const [name, { group }] of Object.entries(OPTIONS)) {
      const isTheirs = group === "Protection" || group === "Retries" || /^(?:check|queue)/.test(name);
      if (isTheirs) assert.ok(TEXT.includes(`\`--${name}\``), name);
    }
    for (const [, name] of TEXT.matchAll(/--([a-z]+(?:-[a-z]+)*)/g)) assert.ok(isOption(name), name);
  });

  it("name statuses, counters and events that there are", () => {
    for (const [, status, code] of TEXT.matchAll(/\b(\d{3}) `(ERR_\w+)`/g)) {
      assert.equal(HTTP_STATUS[code as keyof typeof HTTP_STATUS], Number(status), code);
    }
    const [, watched] = TEXT.split("## What to watch");
    const [table] = watched.split("\n## ");
    const operations = readFileSync("docs/operations.md", "utf8");
    const counters = new Set(Object.keys(new Counters()));
    const names = [...table.matchAll(/`([a-z]\w+)`/gi)].map(([, name]) => name);
    assert.ok(names.length > 20);
    for (const name of names) {
      assert.ok(name.includes("_") ? operations.includes(`\`${name}\``) : counters.has(name), name);
    }
  });

  it("lead to pages that exist", () => {
    for (const [, link] of TEXT.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) assert.ok(existsSync(`docs/${link}`), link);
  });
});
