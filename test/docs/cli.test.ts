import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { COMMANDS } from "../../src/cli/remote/commands.js";
import { runCommand } from "../support/commands.js";
import { makeDirectory, ROOT, runProgram } from "../support/program.js";

const PAGE = readFileSync(join(ROOT, "docs/cli.md"), "utf8");
const CONFIG = /^```yaml\n([\s\S]*?)^```$/m.exec(PAGE)?.[1] ?? "";

/** Commands with what they print, in the order of the page. */
const EXAMPLES = [...PAGE.matchAll(/^```console\n([\s\S]*?)^```$/gm)].flatMap(([, block]) =>
  block
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const [line, ...output] = text.split("\n");
      return { line, output: output.join("\n") };
    }),
);

/** Figures differ from run to run, and columns with them; names, states and words do not. */
function withoutFigures(text: string): string {
  return text
    .replaceAll(/\bup [\dhms ]+,/g, "up #,")
    .replaceAll(/(?<![\d.:/=])\d+(?:\.\d+)*(?: (?:µs|ms|s)\b)?(?!\d|[.:]\S)/g, "#")
    .replaceAll(/(?<= )-(?= |$)/gm, "#")
    .replaceAll(/(connection|exchange|tunnel|request)s?(?=,|$)/gm, "$1s")
    .replaceAll(/ +/g, " ");
}

describe("docs/cli.md", () => {
  it("shows what its commands print", async (t) => {
    const directory = makeDirectory(t);
    const file = `${directory}/fnlb.yaml`;
    writeFileSync(file, CONFIG);
    const admin = `unix:${directory}/admin.sock`;
    const program = runProgram(t, ["--config", file, "--listen", "127.0.0.1:0", "--admin", admin]);
    const [address] = await program.addresses();
    assert.ok(EXAMPLES.length > 15);
    for (const { line, output } of EXAMPLES) {
      const args = line
        .split(" ")
        .slice(1)
        .map((word) => word.replace(/^'(.*)'$/, "$1"))
        .map((word) => (word === ":8081" ? address : word === "fnlb.yaml" ? file : word));
      const { code, stdout, stderr } = await runCommand(args, { FNLB_ADMIN: admin });
      assert.deepEqual([code, stderr], [0, ""], line);
      const printed = Buffer.from(stdout, "latin1")
        .toString()
        .replaceAll(address, "0.0.0.0:8081")
        .replace("plain sockets", "fast sockets");
      // What is cut on the page is what the page says up to there.
      const shown = output.endsWith("…\n") ? output.slice(0, -2) : output;
      const got = shown === output ? printed : printed.slice(0, shown.length);
      assert.equal(withoutFigures(got), withoutFigures(shown), line);
    }
  });

  it("has an example of every command", () => {
    const lines = [...EXAMPLES.map(({ line }) => line), ...PAGE.split("\n")];
    for (const { words } of COMMANDS) {
      const command = `fnlb ${words.join(" ")}`;
      assert.ok(
        lines.some((line) => line.includes(command)),
        command,
      );
    }
  });
});
