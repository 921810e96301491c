import type { AdminClient } from "./admin-client.js";
import type { ClientOptionName, Completion } from "./client-options.js";
import type { Terminal } from "./display/terminal.js";

/** A command that asks a running balancer. */
export interface Command {
  /** `["nodes", "drain"]` is `fnlb nodes drain`. */
  readonly words: readonly string[];
  /** What comes behind the words, as help shows it: `<node..>`. */
  readonly items: string;
  /** For completion of the items. */
  readonly completes?: Completion;
  /** In one line of help. */
  readonly summary: string;
  /** It asks nobody: the options that say where to ask are refused. */
  readonly isLocal?: true;
  /** Beside those that say where to ask. */
  readonly options: readonly ClientOptionName[];
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Resolves to the exit code. Rejects with `Failure` or `UsageError`. */
  readonly run: (context: CommandContext) => Promise<number>;
}

/** What a command has to do with. */
export interface CommandContext {
  readonly admin: AdminClient;
  readonly terminal: Terminal;
  readonly call: Call;
  readonly env: NodeJS.ProcessEnv;
  readonly pause: Pause;
  /** Aborts at a signal that would have ended the process, from the call on: for commands that tidy up behind themselves. */
  readonly untilSignal: () => AbortSignal;
}

/** Resolves to true after `delayMs`, to false at once when the signal aborts. Keeps the process alive, unlike a `Clock`. */
export type Pause = (delayMs: number, signal?: AbortSignal) => Promise<boolean>;

/** What was asked for on the command line. */
export class Call {
  /** Words behind those of the command. */
  readonly items: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(items: readonly string[], values: Readonly<Record<string, unknown>>) {
    this.items = items;
    this.#values = values;
  }

  isSet(name: ClientOptionName): boolean {
    return this.#values[name] === true;
  }

  /** Undefined where it was not given. */
  text(name: ClientOptionName): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  /** Each time that it was given. */
  texts(name: ClientOptionName): readonly string[] {
    const value = this.#values[name];
    return value === undefined ? [] : Array.isArray(value) ? value.map(String) : [String(value)];
  }
}
