// The nodes of a run: one process that listens on as many ports.
import { compile } from "./compile.js";
import { LOAD_CPU, start } from "./processes.js";

/** Resolves to their ports. */
export async function startNodes(count) {
  const child = start(LOAD_CPU, [compile("origin"), String(count)], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.includes("ready")) break;
  }
  if (!output.includes("ready")) throw new Error(`the nodes did not start: ${output}`);
  return output.split("\n").slice(0, count).map(Number);
}
