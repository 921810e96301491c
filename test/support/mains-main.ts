// Runs the program's own main for each list of arguments that it is given, one after the other, and says how each ended.
import { main } from "../../src/cli/main.js";
import type { MainRun, MainRuns } from "./mains.js";

const print = process.stdout.write.bind(process.stdout);

async function run({ args, env = {} }: MainRuns[number]): Promise<MainRun> {
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    process[stream].write = (text: string | Uint8Array) => {
      said[stream] += String(text);
      return true;
    };
  }
  const code = await main(args, { ...process.env, ...env });
  return { code, ...said };
}

const runs: MainRun[] = [];
for (const one of JSON.parse(process.argv[2]) as MainRuns) runs.push(await run(one));
print(JSON.stringify(runs), () => process.exit());
