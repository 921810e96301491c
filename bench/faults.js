// One of three nodes is killed, frozen or slow while the load goes on: `npm run build && node bench/faults.js [PEERS]`.
// Throughput and latency before, during and after, for fnlb as it comes and for its peers both as they come and tuned.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "./compile.js";
import { measure } from "./measure.js";
import { PEERS, TUNED_PEERS } from "./peers.js";
import { endAll, LOAD_CPU, start } from "./processes.js";

const PEER_NAMES = (process.argv[2] ?? "fnlb,nginx,nginx-tuned,haproxy,haproxy-tuned").split(",");
const LOAD = { kind: "1024", connections: 64, warmupMs: 300 };
const PHASE_MS = 2000;
/** Long enough for every proxy here to notice. */
const FAULT_MS = 5000;
/** Fifty milliseconds are forty-five of sleep: a node at a tenth of its speed. */
const SLOW = { sleepMs: 45, workMs: 5 };

const folder = mkdtempSync(join(tmpdir(), "fnlb-faults-"));
const origin = compile("origin");
const load = compile("load");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function startNode(port) {
  const child = start(LOAD_CPU, [origin, "1", ...(port === undefined ? [] : [String(port)])], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.includes("ready")) break;
  }
  return { child, port: Number(output.split("\n")[0]) };
}

/** Begins a fault of `node` and gives what ends it. */
const FAULTS = {
  killed(node) {
    node.child.kill("SIGKILL");
    return async () => {
      node.child = (await startNode(node.port)).child;
    };
  },
  frozen(node) {
    node.child.kill("SIGSTOP");
    return () => node.child.kill("SIGCONT");
  },
  slow(node) {
    let isOver = false;
    const nap = async () => {
      while (!isOver) {
        node.child.kill("SIGSTOP");
        await pause(SLOW.sleepMs);
        node.child.kill("SIGCONT");
        await pause(SLOW.workMs);
      }
    };
    const napping = nap();
    return () => {
      isOver = true;
      return napping;
    };
  },
};

function row(name, { rate, p99Ms, errors, stuck }) {
  return `${name} ${Math.round(rate).toLocaleString("en")} req/s, p99 ${p99Ms.toFixed(1)} ms, ${errors} errors, ${stuck} of ${LOAD.connections} stuck`;
}

async function main() {
  for (const peer of [...PEERS, ...TUNED_PEERS].filter(({ name }) => PEER_NAMES.includes(name))) {
    if (peer.version() === undefined) {
      console.log(`${peer.name}: SKIPPED, it is not installed`);
      continue;
    }
    for (const [fault, begin] of Object.entries(FAULTS)) {
      const nodes = [await startNode(), await startNode(), await startNode()];
      const { child, port } = await peer.start(
        nodes.map((node) => node.port),
        folder,
      );
      child.removeAllListeners("exit");
      const settings = { ...LOAD, load, port, pid: child.pid };
      let finish = () => {};
      const before = await measure({ ...settings, measureMs: PHASE_MS });
      const during = await measure({
        ...settings,
        measureMs: FAULT_MS,
        onBegin: () => {
          finish = begin(nodes[0]);
        },
      });
      await finish();
      await pause(PHASE_MS);
      const after = await measure({ ...settings, measureMs: PHASE_MS });
      console.log(
        `${peer.name}, a node ${fault}\n  ${row("before", before)}\n  ${row("during", during)}\n  ${row("after ", after)}`,
      );
      for (const node of nodes) node.child.kill("SIGKILL");
      child.kill("SIGKILL");
      await pause(100);
    }
  }
}

try {
  await main();
} finally {
  endAll();
  rmSync(folder, { recursive: true, force: true });
}
