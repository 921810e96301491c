import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Compiles `bench/NAME.c` and gives the program's path. */
export function compile(name) {
  const built = join(root, ".bench");
  mkdirSync(built, { recursive: true });
  execFileSync("cc", ["-O2", "-o", join(built, name), join(root, "bench", `${name}.c`)], { stdio: "inherit" });
  return join(built, name);
}
