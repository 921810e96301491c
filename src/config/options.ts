import { SECRET } from "../core/secrets.js";
import { CLUSTER_OPTIONS } from "./cluster-options.js";
import { shownHeaderRule } from "./header-rule.js";
import { GROUPS, type OptionRow, type OptionSpec } from "./option-row.js";
import { PROCESS_OPTIONS } from "./process-options.js";
import type { ProgramOptionName } from "./program-options.js";

/** Every option: the one place that flags, variables, the config file, help texts and documents are made from. */
export const OPTIONS = { ...PROCESS_OPTIONS, ...CLUSTER_OPTIONS };

export type OptionName = keyof typeof OPTIONS;
export type ClusterOptionName = keyof typeof CLUSTER_OPTIONS;

/** Every option by name, in the order of help texts. */
export const OPTION_LIST: readonly (readonly [OptionName, OptionSpec])[] = (
  Object.entries(OPTIONS) as [OptionName, OptionRow][]
).sort(([, one], [, other]) => GROUPS.indexOf(one.group) - GROUPS.indexOf(other.group));

/** May each cluster have a value of its own for it? */
export function isClusterOption(name: string): name is ClusterOptionName {
  return Object.hasOwn(CLUSTER_OPTIONS, name);
}

export function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

/** May the text of an option not be shown? */
export function isSecret(name: OptionName, text: string): boolean {
  const spec: OptionSpec = OPTIONS[name];
  const hasPassword = name === "store" && text.includes("@");
  return hasPassword || (spec.isSecret === true && text !== "");
}

const HEADER_OPTIONS: readonly OptionName[] = ["request-header", "response-header"];

/** A text of an option as it may be shown. */
export function shownText(name: OptionName, text: string): string {
  if (isSecret(name, text)) return SECRET;
  return HEADER_OPTIONS.includes(name) ? shownHeaderRule(text) : text;
}

/** `ping-interval` → `FNLB_PING_INTERVAL`. */
export function environmentName(name: OptionName | ProgramOptionName): string {
  return `FNLB_${name.toUpperCase().replaceAll("-", "_")}`;
}
