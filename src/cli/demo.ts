import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { type Balancer, createBalancer } from "../balancer.js";
import type { AdminAddress } from "../config/admin.js";
import type { Config, NodeConfig } from "../config/config.js";
import { sleep } from "../core/clock.js";
import { audit, type Log, type LogFields } from "../core/log.js";
import type { NodeSnapshot } from "../core/snapshot.js";
import { systemClock } from "../system/clock.js";
import { openLogger } from "../system/logger.js";
import { EXIT } from "./exit.js";
import { DEFAULT_ADMIN } from "./remote/admin-place.js";

const NAMES = ["a", "b", "c"] as const;
const FUNCTIONS = 12;
const CALL_INTERVAL_MS = 50;
const CALL_TIMEOUT_MS = 10_000;
const RESTART_MS = 5000;
/** How often the picture changes: in place on a terminal, as a new line elsewhere. */
const PICTURE_MS = 250;
const PLAIN_PICTURE_MS = 2000;
const ANY_PORT: AdminAddress = { kind: "tcp", host: "127.0.0.1", port: 0 };

/** One node of the demo: a process, started again when somebody kills it. */
interface DemoNode {
  readonly name: string;
  port: number;
  child: ChildProcess | undefined;
  restart: NodeJS.Timeout | undefined;
  answered: number;
}

/** What became of the calls that the demo makes. */
interface Tally {
  lost: number;
  /** Who answered each function last. */
  readonly nodeOf: (DemoNode | undefined)[];
}

/** Where the demo itself calls the balancer. */
interface Target {
  readonly origin: string;
  readonly socketPath: string | undefined;
}

/** Three function nodes as processes, a balancer in front, and gentle traffic; until a signal ends all of it. */
export async function demo(config: Config): Promise<number> {
  const screen = new Screen();
  const nodes: DemoNode[] = NAMES.map((name) => ({ name, port: 0, child: undefined, restart: undefined, answered: 0 }));
  // Whatever ends the demo, a mistake of ours included, it leaves no process behind.
  process.on("exit", () => killNodes(nodes));
  const signal = untilSignal();
  const logger = config.logFile === "-" ? undefined : openLogger(config);
  await untilAborted(Promise.all(nodes.map((node) => start(node, screen, signal))), signal);
  if (signal.aborted) return EXIT.CLEAN;

  const log = both(narrate(screen, nodes), logger?.log);
  let opened: Opened;
  try {
    opened = await openBalancer(overNodes(config, nodes.map(toConfig)), log);
  } catch (error) {
    process.stderr.write(
      `could not start server. error: ${error instanceof Error ? error.message : String(error)}\nAnother port? fnlb demo --listen :0\n`,
    );
    return EXIT.CANNOT_START;
  }
  const { balancer, address } = opened;
  const target = targetOf(address);
  introduce(screen, { target, nodes, page: pageOf(balancer, config) });
  const tally: Tally = { lost: 0, nodeOf: Array.from({ length: FUNCTIONS }, () => undefined) };
  await Promise.all([runTraffic(target, nodes, tally, signal), runPicture({ screen, balancer, nodes, tally }, signal)]);
  screen.line("ending: the balancer finishes what runs, then the nodes end");
  const { cut } = await balancer.drain();
  await logger?.close();
  return cut > 0 ? EXIT.CUT : EXIT.CLEAN;
}

/** A balancer that listens, and where. */
interface Opened {
  readonly balancer: Balancer;
  readonly address: string;
}

/**
 * Listens, with an admin API for the page: where the config says, or else where the command line asks by default, or at
 * any port of loopback if somebody is there. Rejects with `ERR_LISTEN`.
 */
async function openBalancer(config: Config, log: Log): Promise<Opened> {
  const places: readonly AdminAddress[] = config.admin.kind === "off" ? [DEFAULT_ADMIN, ANY_PORT] : [config.admin];
  let fault: unknown;
  for (const admin of places) {
    const balancer = createBalancer({ ...config, admin }, { log });
    try {
      const [address] = await balancer.listen();
      return { balancer, address };
    } catch (error) {
      fault = error;
    }
  }
  throw fault;
}

/** The demo's nodes in every cluster. */
function overNodes(config: Config, nodes: readonly NodeConfig[]): Config {
  return { ...config, clusters: config.clusters.map((cluster) => ({ ...cluster, nodes })) };
}

function toConfig(node: DemoNode): NodeConfig {
  return { id: idOf(node), address: { kind: "tcp", host: "127.0.0.1", port: node.port, basePath: "" }, weight: 1 };
}

function idOf({ port }: DemoNode): string {
  return `127.0.0.1:${port}`;
}

