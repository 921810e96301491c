import type { Given, ValueSpec } from "./value.js";

/** Headings of `--help` and of docs/options.md. */
export const GROUPS = [
  "Config file",
  "Traffic",
  "Discovery",
  "TLS",
  "Routing",
  "Affinity",
  "Timeouts",
  "Health",
  "Protection",
  "Retries",
  "Limits",
  "Forwarding",
  "Headers",
  "Shutdown",
  "Logging",
  "Admin",
] as const;

/** What all options say of themselves: a flag, an environment variable, a key of the config file, a default and a sentence. */
export interface OptionSpec extends Omit<ValueSpec<unknown>, "read"> {
  readonly group: (typeof GROUPS)[number];
  /** As it would be written on the command line. */
  readonly default: string;
  /** One sentence, with what 0 means where it means something else than none. */
  readonly help: string;
  /** Its text is never shown again: neither in errors nor where a config is printed. */
  readonly isSecret?: true;
}

/** One row of a table of options. */
export interface OptionRow extends OptionSpec {
  /** Its name in the resolved config, with its unit. */
  readonly field: string;
  readonly read: (given: Given) => unknown;
}

/** The resolved values of a table, by field. */
export type Values<Table extends Readonly<Record<string, OptionRow>>> = {
  readonly [Name in keyof Table as Table[Name]["field"]]: ReturnType<Table[Name]["read"]>;
};
