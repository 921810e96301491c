import type { OptionSpec } from "./option-row.js";

/** Options about the config itself, which a config file cannot hold. */
export const PROGRAM_OPTIONS = {
  config: {
    group: "Config file",
    kind: "text",
    default: "",
    help: "File in YAML or JSON with options, clusters and routes; flags and environment variables win over it. See docs/config-file.md.",
  },
  watch: {
    group: "Config file",
    kind: "switch",
    default: "false",
    help: "Reload the config file when it has changed, as SIGHUP does.",
  },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type ProgramOptionName = keyof typeof PROGRAM_OPTIONS;
