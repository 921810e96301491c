import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileDiscovery } from "../../src/discovery/file-discovery.js";
import { readTextFile } from "../../src/system/text-file.js";

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "fnlb-nodes-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function watch(path: string) {
  const discovery = fileDiscovery({ readText: readTextFile }, { name: `file:${path}`, path });
  const { signal } = new AbortController();
  return async () => {
    const { nodes, fault } = await discovery.find(signal);
    return fault ?? nodes?.map(({ id }) => id).join(" ");
  };
}

describe("nodes from a file", () => {
  it("are there at the first look, and change once a change has been there for two", async (t) => {
    const path = join(folderOf(t), "nodes");
    writeFileSync(path, "a\nb\n");
    const look = watch(path);
    assert.equal(await look(), "a:8080 b:8080");
    assert.equal(await look(), "a:8080 b:8080");
    writeFileSync(path, "a\nb\nc\n");
    assert.equal(await look(), undefined);
    assert.equal(await look(), "a:8080 b:8080 c:8080");
  });

  it("are not taken from a file that is half written", async (t) => {
    const path = join(folderOf(t), "nodes");
    writeFileSync(path, "a\nb\n");
    const look = watch(path);
    await look();
    for (const text of ["", "a\n", "a\nb\n", "a\nb\nc"]) {
      writeFileSync(path, text);
      assert.equal(await look(), undefined, JSON.stringify(text));
    }
    assert.equal(await look(), "a:8080 b:8080 c:8080");
  });

  it("follow an atomic rename", async (t) => {
    const folder = folderOf(t);
    const path = join(folder, "nodes");
    writeFileSync(path, "a\n");
    const look = watch(path);
    await look();
    for (const next of ["b", "c"]) {
      writeFileSync(join(folder, "nodes.new"), `${next}\n`);
      renameSync(join(folder, "nodes.new"), path);
      assert.equal(await look(), undefined);
      assert.equal(await look(), `${next}:8080`);
    }
  });

  it("follow the swapped links of a mounted ConfigMap", async (t) => {
    const folder = folderOf(t);
    for (const version of ["1", "2"]) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, "nodes"), `node-${version}\n`);
    }
    symlinkSync("1", join(folder, "..data"));
    symlinkSync("..data/nodes", join(folder, "nodes"));
    const look = watch(join(folder, "nodes"));
    assert.equal(await look(), "node-1:8080");
    symlinkSync("2", join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    assert.equal(await look(), undefined);
    assert.equal(await look(), "node-2:8080");
  });

  it("do not mind a file that is gone for one look", async (t) => {
    const path = join(folderOf(t), "nodes");
    writeFileSync(path, "a\n");
    const look = watch(path);
    await look();
    rmSync(path);
    assert.equal(await look(), undefined);
    writeFileSync(path, "b\n");
    assert.equal(await look(), undefined);
    assert.equal(await look(), "b:8080");
    rmSync(path);
    await look();
    assert.equal(await look(), "ENOENT");
  });

  it("are no nodes at all where one of them is bad, with the reason", async (t) => {
    const path = join(folderOf(t), "nodes");
    writeFileSync(path, "a\nb:99999\n");
    const look = watch(path);
    assert.match((await look()) ?? "", /^line 2 has "b:99999", whose port/);
    writeFileSync(path, `a\n${"x".repeat(100_000)}:y\n`);
    await look();
    assert.ok(((await look()) ?? "").length <= 300);
  });

  it("are not waited for in a pipe or a folder", async (t) => {
    const folder = folderOf(t);
    assert.equal(await watch(folder)(), "ENOTREG");
    execFileSync("mkfifo", [join(folder, "pipe")]);
    assert.equal(await watch(join(folder, "pipe"))(), "ENOTREG");
    assert.equal(await watch("/dev/zero")(), "ENOTREG");
  });

  it("are not read from a file without end", async (t) => {
    const path = join(folderOf(t), "nodes");
    writeFileSync(path, "");
    truncateSync(path, 17 * 1024 * 1024);
    assert.equal(await watch(path)(), "EFBIG");
  });
});
