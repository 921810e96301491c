// Writes docs/options.md from the table of options: `npm run docs`. With `--check` it only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { GROUPS } from "../dist/config/option-row.js";
import { environmentName, isClusterOption, OPTION_LIST } from "../dist/config/options.js";
import { PROGRAM_OPTIONS } from "../dist/config/program-options.js";

const file = new URL("options.md", import.meta.url);

function text() {
  const lines = [
    "# Options",
    "",
    "Made from the tables in `src/config/` by `npm run docs`.",
    "",
    "A flag wins over its environment variable, that over the config file (`docs/config-file.md`), where an option has the name",
    "of its flag, and that over the default. Options marked with ⊙ can be set for each cluster of a config file. Times are `250ms`, `5s`, `1m`, `1h`, `1d` or bare",
    "milliseconds; sizes `500`, `64KiB` (1,024) or `64KB` (1,000). Several listeners in one environment variable are",
    "separated by commas.",
  ];
  for (const group of GROUPS) {
    lines.push("", `## ${group}`, "", "| flag | environment | default | |", "|---|---|---|---|");
    for (const [name, spec] of [...Object.entries(PROGRAM_OPTIONS), ...OPTION_LIST]) {
      if (spec.group !== group) continue;
      const choices = spec.choices === undefined ? "" : ` One of ${spec.choices.join(", ")}.`;
      const repeats = spec.isRepeatable === undefined ? "" : " May be repeated.";
      const range = rangeOf(spec);
      const help = `${spec.help}${choices}${repeats}${range}`.replaceAll("|", "\\|");
      lines.push(
        `| \`--${name}\`${isClusterOption(name) ? " ⊙" : ""} | \`${environmentName(name)}\` | ${spec.default === "" ? "none" : `\`${spec.default}\``} | ${help} |`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function rangeOf({ kind, min = 0, max }) {
  if (kind === "number" || (min === 0 && max === undefined)) return "";
  const unit = kind === "duration" ? " ms" : kind === "size" ? " bytes" : "";
  if (max === undefined) return ` At least ${min}${unit}.`;
  return min === 0 ? ` At most ${max}${unit}.` : ` From ${min} to ${max}${unit}.`;
}

if (process.argv.includes("--check")) {
  if (readFileSync(file, "utf8") !== text()) {
    console.error("docs/options.md is not what the table says: run npm run docs");
    process.exitCode = 1;
  }
} else writeFileSync(file, text());
