import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { runConfigWatch } from "../../src/cli/config-watch.js";
import { eventually, FakeClock } from "../support/fake-clock.js";
import { startFunctionNodes } from "../support/function-node.js";
import { makeDirectory, type Program, runProgram, runToEnd } from "../support/program.js";

const LISTEN = ["--listen", "127.0.0.1:0"];

/** Two nodes, and a program that begins with the first; `name` is where it reads its config. */
async function start(t: TestContext, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}, name = "fnlb.yaml") {
  const [a, b] = await startFunctionNodes(t, 2);
  const directory = makeDirectory(t);
  const path = `${directory}/${name}`;
  const texts = { a: `nodes: ${a.address}\n`, b: `nodes: ${b.address}\n` };
  writeFileSync(path, texts.a);
  const isByEnvironment = env.FNLB_CONFIG !== undefined;
  const program = runProgram(t, [...LISTEN, ...(isByEnvironment ? [] : ["--config", path]), ...args], {
    env: isByEnvironment ? { ...env, FNLB_CONFIG: path } : env,
  });
  const port = await program.port();
  const ask = async () => (await fetch(`http://127.0.0.1:${port}/`)).headers.get("x-node");
  assert.equal(await ask(), "a");
  return { program, ask, path, directory, texts, port, nodes: [a, b] };
}

async function endsWell(program: Program): Promise<void> {
  program.signal("SIGTERM");
  assert.equal(await program.ended(), 0);
  assert.equal(program.stderr.text, "");
}

describe("SIGHUP", () => {
  it("takes the config file over as it is now, on the listeners that are open", async (t) => {
    const { program, ask, path, texts } = await start(t);
    writeFileSync(path, texts.b);
    assert.equal(await ask(), "a");
    program.signal("SIGHUP");
    assert.deepEqual((await program.event("reloaded")).clusters, ["default"]);
    assert.equal(await ask(), "b");
    await endsWell(program);
  });

  it("leaves all as it was when the file is bad or gone, and says why", async (t) => {
    const { program, ask, path, texts } = await start(t);
    for (const [text, reason] of [
      [`${texts.b}ping-interval: never\n`, /fnlb\.yaml:2:16: option "ping-interval" must be a time .*, got "never"$/],
      [
        `${texts.b}request-header: remove Host\n`,
        /fnlb\.yaml:2:17: cluster "default": option "request-header" must be/,
      ],
      [`${texts.b}log-file: /nowhere/at/all\n`, /option "log-file" must be a file that can be written/],
      [`${texts.b}access-log: /nowhere/at/all\n`, /option "access-log" must be a file that can be written/],
      ["nodes: [", /fnlb\.yaml:1:9: /],
      [undefined, /option "config" must be a file that can be read \(ENOENT\), got ".*fnlb\.yaml"$/],
    ] as const) {
      if (text === undefined) rmSync(path);
      else writeFileSync(path, text);
      program.signal("SIGHUP");
      const { level, code, msg } = await program.event("reload_failed");
      assert.deepEqual([level, code], ["error", "ERR_OPTION"]);
      assert.match(String(msg), reason);
      assert.equal(await ask(), "a");
    }
    writeFileSync(path, texts.b);
    program.signal("SIGHUP");
    await program.event("reloaded");
    assert.equal(await ask(), "b");
    await endsWell(program);
  });

  it("does not let a file win over flags and environment, nor open what cannot be opened", async (t) => {
    const { program, ask, path, texts } = await start(t, ["--attempts", "5"], { FNLB_LOG_LEVEL: "info" });
    writeFileSync(path, `${texts.b}attempts: 0\nlisten: unix:/nowhere/at/all\nlog-level: silent\n`);
    program.signal("SIGHUP");
    await program.event("reloaded");
    assert.equal(await ask(), "b");
    writeFileSync(path, `${texts.a}proxy-listen: unix:/nowhere/at/all\n`);
    program.signal("SIGHUP");
    assert.equal((await program.event("reload_failed")).code, "ERR_LISTEN");
    assert.equal(await ask(), "b");
    await endsWell(program);
  });

  it("moves the log to another file and level", async (t) => {
    const { program, directory, path, texts } = await start(t);
    const log = `${directory}/fnlb.log`;
    writeFileSync(path, `${texts.b}log-file: ${log}\nlog-level: warn\n`);
    program.signal("SIGHUP");
    // Events that wait for the old file as it is left go to the new one.
    await eventually(() => `${program.stdout.text}${readIfThere(log)}`.includes('"reloaded"'));
    writeFileSync(path, "nodes: [\n");
    program.signal("SIGHUP");
    await eventually(() => readIfThere(log).includes("reload_failed"));
    program.signal("SIGTERM");
    assert.equal(await program.ended(), 0);
    const [, after] = readFileSync(log, "utf8").split("reload_failed");
    assert.doesNotMatch(`${after}${program.stdout.text}`, /"(?:signal|stopped)"/);
  });
});

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

