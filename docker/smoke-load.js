// Load for docker/smoke.sh: `node smoke-load.js URL KILL_COMMAND START_COMMAND`. Calls many paths all the time while
// it kills the node that serves the first path and starts it again ({} in the commands is that node's name). Exit
// code 0 when no call was lost, every path of the dead node found one substitute, and all of them came home.
import { execFile } from "node:child_process";

const [, , url, killCommand, startCommand] = process.argv;
const PATHS = Array.from({ length: 60 }, (_, number) => `/function-${number}`);
/** Below eight requests at once on a node the bound on its load moves no path, so that places can be compared. */
const CALLERS = 7;
/** Rounds over all paths that make one phase. */
const ROUNDS = 20;
const HOMECOMING_MS = 20_000;

let calls = 0;
let isOver = false;
const lost = [];
/** Who answered each path last. */
const nodeOf = new Map();

async function call(path) {
  calls++;
  try {
    const response = await fetch(url + path);
    await response.arrayBuffer();
    const node = response.headers.get("x-node");
    if (response.status !== 200 || node === null) throw new Error(`status ${response.status}`);
    nodeOf.set(path, node);
  } catch (error) {
    lost.push(`${path}: ${error.cause?.code ?? error.message}`);
  }
}

async function runCaller(offset) {
  for (let turn = offset; !isOver; turn++) await call(PATHS[turn % PATHS.length]);
}

/** Resolves to who serves each path, after the callers have been through all of them several times. */
async function phase(name) {
  const until = calls + PATHS.length * ROUNDS;
  while (calls < until) await new Promise((resolve) => setTimeout(resolve, 20));
  const placement = new Map(nodeOf);
  const shares = {};
  for (const node of placement.values()) shares[node] = (shares[node] ?? 0) + 1;
  process.stdout.write(`${name}: ${calls} calls, ${lost.length} lost, paths per node ${JSON.stringify(shares)}\n`);
  return placement;
}

function run(command) {
  const [program, ...args] = command.split(" ").map((word) => word.replace("{}", victim));
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, _stdout, stderr) => (error === null ? resolve() : reject(new Error(stderr))));
  });
}

function require(isTrue, what) {
  process.stdout.write(`${isTrue ? "ok" : "FAILED"}: ${what}\n`);
  if (!isTrue) process.exitCode = 1;
}

const callers = PATHS.slice(0, CALLERS).map((_, caller) => runCaller(caller * 3));
const before = await phase("all alive");
const victim = before.get(PATHS[0]);
const homes = PATHS.filter((path) => before.get(path) === victim);

await run(killCommand);
await phase(`${victim} killed`);
const during = await phase(`${victim} still dead`);
await run(startCommand);
const isHome = () => homes.every((path) => nodeOf.get(path) === victim);
const deadline = Date.now() + HOMECOMING_MS;
while (!isHome() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
const after = await phase(`${victim} started again`);
isOver = true;
await Promise.all(callers);

require(lost.length === 0, `no call of ${calls} was lost ${lost.slice(0, 5).join(", ")}`);
require(new Set(before.values()).size === 3, "all three nodes served");
require(PATHS.every((path) => during.get(path) !== victim), "nothing went to the dead node");
require(PATHS.every(
  (path) => homes.includes(path) || during.get(path) === before.get(path),
), "paths of the living nodes stayed where they were");
require(new Set(homes.map((path) => during.get(path))).size === 2, "paths of the dead node were shared by the others");
require(PATHS.every((path) => after.get(path) === before.get(path)), "every path came home");
