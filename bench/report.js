// Tables and goals from measurements: rounds[round][workload][peer] = { rate, cpuUs, busy, p50Ms, p99Ms, errors }.
import { readFileSync, writeFileSync } from "node:fs";

const BEGIN = "<!-- measured: begin -->";
const END = "<!-- measured: end -->";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The ratio within each round, ascending: what disturbs the machine disturbs both sides. */
function ratios(rounds, workload, peer, base, field = "rate") {
  return rounds
    .map((round) => round[workload])
    .filter((byPeer) => byPeer[peer] && byPeer[base])
    .map((byPeer) => byPeer[peer][field] / byPeer[base][field])
    .sort((a, b) => a - b);
}

/** Undefined where one of the two was not measured. */
function ratio(...subject) {
  const all = ratios(...subject);
  return all.length === 0 ? undefined : median(all);
}

const digits = (value, count) => (value === undefined ? "–" : value.toFixed(count));

export function table(rounds, workloads, peers, memory) {
  const lines = [];
  for (const { name: workload } of workloads) {
    lines.push(
      "",
      `### ${workload}`,
      "",
      "| | req/s | × nginx | CPU µs/req | × nginx | CPU busy | p50 ms | p99 ms | peak RSS MiB | errors |",
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    );
    for (const peer of ["direct", ...peers.map(({ name }) => name)]) {
      const all = rounds.map((round) => round[workload][peer]).filter(Boolean);
      if (all.length === 0) continue;
      const of = (field) => median(all.map((one) => one[field]));
      const errors = all.reduce((sum, one) => sum + one.errors, 0);
      const isProxy = peer !== "direct";
      const cells = [
        isProxy ? peer : "(no proxy)",
        Math.round(of("rate")).toLocaleString("en"),
        digits(ratio(rounds, workload, peer, "nginx"), 2),
        isProxy ? digits(of("cpuUs"), 1) : "–",
        isProxy ? digits(ratio(rounds, workload, peer, "nginx", "cpuUs"), 2) : "–",
        isProxy ? `${digits(of("busy") * 100, 0)} %` : "–",
        digits(of("p50Ms"), 2),
        digits(of("p99Ms"), 2),
        digits(memory[peer]?.peak, 0),
        errors,
      ];
      lines.push(`| ${cells.join(" | ")} |`);
    }
  }
  return lines.join("\n");
}

/**
 * One line a goal: reached, missed, or not measured. Beside a ratio of rates stand its worst and best round, and
 * the same ratio by CPU per request: on a machine that does other work too, only that one says what a proxy costs.
 */
export function goals(rounds, workloads, peers, memory) {
  const lines = [];
  const judge = (name, value, goal, isReached, span = "") =>
    lines.push(
      `- ${value === undefined ? "not measured" : isReached ? "reached" : "MISSED"}: ${name}: ${digits(value, 2)}${span} (goal ${goal})`,
    );
  const judgeRatio = (workload, name, base, least) => {
    const all = base === undefined ? [] : ratios(rounds, workload, "fnlb", base);
    const value = all.length === 0 ? undefined : median(all);
    const byCpu = value === undefined ? undefined : 1 / ratio(rounds, workload, "fnlb", base, "cpuUs");
    judge(`${workload}, × ${name}`, value, `≥ ${least}`, value >= least, `${spanOf(all)}, by CPU ${digits(byCpu, 2)}`);
  };
  const nodeProxies = peers.filter(({ kind }) => kind === "node").map(({ name }) => name);
  for (const { name, isLarge } of workloads) {
    judgeRatio(name, "nginx", "nginx", 0.9);
    const best = nodeProxies.toSorted((a, b) => ratio(rounds, name, "fnlb", a) - ratio(rounds, name, "fnlb", b))[0];
    judgeRatio(name, `best Node proxy${best === undefined ? "" : ` (${best})`}`, best, isLarge ? 2 : 4);
  }
  const peak = memory.fnlb?.peak;
  judge("peak RSS of fnlb, MiB", peak, "< 120", peak < 120);
  return lines.join("\n");
}

function spanOf(sorted) {
  return sorted.length < 2 ? "" : `, rounds ${digits(sorted[0], 2)}–${digits(sorted.at(-1), 2)}`;
}

/** Puts the measured part into bench/results.md and leaves what people wrote there. */
export function writeResults(file, text) {
  let before = "# Results\n\n";
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
