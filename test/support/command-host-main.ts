// Runs one command of the program after the other, as `bin/fnlb.js` runs one, for tests that would otherwise start a
// process for each row of a table: a start costs far more than what most commands do.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { CommandAsked, CommandEnded } from "./commands.js";
import { ROOT } from "./program.js";

const { main } = (await import(
  pathToFileURL(join(ROOT, "dist/cli/main.js")).href
)) as typeof import("../../src/cli/main.js");

/** Puts what is written there into a list instead, until the returned function is called, which gives it as bytes. */
function captured(stream: NodeJS.WriteStream): () => string {
  const { write } = stream;
  const chunks: Buffer[] = [];
  stream.write = (chunk: string | Uint8Array) => {
    chunks.push(Buffer.from(chunk as string));
    return true;
  };
  return () => {
    stream.write = write;
    return Buffer.concat(chunks).toString("latin1");
  };
}

// Each command listens for the end of its output, and none takes its listener away: the process ends with it.
process.stdout.setMaxListeners(0);
process.on("message", async ({ args, env }: CommandAsked) => {
  const [stdout, stderr] = [captured(process.stdout), captured(process.stderr)];
  // One that throws ends this process with its stack, as it would end its own.
  const code = await main(args, env);
  process.send?.({ code, stdout: stdout(), stderr: stderr() } satisfies CommandEnded);
});
process.on("disconnect", () => process.exit(0));