describe("--watch", () => {
  it("sees a file that is written in place, and a bad one once", async (t) => {
    const { program, ask, path, texts } = await start(t, ["--watch"]);
    writeFileSync(path, "nodes: [\n");
    await program.event("reload_failed");
    assert.equal(await ask(), "a");
    writeFileSync(path, texts.b);
    await program.event("reloaded");
    assert.equal(await ask(), "b");
    assert.equal(program.events.filter(({ event }) => event === "reload_failed").length, 1);
    await endsWell(program);
  });

  it("sees a file that takes the place of another, again and again", async (t) => {
    const { program, ask, path, directory, texts } = await start(t, [], { FNLB_WATCH: "true", FNLB_CONFIG: "" });
    for (const node of ["b", "a"] as const) {
      writeFileSync(`${directory}/new`, texts[node]);
      renameSync(`${directory}/new`, path);
      await program.event("reloaded");
      assert.equal(await ask(), node);
    }
    await endsWell(program);
  });

  it("sees links that are swapped, as of a ConfigMap", async (t) => {
    const [a, b] = await startFunctionNodes(t, 2);
    const directory = makeDirectory(t);
    const write = (version: string, text: string) => {
      mkdirSync(`${directory}/${version}`);
      writeFileSync(`${directory}/${version}/fnlb.yaml`, text);
      symlinkSync(version, `${directory}/..data_tmp`);
      renameSync(`${directory}/..data_tmp`, `${directory}/..data`);
    };
    write("..1", `nodes: ${a.address}\n`);
    symlinkSync("..data/fnlb.yaml", `${directory}/fnlb.yaml`);
    const program = runProgram(t, [...LISTEN, "--watch", "--config", `${directory}/fnlb.yaml`]);
    const port = await program.port();
    write("..2", `nodes: ${b.address}\n`);
    rmSync(`${directory}/..1`, { recursive: true });
    await program.event("reloaded");
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).headers.get("x-node"), "b");
    await endsWell(program);
  });

  it("waits for a file that is missing for a while", async (t) => {
    const { program, ask, path, texts } = await start(t, ["--watch"]);
    rmSync(path);
    // A reload that is asked for meanwhile shows that the program is there, and that nothing else has happened.
    program.signal("SIGHUP");
    await program.event("reload_failed");
    assert.equal(await ask(), "a");
    writeFileSync(path, texts.b);
    await program.event("reloaded");
    assert.equal(await ask(), "b");
    await endsWell(program);
  });

  it("needs a file", async (t) => {
    for (const [args, env, reason] of [
      [["--watch"], {}, /option "watch" must be given with --config, got "no file"/],
      [[], { FNLB_WATCH: "yes" }, /option "watch" must be given with --config/],
      [[], { FNLB_WATCH: "maybe" }, /environment variable FNLB_WATCH must be true or false, got "maybe"/],
      [["--config", "/nowhere/at/all"], {}, /option "config" must be a file that can be read/],
      [["--config"], {}, /config/],
    ] as const) {
      const { code, stdout, stderr } = await runToEnd(t, [...LISTEN, ...args], { env });
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, reason);
    }
  });
});

describe("watching a config file", () => {
  /** A file, what was loaded of it last, and a watch over it that looks every second. */
  function watch(t: TestContext, text: string) {
    const clock = new FakeClock();
    const stop = new AbortController();
    const file: { text: string | undefined; loaded: string } = { text, loaded: text };
    const loads: string[] = [];
    const ended = runConfigWatch(
      {
        clock,
        read: () => file.text,
        lastTried: () => file.loaded,
        async onChange() {
          file.loaded = file.text ?? "";
          loads.push(file.loaded);
        },
      },
      { intervalMs: 1000 },
      stop.signal,
    );
    t.after(async () => {
      stop.abort();
      await ended;
      assert.equal(clock.pending, 0);
    });
    return { clock, file, loads };
  }

  it("takes no text that is still being written", async (t) => {
    const { clock, file, loads } = watch(t, "old");
    for (const text of ["n", "ne", "new"]) {
      file.text = text;
      await clock.advance(1000);
      assert.deepEqual(loads, []);
    }
    await clock.advance(1000);
    assert.deepEqual(loads, ["new"]);
    await clock.advance(5000);
    assert.deepEqual(loads, ["new"]);
  });

  it("sees what changed while the program was still starting", async (t) => {
    const { clock, file, loads } = watch(t, "old");
    file.loaded = "older";
    await clock.advance(2000);
    assert.deepEqual(loads, ["old"]);
  });

  it("does not load again what a signal has loaded already", async (t) => {
    const { clock, file, loads } = watch(t, "old");
    file.text = "new";
    file.loaded = "new";
    await clock.advance(5000);
    assert.deepEqual(loads, []);
  });

  it("ignores that the file is gone, and a text that comes back as it was", async (t) => {
    const { clock, file, loads } = watch(t, "old");
    file.text = undefined;
    await clock.advance(3000);
    file.text = "old";
    await clock.advance(3000);
    assert.deepEqual(loads, []);
    file.text = undefined;
    await clock.advance(3000);
    file.text = "new";
    await clock.advance(2000);
    assert.deepEqual(loads, ["new"]);
  });
});