/** Resolves when the node listens, on the port that it had before, if any; one that ends is started again. */
function start(node: DemoNode, screen: Screen, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL("./demo-node.js", import.meta.url)), [node.name, String(node.port)], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    node.child = child;
    child.once("message", (message: { readonly port: number }) => {
      node.port = message.port;
      resolve();
    });
    const onEnd = (why: string) => {
      if (node.child !== child) return;
      node.child = undefined;
      // A signal to the whole group ends the nodes, too, and they are no longer wanted.
      if (signal.aborted) return;
      screen.line(`node ${node.name} has ended (${why}); it starts again in ${RESTART_MS / 1000} s`);
      node.restart = setTimeout(() => {
        void start(node, screen, signal).then(() => {
          screen.line(`node ${node.name} has started again as pid ${node.child?.pid}`);
          resolve();
        });
      }, RESTART_MS);
    };
    child.once("error", ({ message }) => onEnd(message));
    child.once("exit", (code, killer) => onEnd(killer ?? `exit code ${code}`));
  });
}

/** Not by SIGTERM: a node that somebody has frozen would stay for ever. */
function killNodes(nodes: readonly DemoNode[]): void {
  for (const node of nodes) {
    clearTimeout(node.restart);
    const { child } = node;
    node.child = undefined;
    child?.kill("SIGKILL");
  }
}

/** Tells what the balancer notices, in words. */
function narrate(screen: Screen, nodes: readonly DemoNode[]): Log {
  const tell = (fields: LogFields, message?: string) => {
    // Nodes can be added from outside.
    const name = nodes.find((node) => fields.node === idOf(node))?.name ?? fields.node;
    switch (fields.event) {
      case "node_dead":
        screen.line(`fnlb: node ${name} is dead (${fields.code}); its functions go to the next nodes on the ring`);
        break;
      case "node_alive":
        screen.line(`fnlb: node ${name} is alive again; its functions return`);
        break;
      case "node_suspect":
        screen.line(`fnlb: node ${name} accepts but does not answer; it takes no new functions`);
        break;
      case "node_trusted":
        screen.line(`fnlb: node ${name} answers again; its functions return`);
        break;
      case "node_mode_changed":
        screen.line(`fnlb: node ${name} is ${fields.mode === "active" ? "active again" : fields.mode}`);
        break;
      case "node_added":
        screen.line(`fnlb: node ${name} is added; it takes its share of the functions`);
        break;
      case "node_removed":
        screen.line(`fnlb: node ${name} is removed; its functions go to the next nodes on the ring`);
        break;
      case "no_fallback_node_found":
        screen.line(`fnlb: ${message}`);
        break;
      default:
        break;
    }
  };
  return { debug: () => {}, info: tell, warn: tell, error: tell };
}

function both(first: Log, second: Log | undefined): Log {
  if (second === undefined) return first;
  const tell =
    (level: "debug" | "info" | "warn" | "error"): Log[typeof level] =>
    (fields, message) => {
      first[level](fields, message);
      second[level](fields, message);
    };
  const tellAudit: Log["audit"] = (level, fields) => {
    audit(first, level, fields);
    audit(second, level, fields);
  };
  return { debug: tell("debug"), info: tell("info"), warn: tell("warn"), error: tell("error"), audit: tellAudit };
}

function targetOf(address: string): Target {
  if (address.startsWith("unix:")) return { origin: "http://localhost", socketPath: address.slice("unix:".length) };
  const reachable = address.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:");
  return { origin: `http://${reachable}`, socketPath: undefined };
}

/** What shows it all, and how the command line is led there. */
interface Page {
  /** Undefined on a unix socket, which no browser opens. */
  readonly url: string | undefined;
  readonly address: string;
  /** "": it asks there by itself. */
  readonly flag: string;
}

function pageOf({ adminAddress = "" }: Balancer, { adminTlsCertFile }: Config): Page {
  const flag = adminAddress === `${DEFAULT_ADMIN.host}:${DEFAULT_ADMIN.port}` ? "" : ` --admin ${adminAddress}`;
  const { origin, socketPath } = targetOf(adminAddress);
  const url = adminTlsCertFile === "" ? origin : origin.replace("http:", "https:");
  return { url: socketPath === undefined ? `${url}/` : undefined, address: adminAddress, flag };
}

interface Introduced {
  readonly target: Target;
  readonly nodes: readonly DemoNode[];
  readonly page: Page;
}

