import { stringify } from "yaml";
import type { FileRoute } from "../config/config-file.js";
import { isClusterOption, OPTION_LIST, OPTIONS, type OptionName, shownText } from "../config/options.js";
import type { Origin } from "../config/origin.js";
import { type ConfigSources, clusterNames, originOf } from "../config/resolve.js";
import { SECRET, shownFieldValue } from "../core/secrets.js";

/**
 * What the sources come to, as a config file of its own that means the same, with the place that each value comes from.
 * On top what holds for the process and for every cluster that says nothing else. Secrets are left out.
 */
export function printConfig(sources: ConfigSources): string {
  const { file } = sources;
  const lines: string[] = [];
  for (const [name] of OPTION_LIST) if (isInForce(name, sources)) lines.push(line(name, originOf(name, sources), ""));
  if (file !== undefined && file.clusters.size > 0) {
    lines.push("clusters:", ...[...file.clusters.keys()].flatMap((cluster) => clusterLines(cluster, sources)));
  }
  lines.push("routes:", ...routeLines(sources));
  return `${lines.join("\n")}\n`;
}

const OTHER_LISTENERS: readonly OptionName[] = ["proxy-listen", "tls-listen", "proxy-tls-listen"];

/** Does anybody go by the value that holds for all? */
function isInForce(name: OptionName, sources: ConfigSources): boolean {
  // Where there are only listeners for proxies or TLS, the default one is not opened.
  if (name === "listen" && originOf(name, sources).isDefault) {
    return OTHER_LISTENERS.every((other) => originOf(other, sources).texts.join("") === "");
  }
  if (!isClusterOption(name)) return true;
  const goingByIt = clusterNames(sources.file).filter((cluster) => !originOf(name, sources, cluster).isOwn);
  // Where nodes are discovered, the default one is none of them.
  const isNodeless = name === "nodes" && originOf(name, sources).isDefault;
  return goingByIt.some((cluster) => !isNodeless || originOf("discover", sources, cluster).texts.join("") === "");
}

function clusterLines(cluster: string, sources: ConfigSources): string[] {
  const own = OPTION_LIST.flatMap(([name]) => {
    const origin = originOf(name, sources, cluster);
    return origin.isOwn ? line(name, origin, "    ") : [];
  });
  return own.length === 0 ? [`  ${inline(cluster)}: {}`] : [`  ${inline(cluster)}:`, ...own];
}

function line(name: OptionName, { texts, place }: Origin, indent: string): string {
  const { kind } = OPTIONS[name];
  const shownTexts = texts.map((text) => shownText(name, text));
  const [first] = shownTexts;
  // Numbers and the like are written without quotes, as they would be by hand.
  const isPlain = !["text", "list"].includes(kind);
  const value = shownTexts.length > 1 ? shownTexts : first;
  const shown = shownTexts.includes(SECRET) ? SECRET : isPlain ? first.trim() : inline(value);
  return commented(`${indent}${name}: ${shown}`, place);
}

function routeLines({ file }: ConfigSources): string[] {
  if (file !== undefined && file.routes.length > 0) return file.routes.map(routeLine);
  const [cluster] = clusterNames(file);
  return [commented(`  - ${inline({ name: cluster, cluster })}`, "default")];
}

function routeLine(route: FileRoute): string {
  const entries: Record<string, unknown> = {};
  for (const [key, { texts }] of route.entries) entries[key] = texts.length === 1 ? texts[0] : texts;
  if (route.headers.length > 0) {
    // Not by assignment: a field may be called __proto__.
    entries.header = Object.fromEntries(
      route.headers.map(({ name, value }) => [
        name,
        value === undefined ? null : shownFieldValue(name, value.texts[0]),
      ]),
    );
  }
  return commented(`  - ${inline(entries)}`, route.place);
}

/** On one line, whatever the texts are. */
function inline(value: unknown): string {
  const yaml = stringify(value, { collectionStyle: "flow", lineWidth: 0 }).replace(/\n$/, "");
  // JSON is YAML, and keeps line ends and the like in one line.
  return /[\p{Cc}\p{Zl}\p{Zp}]/u.test(yaml) ? JSON.stringify(value) : yaml;
}

const COMMENT_COLUMN = 48;

function commented(text: string, place: string): string {
  return `${text.padEnd(COMMENT_COLUMN)} # ${place.replaceAll(/\s+/g, " ")}`;
}
