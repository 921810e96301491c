import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { startAdminStub, stubCluster, stubNode, stubState } from "../support/admin-stub.js";
import { environment, makeDirectory, PROGRAM, runToEnd } from "../support/program.js";

const NODES = ["10.0.0.1:8080", "10.0.0.2:8080", "[::1]:8080", "unix:/run/fn.sock"];

/** A directory with `fnlb` in it and the script for a shell, and a stub to ask. */
async function completing(t: TestContext, shell: string) {
  const directory = makeDirectory(t);
  const { code, stdout, stderr } = await runToEnd(t, ["completion", shell]);
  assert.equal(code, 0, stderr);
  const script = `${directory}/completion`;
  writeFileSync(script, stdout);
  mkdirSync(`${directory}/bin`);
  symlinkSync(PROGRAM, `${directory}/bin/fnlb`);
  writeFileSync(`${directory}/fnlb.yaml`, "");
  const nodes = [...NODES, "$(touch pwned)"].map((id) => stubNode(id));
  const stub = await startAdminStub(t, stubState({ clusters: [stubCluster("api"), stubCluster("site")] }, nodes));
  const env = {
    ...environment(),
    HOME: directory,
    PATH: `${directory}/bin:${process.env.PATH}`,
    FNLB_ADMIN: stub.address,
  };
  const run = async (program: string, args: readonly string[]) => {
    const { stdout } = await promisify(execFile)(program, args, { cwd: directory, env });
    return stdout.split("\n").filter(Boolean).sort();
  };
  return { directory, script, stub, run };
}

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

/** Cursor at the end of each line; what bash offers is what stands behind the last colon or equals sign. */
const LINES: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ["fnlb stat", ["status"]],
  ["fnlb nodes dr", ["drain"]],
  ["fnlb nodes ", ["add", "disable", "drain", "enable", "forget", "mark-alive", "remove", "reset", "weight"]],
  ["fnlb nodes drain --no", ["--no-wait"]],
  ["fnlb nodes drain 10.", ["10.0.0.1:8080", "10.0.0.2:8080"]],
  ["fnlb nodes drain --cluster ", ["api", "site"]],
  ["fnlb nodes add --mode d", ["disabled", "draining"]],
  ["fnlb listeners pause ", ["0.0.0.0:8081"]],
  ["fnlb log-level e", ["error"]],
  ["fnlb completion ", ["bash", "fish", "zsh"]],
  ["fnlb --policy r", ["random", "rendezvous", "ring-hash"]],
  ["fnlb --config fn", ["fnlb.yaml"]],
  ["fnlb check fn", ["fnlb.yaml"]],
  ["fnlb route --metho", ["--method"]],
];

describe("completion in bash", () => {
  const bash = String.raw`source "$1"
COMP_LINE="$2"
COMP_POINT=$${"{#COMP_LINE}"}
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
_fnlb
printf "%s\n" "$${"{COMPREPLY[@]}"}"`;

  it("knows commands, options, values and files, and asks for names", {
    skip: !has("bash") && "no bash",
  }, async (t) => {
    const { script, run } = await completing(t, "bash");
    for (const [line, offered] of LINES)
      assert.deepEqual(await run("bash", ["-c", bash, "bash", script, line]), offered, line);
  });

  it("gives what stands behind a colon or an equals sign, as readline has it", {
    skip: !has("bash") && "no bash",
  }, async (t) => {
    const { script, run } = await completing(t, "bash");
    for (const [line, offered] of [
      ["fnlb nodes drain 10.0.0.1:80", ["8080"]],
      ["fnlb nodes drain unix:", ["/run/fn.sock"]],
      ["fnlb nodes drain [::", ["1]:8080"]],
      ["fnlb nodes --cluster=a", ["api"]],
      ["fnlb --policy=ma", ["maglev"]],
    ] as const)
      assert.deepEqual(await run("bash", ["-c", bash, "bash", script, line]), offered, line);
  });

  it("offers nothing and says nothing when nobody answers", { skip: !has("bash") && "no bash" }, async (t) => {
    const { script, stub, run } = await completing(t, "bash");
    await stub.stop();
    assert.deepEqual(await run("bash", ["-c", `${bash} 2>&1`, "bash", script, "fnlb nodes drain 1"]), []);
    stub.answer = () => ({ status: 401, body: {} });
    await stub.start();
    assert.deepEqual(await run("bash", ["-c", `${bash} 2>&1`, "bash", script, "fnlb nodes drain 1"]), []);
  });
});

describe("completion in fish", () => {
  it("knows commands, options, values and files, and asks for names", {
    skip: !has("fish") && "no fish",
  }, async (t) => {
    const { script, run } = await completing(t, "fish");
    for (const [line, offered] of LINES)
      assert.deepEqual(
        await run("fish", ["-c", 'source $argv[1]; complete -C "$argv[2]"', script, line]),
        offered,
        line,
      );
  });
});

describe("completion in zsh", () => {
  /** Stands in for the completion system, which wants a terminal: candidates that fit are printed. */
  const zsh = `
compdef() { }
compset() { lead="\${PREFIX%%=*}="; PREFIX="\${PREFIX#*=}" }
compadd() { local word; for word in "\${(@P)2}"; do [[ $word == "$PREFIX"* ]] && print -r -- "$word"; done; true }
_files() { print -rl -- $PREFIX*(N) }
source "$1"
words=("\${(@s: :)2}"); CURRENT=$#words; PREFIX=$words[CURRENT]
_fnlb`;

  it("knows commands, options, values and files, and asks for names", { skip: !has("zsh") && "no zsh" }, async (t) => {
    const { script, run } = await completing(t, "zsh");
    for (const [line, offered] of LINES)
      assert.deepEqual(await run("zsh", ["-fc", zsh, "zsh", script, line]), offered, line);
  });
});

describe("scripts for shells", () => {
  it("are sound as their shells read them, and in all shells about the same commands and options", async (t) => {
    const texts = await Promise.all(
      ["bash", "zsh", "fish"].map(async (shell) => (await runToEnd(t, ["completion", shell])).stdout),
    );
    const wordsOf = (text: string) => new Set(text.match(/--[a-z][a-z-]+/g));
    const [inBash, inZsh, inFish] = texts.map(wordsOf);
    const ours = (words: Set<string>) => [...words].filter((word) => inBash.has(word)).sort();
    assert.deepEqual(ours(inZsh), [...inBash].sort());
    assert.deepEqual(ours(inFish), [...inBash].sort());
    // Every block that is opened is closed, whichever shells are here.
    const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
    for (const text of texts.slice(0, 2)) assert.equal(count(text, /\bcase "?\$/g), count(text, /^ +esac$|\besac$/gm));
    assert.equal(count(texts[2], /^ *(?:function|switch|if|for) /gm), count(texts[2], /^ *end$/gm));
  });

  it("name no candidate that a shell would expand", async (t) => {
    const nodes = ["a:1", "$(reboot)", "b;c", "d e", "`f`"].map((id) => stubNode(id));
    const stub = await startAdminStub(t, stubState({}, nodes));
    const asked = await runToEnd(t, ["__complete", "nodes", "nodes", "drain", "--admin", stub.address]);
    assert.deepEqual(asked, { code: 0, stdout: "a:1\n", stderr: "" });
    const server = `--server=http://${stub.address}`;
    assert.equal((await runToEnd(t, ["__complete", "nodes", server])).stdout, "a:1\n");
    assert.deepEqual(await runToEnd(t, ["__complete", "nonsense"]), { code: 0, stdout: "", stderr: "" });
  });
});
