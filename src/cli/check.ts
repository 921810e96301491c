import { stringify } from "yaml";
import type { FileRoute } from "../config/config-file.js";
import { isClusterOption, OPTION_LIST, OPTIONS, type OptionName } from "../config/options.js";
import { type ConfigSources, clusterNames, originOf, resolveConfig } from "../config/resolve.js";
import { EXIT } from "./exit.js";
import { type ConfigOrigin, readSources } from "./load-config.js";

/** Validates a config as `serve` would; a bad one is an `ERR_OPTION`. Prints it where that is wished. */
export function check(origin: ConfigOrigin, { prints }: { readonly prints: boolean }): number {
  const sources = readSources(origin);
  const { clusters, routes } = resolveConfig(sources);
  if (prints) process.stdout.write(printed(sources));
  else {
    const counts = `${counted(clusters.length, "cluster")}, ${counted(routes.length, "route")}`;
    process.stdout.write(`${origin.path === "" ? "flags and environment" : origin.path}: ok, ${counts}\n`);
  }
  return EXIT.CLEAN;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The result as a config file, with the place that each value comes from. Secrets are left out. */
function printed(sources: ConfigSources): string {
  const { file } = sources;
  const lines: string[] = [];
  for (const [name] of OPTION_LIST) if (!isClusterOption(name)) lines.push(line(name, sources, "", ""));
  lines.push("clusters:");
  for (const cluster of clusterNames(file)) {
    lines.push(`  ${cluster}:`);
    for (const [name] of OPTION_LIST) if (isClusterOption(name)) lines.push(line(name, sources, cluster, "    "));
  }
  if (file !== undefined && file.routes.length > 0) lines.push("routes:", ...file.routes.map(routeLine));
  return `${lines.join("\n")}\n`;
}

const COMMENT_COLUMN = 48;

function line(name: OptionName, sources: ConfigSources, cluster: string, indent: string): string {
  const { texts, place } = originOf(name, sources, cluster);
  const { kind } = OPTIONS[name];
  const [first] = texts;
  // Numbers and the like are written without quotes, as they would be by hand.
  const isPlain = texts.length === 1 && !["text", "list"].includes(kind);
  const value = isSecret(name, first) ? "(secret)" : texts.length > 1 ? texts : first;
  return commented(`${indent}${name}: ${isPlain ? first : inline(value)}`, place);
}

function isSecret(name: OptionName, text: string): boolean {
  const hasPassword = name === "store" && text.includes("@");
  return hasPassword || (name.endsWith("-secret") && text !== "");
}

function routeLine(route: FileRoute): string {
  const entries: Record<string, unknown> = {};
  for (const [key, { texts }] of route.entries) entries[key] = texts.length === 1 ? texts[0] : texts;
  if (route.headers.length > 0) {
    entries.header = Object.fromEntries(
      route.headers.map(({ name, value }) => [name.texts[0], value?.texts[0] ?? null]),
    );
  }
  return commented(`  - ${inline(entries)}`, route.place);
}

function inline(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trimEnd();
}

function commented(text: string, place: string): string {
  return `${text.padEnd(COMMENT_COLUMN)} # ${place}`;
}
