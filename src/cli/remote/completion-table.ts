import type { OptionSpec } from "../../config/option-row.js";
import { OPTION_LIST } from "../../config/options.js";
import { PROGRAM_OPTIONS } from "../../config/program-options.js";
import type { ClientOptionName, Completion } from "./client-options.js";
import { clientOption, PLACE_OPTIONS } from "./client-options.js";
import type { Command } from "./command.js";

/** What may stand behind the words of one command. */
export interface CommandWords {
  /** `nodes drain`; "" for the balancer itself. */
  readonly command: string;
  /** Words that make another command of it. */
  readonly next: readonly string[];
  readonly options: readonly string[];
  readonly items: Completion | undefined;
}

/** What may stand behind one option; undefined: any text. */
export interface OptionWords {
  readonly option: string;
  readonly value: Completion | undefined;
}

/** All that a shell has to know, whichever it is. */
export interface CompletionTable {
  readonly commands: readonly CommandWords[];
  /** Those that take a value. */
  readonly valued: readonly OptionWords[];
}

/** Commands that run or look at a balancer of their own, and take its options. */
const OWN_COMMANDS = ["demo", "check", "healthcheck"] as const;

export function completionTable(commands: readonly Command[]): CompletionTable {
  const balancerOptions: (readonly [string, OptionSpec])[] = [...Object.entries(PROGRAM_OPTIONS), ...OPTION_LIST];
  const names = balancerOptions.map(([name]) => `--${name}`);
  const first = commands.filter(({ words }) => words.length === 1).map(({ words }) => words[0]);
  const rows: CommandWords[] = [
    { command: "", next: [...first, ...OWN_COMMANDS], options: [...names, "--help", "--version"], items: undefined },
    ...OWN_COMMANDS.map((command): CommandWords => {
      const isCheck = command === "check";
      return {
        command,
        next: [],
        options: [...(isCheck ? ["--print"] : []), ...names, "--help"],
        items: isCheck ? "files" : undefined,
      };
    }),
    ...commands.map(
      ({ words, options, isLocal, completes }): CommandWords => ({
        command: words.join(" "),
        next: commands
          .filter((other) => other.words.length === 2 && words.length === 1 && other.words[0] === words[0])
          .map((other) => other.words[1]),
        options: [...[...options, ...(isLocal ? [] : PLACE_OPTIONS)].map((name) => `--${name}`), "--help"],
        items: completes,
      }),
    ),
  ];
  const valued = new Map<string, Completion | undefined>();
  for (const [name, { kind, choices }] of balancerOptions) {
    // Many of the texts are files.
    if (kind !== "switch") valued.set(`--${name}`, choices ?? (kind === "text" ? "files" : undefined));
  }
  for (const { options } of commands) for (const name of [...options, ...PLACE_OPTIONS]) setValue(name);
  return { commands: rows, valued: [...valued].map(([option, value]) => ({ option, value })) };

  function setValue(name: ClientOptionName): void {
    const { kind, completes } = clientOption(name);
    if (kind !== "switch") valued.set(`--${name}`, completes);
  }
}
