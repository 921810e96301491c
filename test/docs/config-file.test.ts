import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { parseConfigFile } from "../../src/config/config-file.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { schemaFaults } from "../support/config-schema.js";
import { makeDirectory, ROOT, runToEnd } from "../support/program.js";

/** What stands between fences, and in what language. */
function blocksOf(page: string): { readonly language: string; readonly text: string; readonly line: number }[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1],
    text: match[2],
    line: text.slice(0, match.index).split("\n").length,
  }));
}

const PAGE = "docs/config-file.md";
const BLOCKS = blocksOf(PAGE);
const CONSOLES = BLOCKS.filter(({ language }) => language === "console");
/** The file that the first console complains about. */
const BAD = BLOCKS[BLOCKS.indexOf(CONSOLES[0]) - 1];

/** Lines that a console shows, without the parts that are left out. */
const shownIn = (text: string) =>
  text
    .split("\n")
    .slice(1)
    .filter((line) => line !== "" && line !== "...");

describe("the page on the config file", () => {
  for (const block of BLOCKS.filter(({ language }) => language !== "console"))
    it(`has an example in line ${block.line} that ${block === BAD ? "is refused" : "the program and the schema take"}`, () => {
      const resolve = () => resolveConfig({ file: parseConfigFile(block.text, "fnlb.yaml") });
      const faults = schemaFaults(block.language === "json" ? JSON.parse(block.text) : parse(block.text));
      if (block === BAD) {
        assert.throws(resolve, { code: "ERR_OPTION" });
        assert.notDeepEqual(faults, []);
      } else {
        resolve();
        assert.deepEqual(faults, []);
      }
    });

  it("shows what fnlb check says", async (t) => {
    const cwd = makeDirectory(t);
    writeFileSync(join(cwd, "fnlb.yaml"), BAD.text);
    const { code, stdout, stderr } = await runToEnd(t, ["check", "fnlb.yaml"], { cwd });
    assert.deepEqual([code, stdout], [2, ""]);
    assert.deepEqual(stderr.trimEnd().split("\n"), shownIn(CONSOLES[0].text));
  });

  it("shows what fnlb check --print says", async (t) => {
    const cwd = makeDirectory(t);
    writeFileSync(join(cwd, "fnlb.yaml"), BAD.text.replace("5 sec", "5s"));
    const env = { FNLB_ATTEMPTS: "2" };
    const { code, stdout } = await runToEnd(t, ["check", "fnlb.yaml", "--print", "--queue", "100"], { cwd, env });
    assert.equal(code, 0);
    const lines = stdout.split("\n");
    const places = shownIn(CONSOLES[1].text).map((line) => lines.indexOf(line));
    assert.ok(
      places.every((place, index) => place > (places[index - 1] ?? -1)),
      `${places}`,
    );
  });

  it("leads to pages that exist", () => {
    for (const [, link] of readFileSync(join(ROOT, PAGE), "utf8").matchAll(/\]\(([^)#]+)/g)) {
      assert.ok(existsSync(join(ROOT, "docs", link)), link);
    }
  });
});

describe("the page on routes", () => {
  for (const { text, line } of blocksOf("docs/routes.md").filter(({ language }) => language === "yaml"))
    it(`has an example in line ${line} that the program and the schema take`, () => {
      const names = new Set([...text.matchAll(/cluster: ([\w-]+)/g)].map(([, name]) => name));
      const clusters = [...names].map((name) => `  ${name}: {nodes: a}\n`).join("");
      const whole = `clusters:\n${clusters}${text}`;
      assert.ok(resolveConfig({ file: parseConfigFile(whole, "routes.md") }).routes.length > 1);
      assert.deepEqual(schemaFaults(parse(whole)), []);
    });
});
