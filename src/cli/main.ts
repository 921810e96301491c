import { setImmediate } from "node:timers/promises";
import yargs, { type Argv } from "yargs";
import type { OptionSpec } from "../config/option-row.js";
import { environmentName, OPTION_LIST, type OptionName } from "../config/options.js";
import { PROGRAM_OPTIONS, type ProgramOptionName } from "../config/program-options.js";
import type { ConfigSources } from "../config/resolve.js";
import { badOption } from "../config/units.js";
import { toggle } from "../config/value.js";
import { withoutPasswords } from "../core/secrets.js";
import { FnlbError } from "../errors.js";
import { packageVersion } from "../system/package-version.js";
import { EXIT } from "./exit.js";
import { type ConfigOrigin, loadConfig } from "./load-config.js";
import { candidates } from "./remote/candidates.js";
import { commandFirst, findCommand, runCommand } from "./remote/command-line.js";
import { COMMANDS } from "./remote/commands.js";
import { Failure } from "./remote/display/failure.js";
import { plainText } from "./remote/display/text-width.js";
import { clearerComplaint } from "./unknown-words.js";
import { UsageError } from "./usage-error.js";

type Command = "serve" | "check" | "demo" | "healthcheck";

/** Runs the command that `given` (without program and script) ask for; resolves to the exit code. */
export async function main(given: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let fault: string | undefined;
  process.stdout.on("error", ({ code = "UNKNOWN" }: NodeJS.ErrnoException) => {
    // A reader that has gone, as in `fnlb --help | head`, has what it wanted.
    if (code !== "EPIPE") fault ??= code;
  });
  const exitCode = await run(given, env);
  // What went wrong with the last write is told after it.
  await setImmediate();
  if (fault === undefined) return exitCode;
  process.stderr.write(`could not write to standard output (${fault})\n`);
  return exitCode === EXIT.CLEAN ? EXIT.FAILED : exitCode;
}

async function run(given: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const args = given[0] === "__complete" ? given : commandFirst(given);
  const command = findCommand(args);
  try {
    if (args[0] === "__complete") return await complete(args.slice(1), env);
    if (command !== undefined) return (await runCommand(command, args, env)) ?? EXIT.CLEAN;
    const called = await parse(args);
    if (called === undefined) return EXIT.CLEAN;
    const origin: ConfigOrigin = { options: called.options, env, path: called.file || (env.FNLB_CONFIG ?? "") };
    const watches = called.watches ?? toggleOf(env.FNLB_WATCH);
    if (watches && origin.path === "") throw badOption('option "watch"', "given with --config", "no file");
    // Each command loads what it needs: to start takes longer than most of them.
    switch (called.command) {
      case "serve": {
        const { serve } = await import("./serve.js");
        return await serve(origin, { watches });
      }
      case "check": {
        const { check } = await import("./check.js");
        return await check(origin, { prints: called.prints });
      }
      case "demo": {
        const { demo } = await import("./demo.js");
        return await demo(loadConfig({ ...origin, env: demoEnvironment(origin) }).config);
      }
      case "healthcheck": {
        const { healthcheck } = await import("./healthcheck.js");
        return await healthcheck(loadConfig(origin).config);
      }
      default:
        return called.command satisfies never;
    }
  } catch (error) {
    if (error instanceof Failure) {
      process.stderr.write(`${plainText(error.message)}\n`);
      return EXIT.FAILED;
    }
    if (!(error instanceof UsageError) && !(error instanceof FnlbError && error.code === "ERR_OPTION")) throw error;
    const help =
      command === undefined
        ? "fnlb --help lists all options"
        : `fnlb ${command.words.join(" ")} --help lists its options`;
    process.stderr.write(`usage error: ${withoutPasswords(error.message).replaceAll(/\s+/g, " ")} (${help})\n`);
    return EXIT.USAGE;
  }
}

/**
 * A token in the environment is for the balancers that this shell asks. A demo that is not told where its admin API is
 * opens it on loopback, where none is needed.
 */
function demoEnvironment({ options, env, path }: ConfigOrigin): NodeJS.ProcessEnv {
  const { FNLB_ADMIN_TOKEN: _, ...others } = env;
  return options.admin === undefined && (env.FNLB_ADMIN ?? "") === "" && path === "" ? others : env;
}

/** What shells ask while somebody types: `__complete nodes WORD…`. */
async function complete([kind = "", ...words]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  for (const name of await candidates(kind, words, env)) process.stdout.write(`${name}\n`);
  return EXIT.CLEAN;
}

interface Called {
  readonly command: Command;
  /** Path of the config file, "" where no flag or argument names one. */
  readonly file: string;
  readonly watches: boolean | undefined;
  /** Of `check`: show the result. */
  readonly prints: boolean;
  readonly options: NonNullable<ConfigSources["options"]>;
}

