import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { HTTP_STATUS } from "../../src/errors.js";

const SOURCES = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(`src/${name}`, "utf8"));

describe("documentation", () => {
  it("names every event of the log", () => {
    const page = readFileSync("docs/operations.md", "utf8");
    const events = new Set(SOURCES.flatMap((text) => [...text.matchAll(/event: "(\w+)"/g)].map(([, name]) => name)));
    assert.ok(events.size > 10);
    assert.deepEqual(
      [...events].filter((name) => !page.includes(`\`${name}\``)),
      [],
    );
  });

  it("names every code with its status", () => {
    const page = readFileSync("docs/errors.md", "utf8");
    for (const [code, status] of Object.entries(HTTP_STATUS)) {
      assert.ok(status === 0 ? page.includes(`\`${code}\``) : page.includes(`| ${status} | \`${code}\` |`), code);
    }
  });

  it("leads to pages that exist", () => {
    for (const page of [
      "README.md",
      "docs/operations.md",
      "docs/errors.md",
      "docs/admin-api.md",
      "docs/library.md",
      "docs/replicas.md",
      "docs/metrics.md",
      "docs/architecture.md",
      "docs/discovery.md",
      "docs/docker.md",
      "docs/cli.md",
      "docs/decisions/README.md",
      "bench/README.md",
    ]) {
      const folder = page.includes("/") ? page.slice(0, page.lastIndexOf("/") + 1) : "";
      for (const [, link] of readFileSync(page, "utf8").matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
        assert.ok(existsSync(`${folder}${link}`), `${page}: ${link}`);
      }
    }
  });
});
