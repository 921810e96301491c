import { setTimeout } from "node:timers/promises";
import yargs from "yargs";
import { clearerComplaint } from "../unknown-words.js";
import { UsageError } from "../usage-error.js";
import { AdminClient } from "./admin-client.js";
import { CLIENT_OPTIONS, type ClientOptionName, clientOption, PLACE_OPTIONS } from "./client-options.js";
import { Call, type Command, type CommandContext, type Pause } from "./command.js";
import { COMMANDS } from "./commands.js";
import { processTerminal } from "./display/terminal.js";
import { placeOf } from "./place.js";

/** The command that the first words name, the longest one; undefined where they name none. */
export function findCommand(args: readonly string[]): Command | undefined {
  return COMMANDS.filter(({ words }) => words.every((word, index) => args[index] === word)).sort(
    (one, other) => other.words.length - one.words.length,
  )[0];
}

/**
 * The words of a command in front of its options, wherever somebody has put those: `--admin x nodes --json drain a` is
 * `nodes drain --admin x --json a`, and `help nodes` is `nodes --help`. What names no command stays as it is.
 */
export function commandFirst(args: readonly string[]): readonly string[] {
  const asksForHelp = args[0] === "help" && args.length > 1;
  const words: string[] = [];
  const options: string[] = asksForHelp ? ["--help"] : [];
  let at = asksForHelp ? 1 : 0;
  for (; at < args.length; at++) {
    const [, name, value] = /^--([a-z-]+)(=.*)?$/s.exec(lengthened(args[at])) ?? [];
    if (["-h", "--help"].includes(args[at])) options.push("--help");
    else if (name !== undefined && Object.hasOwn(CLIENT_OPTIONS, name)) {
      // In front of all words it would be the balancer's own option of this name.
      if (words.length === 0 && name === "nodes") break;
      options.push(args[at]);
      const isValueNext = value === undefined && clientOption(name as ClientOptionName).kind !== "switch";
      if (isValueNext && at + 1 < args.length) options.push(args[++at]);
    } else if (COMMANDS.some((command) => isBelow(command, [...words, args[at]]))) words.push(args[at]);
    else break;
  }
  if (words.length > 0) return [...words, ...options, ...args.slice(at)];
  return asksForHelp ? [...args.slice(1), "--help"] : args;
}

function isBelow({ words }: Pick<Command, "words">, first: readonly string[]): boolean {
  return first.every((word, index) => word === words[index]);
}

/** Runs a command with what stands behind its words; resolves to the exit code, undefined when only help was asked for. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number | undefined> {
  const call = await parseCall(command, args.slice(command.words.length));
  if (call === undefined) return undefined;
  let admin: AdminClient | undefined;
  const context: CommandContext = {
    get admin() {
      // Only now: commands that ask nobody do not care where somebody could be asked.
      admin ??= new AdminClient(placeOf(call, env));
      return admin;
    },
    terminal: processTerminal(env),
    call,
    env,
    pause,
    untilSignal,
  };
  try {
    return await command.run(context);
  } finally {
    await admin?.close();
  }
}

/** Undefined when help was asked for, and printed. */
async function parseCall(command: Command, args: readonly string[]): Promise<Call | undefined> {
  const name = `fnlb ${command.words.join(" ")}`;
  const item = /\w+/.exec(command.items)?.[0];
  const parser = yargs(args.map(lengthened))
    .scriptName(name)
    .usage(`${`$0 ${command.items}`.trim()}\n\n${sentence(command.summary)}`)
    .parserConfiguration({
      "dot-notation": false,
      "camel-case-expansion": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      // --no-wait is an option of its own.
      "boolean-negation": false,
    })
    .locale("en")
    // Nothing is demanded here: the complaint about what is missing would not be worded like all others.
    .command(`$0 ${command.items.replace("=weight", "").replace(/<(.*)>/, "[$1]")}`.trim(), false, {}, () => {})
    .alias("help", "h")
    .version(false)
    .wrap(110)
    .strict()
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw new UsageError(message ?? error?.message ?? "bad arguments");
    });
  for (const { words, items, summary } of COMMANDS) {
    if (words.length > command.words.length && isBelow({ words }, command.words))
      parser.command(`${words.slice(command.words.length).join(" ")} ${items}`.trim(), summary);
  }
  for (const option of [...command.options, ...(command.isLocal ? [] : PLACE_OPTIONS)]) {
    const { group, kind, help, environment } = clientOption(option);
    parser.option(option, {
      type: kind === "switch" ? "boolean" : "string",
      requiresArg: kind !== "switch",
      group: `${group}:`,
      describe: environment === undefined ? help : `${help} [${environment}]`,
    });
  }
  for (const [example, what] of command.examples) parser.example(example, what);
  let parsed: Readonly<Record<string, unknown>>;
  try {
    parsed = await parser.parseAsync();
  } catch (error) {
    // yargs throws some of its complaints past its own handler of failures.
    throw new UsageError(complaintOf(command, args, error), { cause: error });
  }
  if (parsed.help === true) return undefined;
  for (const option of [...command.options, ...PLACE_OPTIONS]) {
    const { kind } = clientOption(option);
    if (kind !== "texts" && Array.isArray(parsed[option]))
      throw new UsageError(`option "${option}" must be given once`);
  }
  const given = item === undefined ? undefined : parsed[item];
  const [extra] = parsed._ as readonly string[];
  if (extra !== undefined) throw new UsageError(complaintOf(command, args, new Error(`Unknown argument: ${extra}`)));
  const items = given === undefined ? [] : [given].flat().map(String);
  if (command.items.startsWith("<") && items.length === 0) {
    throw new UsageError(`the ${item} is missing, as in: ${command.examples[0][0]}`);
  }
  if (items.some((text) => text.trim() === "")) throw new UsageError(`${command.items} must not be empty`);
  return new Call(items, parsed);
}

/** What is wrong with the words behind a command. */
function complaintOf(command: Command, args: readonly string[], error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const depth = command.words.length;
  const next = COMMANDS.filter(({ words }) => words.length > depth && isBelow({ words }, command.words));
  const options = [...command.options, ...(command.isLocal ? [] : PLACE_OPTIONS)].map((name) => `--${name}`);
  return clearerComplaint(message, args.map(lengthened), [...next.map(({ words }) => words[depth]), ...options]);
}

/** Single-dash forms, as all of the command takes them. */
function lengthened(arg: string): string {
  return arg.replace(/^-(?=[a-z][a-z-]+(?:=|$))/, "--");
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

const pause: Pause = (delayMs, signal) =>
  setTimeout(delayMs, true, signal === undefined ? {} : { signal }).catch((error: Error) => {
    if (error.name !== "AbortError") throw error;
    return false;
  });

function untilSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => controller.abort());
  return controller.signal;
}
