// What a scrape costs the requests that wait meanwhile: taking the snapshot and writing it down happen in one turn.
// `npm run build` first.
import { metricsText } from "../dist/admin/metrics/metrics.js";
import { createBalancer } from "../dist/balancer.js";
import { resolveConfig } from "../dist/config/resolve.js";
import { readRuntime } from "../dist/system/runtime-meter.js";

const COUNTS = [3, 100, 1000];
const ROUNDS = 60;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function scrapeCost(count) {
  const nodes = Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}:8080`);
  const options = { nodes: nodes.join(","), listen: "127.0.0.1:0" };
  const balancer = createBalancer(resolveConfig({ options }), { log: silent });
  await balancer.listen();
  let snapshotMs = Number.POSITIVE_INFINITY;
  let textMs = Number.POSITIVE_INFINITY;
  let bytes = 0;
  const allMs = [];
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    const snapshot = balancer.snapshot();
    const taken = performance.now();
    const text = Buffer.from(metricsText({ snapshot, runtime: readRuntime(), version: "0.0.0" }));
    const done = performance.now();
    snapshotMs = Math.min(snapshotMs, taken - began);
    textMs = Math.min(textMs, done - taken);
    allMs.push(done - began);
    bytes = text.length;
  }
  await balancer.close();
  const medianMs = allMs.sort((one, other) => one - other)[ROUNDS / 2];
  return { snapshotMs, textMs, medianMs, bytes };
}

const cell = (text) => String(text).padStart(12);
console.log(`${"nodes".padEnd(12)}${["snapshot ms", "text ms", "median ms", "KiB"].map(cell).join("")}`);
for (const count of COUNTS) {
  const { snapshotMs, textMs, medianMs, bytes } = await scrapeCost(count);
  const cells = [snapshotMs.toFixed(2), textMs.toFixed(2), medianMs.toFixed(2), (bytes / 1024).toFixed(0)];
  console.log(`${String(count).padEnd(12)}${cells.map(cell).join("")}`);
}
