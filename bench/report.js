// Tables and goals from measurements: rounds[round][workload][peer] = { rate, cpuUs, p50Ms, p99Ms, errors }.
import { readFileSync, writeFileSync } from "node:fs";

const BEGIN = "<!-- measured: begin -->";
const END = "<!-- measured: end -->";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median over the rounds of the ratio within each round: what disturbs the machine disturbs both. */
function ratio(rounds, workload, peer, base) {
  const ratios = rounds
    .filter((round) => round[workload]?.[peer] && round[workload]?.[base])
    .map((round) => round[workload][peer].rate / round[workload][base].rate);
  return ratios.length === 0 ? undefined : median(ratios);
}

const digits = (value, count) => (value === undefined ? "–" : value.toFixed(count));

export function table(rounds, workloads, peers, memory) {
  const lines = [];
  for (const { name: workload } of workloads) {
    lines.push(
      "",
      `### ${workload}`,
      "",
      "| | req/s | × nginx | CPU µs/req | p50 ms | p99 ms | peak RSS MiB | errors |",
      "|---|---:|---:|---:|---:|---:|---:|---:|",
    );
    for (const peer of ["direct", ...peers]) {
      const all = rounds.map((round) => round[workload][peer]).filter(Boolean);
      if (all.length === 0) continue;
      const of = (field) => median(all.map((one) => one[field]));
      const errors = all.reduce((sum, one) => sum + one.errors, 0);
      lines.push(
        `| ${peer === "direct" ? "(no proxy)" : peer} | ${Math.round(of("rate")).toLocaleString("en")} | ${digits(ratio(rounds, workload, peer, "nginx"), 2)} | ` +
          `${peer === "direct" ? "–" : digits(of("cpuUs"), 1)} | ${digits(of("p50Ms"), 2)} | ${digits(of("p99Ms"), 2)} | ${digits(memory[peer]?.peak, 0)} | ${errors} |`,
      );
    }
  }
  return lines.join("\n");
}

/** One line a goal: reached, missed, or not measured. */
export function goals(rounds, workloads, peers, memory) {
  const lines = [];
  const judge = (name, value, goal, isReached) =>
    lines.push(
      `- ${value === undefined ? "not measured" : isReached ? "reached" : "MISSED"}: ${name}: ${digits(value, 2)} (goal ${goal})`,
    );
  const nodeProxies = peers.filter((peer) => ["http-proxy-3", "@fastify/http-proxy"].includes(peer));
  for (const { name, isLarge } of workloads) {
    const toNginx = ratio(rounds, name, "fnlb", "nginx");
    judge(`${name}, × nginx`, toNginx, "≥ 0.9", toNginx >= 0.9);
    const ratios = nodeProxies.map((peer) => ratio(rounds, name, "fnlb", peer)).filter((value) => value !== undefined);
    const toBest = ratios.length === 0 ? undefined : Math.min(...ratios);
    const goal = isLarge ? 2 : 4;
    judge(`${name}, × best Node proxy`, toBest, `≥ ${goal}`, toBest >= goal);
  }
  const peak = memory.fnlb?.peak;
  judge("peak RSS of fnlb, MiB", peak, "< 120", peak < 120);
  return lines.join("\n");
}

/** Puts the measured part into bench/results.md and leaves what people wrote there. */
export function writeResults(file, text) {
  let before = `# Results\n\n`;
  let after = "\n";
  try {
    const old = readFileSync(file, "utf8");
    if (old.includes(BEGIN)) {
      before = old.slice(0, old.indexOf(BEGIN));
      after = old.slice(old.indexOf(END) + END.length);
    } else before = `${old}\n`;
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  writeFileSync(file, `${before}${BEGIN}\n${text}\n${END}${after}`);
}
