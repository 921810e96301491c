import { setTimeout } from "node:timers/promises";
import yargs from "yargs";
import { UsageError } from "../usage-error.js";
import { AdminClient } from "./admin-client.js";
import { clientOption, PLACE_OPTIONS } from "./client-options.js";
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
    const isBelow = words.length > command.words.length && command.words.every((word, index) => word === words[index]);
    if (isBelow) parser.command(`${words.slice(command.words.length).join(" ")} ${items}`.trim(), summary);
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
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (parsed.help === true) return undefined;
  for (const option of [...command.options, ...PLACE_OPTIONS]) {
    const { kind } = clientOption(option);
    if (kind !== "texts" && Array.isArray(parsed[option]))
      throw new UsageError(`option "${option}" must be given once`);
  }
  const given = item === undefined ? undefined : parsed[item];
  const [extra] = parsed._ as readonly string[];
  if (extra !== undefined) throw new UsageError(`Unknown argument: ${extra}`);
  const items = given === undefined ? [] : [given].flat().map(String);
  if (command.items.startsWith("<") && items.length === 0) {
    throw new UsageError(`the ${item} is missing, as in: ${command.examples[0][0]}`);
  }
  return new Call(items, parsed);
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