function introduce(screen: Screen, { target: { origin, socketPath }, nodes, page }: Introduced): void {
  const curl = socketPath === undefined ? "curl" : `curl --unix-socket ${socketPath}`;
  screen.line("fnlb demo: three function nodes and a balancer in front of them.");
  for (const node of nodes) screen.line(`  node ${node.name}  ${idOf(node)}  pid ${node.child?.pid}`);
  screen.line(`  fnlb    ${socketPath ?? origin}`);
  screen.line(page.url === undefined ? `  admin   ${page.address}` : `  page    ${page.url}`);
  screen.line("");
  if (page.url !== undefined)
    screen.line("Open the page in a browser: it shows what happens, live, and has buttons for it.");
  screen.line("Try in another terminal:");
  const frozen = nodes[1].child?.pid;
  const commands = [
    [`${curl} ${origin}/hello`, "the same path always runs on the same node"],
    [`kill -9 ${nodes[0].child?.pid}`, "no call is lost, and its functions return when it is back"],
    [`kill -STOP ${frozen}; sleep 9; kill -CONT ${frozen}`, "a frozen node loses its functions until it wakes"],
    [`npx fnlb nodes drain ${idOf(nodes[2])}${page.flag}`, "no new calls there; nodes enable takes it back"],
    [`npx fnlb status --watch${page.flag}`, "what the page shows, as a table"],
  ];
  const width = Math.max(...commands.map(([command]) => command.length));
  for (const [command, what] of commands) screen.line(`  ${command.padEnd(width)}  ${what}`);
  screen.line("");
  screen.line(
    `Ctrl-C ends all of it. Meanwhile the demo calls functions 1 to ${FUNCTIONS}; below, how many calls each`,
  );
  screen.line("node has answered, and which functions run there now.");
  screen.line("");
}

/** Aborted by the first signal; the second one ends the process at once, and with it the nodes. */
function untilSignal(): AbortSignal {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT.CUT);
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return stop.signal;
}

/** Resolves with the promise or when the signal is aborted, whichever comes first. */
function untilAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    promise.then(() => resolve(), reject);
  });
}

/** Calls one function after the other; ends with the signal when the last call is over. */
async function runTraffic(
  { origin, socketPath }: Target,
  nodes: readonly DemoNode[],
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const agent = new Agent(socketPath === undefined ? {} : { connect: { socketPath } });
  const calls = new Set<Promise<void>>();
  for (let turn = 0; await sleep(systemClock, CALL_INTERVAL_MS, signal); turn++) {
    const number = turn % FUNCTIONS;
    const call = callOnce(agent, `${origin}/function-${number + 1}`).then((name) => {
      calls.delete(call);
      if (name === undefined) tally.lost++;
      // None of ours where somebody has added a node.
      const node = nodes.find((candidate) => candidate.name === name);
      if (node !== undefined) node.answered++;
      tally.nodeOf[number] = node;
    });
    calls.add(call);
  }
  await Promise.all(calls);
  await agent.close();
}

/** Resolves to the name of the node that answered, "" if it does not say it, undefined when none did. */
async function callOnce(dispatcher: Agent, url: string): Promise<string | undefined> {
  try {
    const { statusCode, headers, body } = await request(url, {
      dispatcher,
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    await body.dump();
    return statusCode === 200 ? String(headers["x-node"] ?? "") : undefined;
  } catch {
    // Refused, reset or too late: a call without an answer is what the picture counts.
    return undefined;
  }
}

interface PictureParts {
  readonly screen: Screen;
  readonly balancer: Balancer;
  readonly nodes: readonly DemoNode[];
  readonly tally: Tally;
}

async function runPicture({ screen, balancer, nodes, tally }: PictureParts, signal: AbortSignal): Promise<void> {
  const intervalMs = screen.isTerminal ? PICTURE_MS : PLAIN_PICTURE_MS;
  while (await sleep(systemClock, intervalMs, signal)) {
    const seen = balancer.snapshot().nodes;
    const parts = nodes.map((node) => {
      const state = stateOf(seen.find(({ id }) => id === idOf(node)));
      const functions = tally.nodeOf.flatMap((home, number) => (home === node ? [number + 1] : []));
      return `${node.name}${state} ${node.answered} [${functions.join(" ")}]`;
    });
    screen.picture(`${parts.join(" | ")} | ${tally.lost} lost`);
  }
}

/** In a word, with a space before it; nothing for a node that serves. */
function stateOf(node: NodeSnapshot | undefined): string {
  if (node === undefined) return " removed";
  if (!node.alive) return " dead";
  if (node.suspect) return " silent";
  return node.mode === "active" ? "" : ` ${node.mode}`;
}

/** Lines that stay, and on a terminal one line below them that is painted over. */
class Screen {
  readonly isTerminal = process.stdout.isTTY === true;
  #picture = "";

  line(text: string): void {
    process.stdout.write(this.isTerminal ? `\r\x1b[K${text}\n${this.#picture}` : `${text}\n`);
  }

  picture(text: string): void {
    // A line that wraps could not be painted over. Some terminals do not know their width and say 0.
    this.#picture = text.slice(0, (process.stdout.columns || 80) - 1);
    process.stdout.write(this.isTerminal ? `\r\x1b[K${this.#picture}` : `${text}\n`);
  }
}
