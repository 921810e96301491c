import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { startFunctionNode } from "../support/function-node.js";
import { environment, makeDirectory, ROOT, runProgram } from "../support/program.js";

const run = promisify(execFile);

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Packs what was built; not again with `prepare`, which would write dist/ under the feet of other tests. */
async function pack(destination: string): Promise<Packed> {
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", destination], {
    cwd: ROOT,
    env: environment(),
  });
  const answer = JSON.parse(stdout) as readonly Packed[] | Readonly<Record<string, Packed>>;
  const [packed] = Object.values(answer);
  return packed;
}

/**
 * Puts the package into an empty project as npm would, without a network: what it declares as dependencies is
 * linked from here, and nothing else can be found from there.
 */
async function install(t: TestContext): Promise<string> {
  const directory = makeDirectory(t);
  const { filename } = await pack(directory);
  const modules = join(directory, "node_modules");
  const home = join(modules, "fnlb");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  mkdirSync(home);
  await run("tar", ["-xzf", join(directory, filename), "-C", home, "--strip-components=1"]);
  const { dependencies } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as Manifest;
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  symlinkSync("../fnlb/bin/fnlb.js", join(modules, ".bin/fnlb"));
  writeFileSync(join(directory, "package.json"), '{ "private": true, "type": "module" }\n');
  return directory;
}

describe("the package", () => {
  it("has what runs and what explains it, and no sources or tests", async (t) => {
    const { files } = await pack(makeDirectory(t));
    const paths = files.map(({ path }) => path);
    for (const path of ["bin/fnlb.js", "dist/cli/main.js", "dist/cli/demo-node.js", "dist/index.d.ts", "package.json"])
      assert.ok(paths.includes(path), path);
    for (const path of ["dashboard/index.html", "dashboard/dashboard.js", "dashboard/dashboard.css"])
      assert.ok(paths.includes(path), path);
    for (const path of ["README.md", "docs/options.md", "docker/Dockerfile", "docker/compose.yaml"])
      assert.ok(paths.includes(path), path);
    assert.deepEqual(
      paths.filter((path) => /^(src|test|bench|build|node_modules|coverage)\//.test(path)),
      [],
    );
    const program = files.find(({ path }) => path === "bin/fnlb.js");
    assert.equal((program?.mode ?? 0) & 0o111, 0o111, "bin/fnlb.js can be executed");
  });

  it("runs as npx fnlb in an empty directory", async (t) => {
    const directory = await install(t);
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
    const { stdout } = await run("npx", ["--no-install", "fnlb", "--version"], { cwd: directory, env: environment() });
    assert.equal(stdout, `${version}\n`);
  });

  it("serves from there, as a program and as a library", async (t) => {
    const directory = await install(t);
    const node = await startFunctionNode(t, { name: "a" });
    const served = runProgram(t, ["--listen", "127.0.0.1:0", "--nodes", node.address], {
      program: join(directory, "node_modules/fnlb/bin/fnlb.js"),
      cwd: directory,
    });
    const response = await fetch(`http://127.0.0.1:${await served.port()}/x`);
    assert.equal(response.headers.get("x-node"), "a");
    served.signal("SIGTERM");
    assert.equal(await served.ended(), 0);

    writeFileSync(
      join(directory, "library.js"),
      `import { createBalancer, resolveConfig } from "fnlb";
const none = () => {};
const config = resolveConfig({ options: { listen: "127.0.0.1:0", nodes: "${node.address}" } });
const balancer = createBalancer(config, { log: { debug: none, info: none, warn: none, error: none } });
const [address] = await balancer.listen();
const response = await fetch("http://" + address + "/y");
console.log(response.headers.get("x-node"));
await response.text();
await balancer.close();
`,
    );
    const library = await run(process.execPath, ["library.js"], { cwd: directory, env: environment() });
    assert.equal(library.stdout, "a\n");
  });
});
