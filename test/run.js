// Runs the compiled tests: `node test/run.js [part of a path …] [!part of a path …]`, the latter left out. Node 20's runner
// takes lists of files, no globs.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const words = process.argv.slice(2);
const filters = words.filter((word) => !word.startsWith("!"));
const exceptions = words.filter((word) => word.startsWith("!")).map((word) => word.slice(1));

// By the sources: what was compiled from a test that no longer exists is not run.
const files = readdirSync(new URL(".", import.meta.url), { recursive: true })
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => `build/test/${name.replaceAll("\\", "/").replace(/\.ts$/, ".js")}`)
  .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
  .filter((name) => !exceptions.some((exception) => name.includes(exception)))
  .sort();

if (process.env.FNLB_TEST_ORDER === "reverse") files.reverse();

const runner = spawn(
  process.execPath,
  [
    "--test",
    "--test-concurrency=3",
    // For a whole file: one that hangs must not hang them all.
    "--test-timeout=240000",
    "--enable-source-maps",
    "--import=./build/test/support/property-seed.js",
    "--import=./build/test/support/leftovers.js",
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    ...files,
  ],
  { cwd: root, stdio: "inherit" },
);
runner.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