/** Undefined when only help or version was asked for, and printed. */
async function parse(args: readonly string[]): Promise<Called | undefined> {
  let command: Command | undefined;
  const choose = (name: Command) => () => {
    command = name;
  };
  const parser = yargs(normalize(args))
    .scriptName("fnlb")
    .usage(
      "$0 [options]\n\nSends each URL to the same node by a consistent-hash ring; falls back to the next node when it is dead.",
    )
    .parserConfiguration({
      "dot-notation": false,
      "camel-case-expansion": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
    })
    .locale("en")
    .command("$0", "balance", {}, choose("serve"))
    .command(
      "demo",
      "start three function nodes and a balancer in front of them, and show what happens",
      {},
      choose("demo"),
    )
    .command(
      "check [file]",
      "validate a config: exit code 0 or 2",
      (command) =>
        command
          .positional("file", { type: "string", describe: "config file, instead of --config" })
          .option("print", { type: "boolean", describe: "show the result, and where each value comes from" }),
      choose("check"),
    )
    .command(
      "healthcheck",
      "ask the balancer whether it is ready, at --admin or else its first listener: exit code 0 or 1",
      {},
      choose("healthcheck"),
    )
    .alias("help", "h")
    .version(packageVersion())
    .wrap(110)
    .epilogue(
      "Times are 250ms, 5s, 1m, 1h or bare milliseconds, sizes 500, 64KiB or 1MB. Every option can be set by the environment variable in " +
        "brackets; a flag wins. Exit codes: 0 clean end, 1 cannot start or something was cut, 2 usage error. SIGTERM, SIGINT and SIGQUIT " +
        "drain, a second one ends at once; SIGHUP reopens log files and reloads the config file and certificates.",
    )
    .strict()
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw new UsageError(message ?? error?.message ?? "bad arguments");
    });
  for (const { words, items, summary } of COMMANDS) {
    if (words.length > 1) continue;
    parser.command(`${words[0]} ${items}`.trim(), summary, {}, () => {
      throw new UsageError(`${words[0]} stands in front of its options, as in: fnlb ${words[0]} --help`);
    });
  }
  for (const [name, spec] of ALL_OPTIONS) addOption(parser, name, spec);
  let parsed: Readonly<Record<string, unknown>>;
  try {
    parsed = await parser.parseAsync();
  } catch (error) {
    // yargs throws some of its complaints past its own handler of failures.
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(clearerComplaint(message, normalize(args), KNOWN_WORDS), { cause: error });
  }
  if (parsed.help === true || parsed.version === true || command === undefined) return undefined;
  // What stands behind `--` is no option any more.
  const words = parsed._ as readonly string[];
  const extra = words[command === "serve" ? 0 : 1];
  if (extra !== undefined) throw new UsageError(clearerComplaint(`Unknown argument: ${extra}`, args, KNOWN_WORDS));
  if (command === "demo" && parsed.nodes !== undefined) {
    throw badOption('option "nodes"', "left out: the demo starts nodes of its own", String(parsed.nodes));
  }
  const options: Partial<Record<OptionName, string | boolean | string[]>> = {};
  // What yargs gives for these names are strings, booleans and arrays of them: that is how they were declared.
  for (const [name] of OPTION_LIST)
    if (parsed[name] !== undefined) options[name] = parsed[name] as string | boolean | string[];
  const [file, configFlag] = [parsed.file, parsed.config] as readonly (string | undefined)[];
  if (file !== undefined && configFlag !== undefined)
    throw new UsageError(`two config files: ${configFlag} and ${file}`);
  return {
    command,
    options,
    file: file ?? configFlag ?? "",
    watches: parsed.watch as boolean | undefined,
    prints: parsed.print === true,
  };
}

/** Every flag, those about the config file first. */
const ALL_OPTIONS: readonly (readonly [OptionName | ProgramOptionName, OptionSpec])[] = [
  ...(Object.entries(PROGRAM_OPTIONS) as [ProgramOptionName, OptionSpec][]),
  ...OPTION_LIST,
];

/** What may stand where nothing is known yet. */
const KNOWN_WORDS: readonly string[] = [
  ...["demo", "check", "healthcheck"],
  ...COMMANDS.flatMap(({ words }) => (words.length === 1 ? words : [])),
  ...ALL_OPTIONS.map(([name]) => `--${name}`),
];

function toggleOf(text: string | undefined): boolean {
  return text !== undefined && toggle().read({ texts: [text], source: "environment variable FNLB_WATCH" });
}

function addOption(parser: Argv, name: OptionName | ProgramOptionName, spec: OptionSpec): void {
  const isSwitch = spec.kind === "switch";
  parser.option(name, {
    type: isSwitch ? "boolean" : "string",
    requiresArg: !isSwitch,
    group: `${spec.group}:`,
    // Choices are not handed to yargs: its complaint about a bad one would not be worded like all others.
    describe: `${spec.help}${spec.choices === undefined ? "" : ` One of ${spec.choices.join(", ")}.`} [${environmentName(name)}]`,
    defaultDescription: spec.default === "" ? "none" : spec.default,
  });
}

/**
 * Accepts the single-dash forms of the original (`-nodes a,b`, `-help`), and refuses values of switches that are
 * neither true nor false, which yargs would read as false.
 */
function normalize(args: readonly string[]): string[] {
  const names = new Map<string, OptionSpec>(ALL_OPTIONS);
  return args.map((arg) => {
    const match = /^--?([a-z][a-z-]+)(=[\s\S]*)?$/.exec(arg);
    if (match === null) return arg;
    const [, name, value = ""] = match;
    if (names.get(name)?.kind === "switch" && value !== "" && value !== "=true" && value !== "=false") {
      throw badOption(`option "${name}"`, "true or false", value.slice(1));
    }
    return `--${name}${value}`;
  });
}
