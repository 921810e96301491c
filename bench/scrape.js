// What a scrape costs: the turn in which it is put together, while requests wait, and what is left of the load of a whole
// fnlb that is scraped once a second. `npm run build` first.
// `node bench/scrape.js [--rounds 5 --seconds 4]`
import { spawnSync } from "node:child_process";
import { get } from "node:http";
import { parseArgs } from "node:util";
import { metricsText } from "../dist/admin/metrics/metrics.js";
import { createBalancer } from "../dist/balancer.js";
import { resolveConfig } from "../dist/config/resolve.js";
import { readRuntime } from "../dist/system/runtime-meter.js";
import { compile } from "./compile.js";
import { measure } from "./measure.js";
import { startNodes } from "./origins.js";
import { launch } from "./peers.js";
import { CAN_PIN, endAll, LOAD_CPU } from "./processes.js";

const COUNTS = [3, 100, 1000];
const ROUNDS = 60;
const LOADED_COUNTS = [3, 1000];
const CONNECTIONS = 64;
const WARMUP_MS = 400;
const SCRAPE_INTERVAL_MS = 1000;
const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "4" } },
});
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

/** Resolves to the bytes of one answer. */
function scrape(port) {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: "/metrics" }, (response) => {
      let bytes = 0;
      response.on("data", (chunk) => {
        bytes += chunk.length;
      });
      response.on("end", () =>
        response.statusCode === 200 ? resolve(bytes) : reject(new Error(`/metrics answered ${response.statusCode}`)),
      );
    }).on("error", reject);
  });
}

/** The first scrape comes at once, so that as many are measured as there are seconds. */
function startScraping(port) {
  const state = { count: 0, error: undefined };
  const once = () =>
    scrape(port).then(
      () => state.count++,
      (error) => {
        state.error = error;
      },
    );
  once();
  const timer = setInterval(once, SCRAPE_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    if (state.error !== undefined) throw state.error;
    return state.count;
  };
}

const median = (values) => [...values].sort((one, other) => one - other)[values.length >> 1];

async function loadedCost(count) {
  const load = compile("load");
  const nodes = (await startNodes(count)).map((port) => `127.0.0.1:${port}`).join();
  const addresses = (output) => {
    const traffic = /listening to 127\.0\.0\.1:(\d+)/.exec(output)?.[1];
    const admin = /admin API at 127\.0\.0\.1:(\d+)/.exec(output)?.[1];
    return traffic === undefined || admin === undefined ? undefined : { traffic, admin };
  };
  const { child, port } = await launch(
    process.execPath,
    ["bin/fnlb.js", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    { env: { FNLB_NODES: nodes }, match: addresses },
  );
  const settings = {
    load,
    port: port.traffic,
    kind: "16",
    connections: CONNECTIONS,
    warmupMs: WARMUP_MS,
    measureMs: Number(options.seconds) * 1000,
    pid: child.pid,
  };
  const rounds = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    const result = {};
    // Whichever comes first has the other weather.
    for (const isScraped of round % 2 === 0 ? [true, false] : [false, true]) {
      let stop = () => 0;
      const onBegin = () => {
        if (isScraped) stop = startScraping(port.admin);
      };
      const measured = await measure({ ...settings, onBegin });
      result[isScraped ? "scraped" : "quiet"] = { ...measured, scrapes: stop() };
    }
    rounds.push(result);
  }
  const of = (read) => median(rounds.map(read));
  const bytes = await scrape(port.admin);
  endAll();
  return {
    kib: bytes / 1024,
    scrapes: of(({ scraped }) => scraped.scrapes),
    quiet: of(({ quiet }) => quiet.rate),
    scraped: of(({ scraped }) => scraped.rate),
    ratio: of(({ quiet, scraped }) => scraped.rate / quiet.rate),
    cpuRatio: of(({ quiet, scraped }) => scraped.cpuUs / quiet.cpuUs),
    p99: of(({ quiet }) => quiet.p99Ms),
    p99Scraped: of(({ scraped }) => scraped.p99Ms),
    errors: rounds.reduce((sum, { quiet, scraped }) => sum + quiet.errors + scraped.errors, 0),
  };
}

if (CAN_PIN) spawnSync("taskset", ["-a", "-cp", String(LOAD_CPU), String(process.pid)]);
const titles = ["KiB", "scrapes", "req/s", "scraped", "ratio", "CPU ratio", "p99 ms", "scraped", "errors"];
console.log(`\nUnder load, ${options.rounds} pairs of ${options.seconds} s, medians of the pairs:`);
console.log(`${"nodes".padEnd(8)}${titles.map(cell).join("")}`);
try {
  for (const count of LOADED_COUNTS) {
    const { kib, scrapes, quiet, scraped, ratio, cpuRatio, p99, p99Scraped, errors } = await loadedCost(count);
    const cells = [
      kib.toFixed(0),
      scrapes,
      quiet.toFixed(0),
      scraped.toFixed(0),
      ratio.toFixed(3),
      cpuRatio.toFixed(3),
    ];
    const rest = [p99.toFixed(2), p99Scraped.toFixed(2), errors];
    console.log(`${String(count).padEnd(8)}${[...cells, ...rest].map(cell).join("")}`);
    if (errors > 0) process.exitCode = 1;
  }
} finally {
  endAll();
}
