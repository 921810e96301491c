import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { type Balancer, createBalancer } from "../balancer.js";
import type { Config, NodeConfig } from "../config/config.js";
import { sleep } from "../core/clock.js";
import { audit, type Log, type LogFields } from "../core/log.js";
import { systemClock } from "../system/clock.js";
import { openLogger } from "../system/logger.js";
import { EXIT } from "./exit.js";

const NAMES = ["a", "b", "c"] as const;
const FUNCTIONS = 12;
const CALL_INTERVAL_MS = 50;
const CALL_TIMEOUT_MS = 10_000;
const RESTART_MS = 5000;
/** How often the picture changes: in place on a terminal, as a new line elsewhere. */
const PICTURE_MS = 250;
const PLAIN_PICTURE_MS = 2000;

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
  await untilAborted(Promise.all(nodes.map((node) => start(node, screen))), signal);
  if (signal.aborted) return EXIT.CLEAN;

  const log = both(narrate(screen, nodes), logger?.log);
  const balancer = createBalancer(overNodes(config, nodes.map(toConfig)), { log });
  let address: string;
  try {
    [address] = await balancer.listen();
  } catch (error) {
    process.stderr.write(
      `could not start server. error: ${error instanceof Error ? error.message : String(error)}\nAnother port? fnlb demo --listen :0\n`,
    );
    return EXIT.CANNOT_START;
  }
  const target = targetOf(address);
  introduce(screen, target, nodes);
  const tally: Tally = { lost: 0, nodeOf: Array.from({ length: FUNCTIONS }, () => undefined) };
  await Promise.all([runTraffic(target, nodes, tally, signal), runPicture({ screen, balancer, nodes, tally }, signal)]);
  screen.line("ending: the balancer finishes what runs, then the nodes end");
  const { cut } = await balancer.drain();
  await logger?.close();
  return cut > 0 ? EXIT.CUT : EXIT.CLEAN;
}

/** The demo's nodes in every cluster. */
function overNodes(config: Config, nodes: readonly NodeConfig[]): Config {
  return { ...config, clusters: config.clusters.map((cluster) => ({ ...cluster, nodes })) };
}

function toConfig({ port }: DemoNode): NodeConfig {
  return { id: `127.0.0.1:${port}`, address: { kind: "tcp", host: "127.0.0.1", port, basePath: "" }, weight: 1 };
}

/** Resolves when the node listens, on the port that it had before, if any; one that ends is started again. */
function start(node: DemoNode, screen: Screen): Promise<void> {
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
      screen.line(`node ${node.name} has ended (${why}); it starts again in ${RESTART_MS / 1000} s`);
      node.restart = setTimeout(() => {
        void start(node, screen).then(() => {
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
    const name = nodes.find(({ port }) => fields.node === `127.0.0.1:${port}`)?.name;
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

function introduce(screen: Screen, { origin, socketPath }: Target, nodes: readonly DemoNode[]): void {
  const curl = socketPath === undefined ? "curl" : `curl --unix-socket ${socketPath}`;
  screen.line("fnlb demo: three function nodes and a balancer in front of them.");
  for (const { name, port, child } of nodes) screen.line(`  node ${name}  127.0.0.1:${port}  pid ${child?.pid}`);
  screen.line(`  fnlb    ${socketPath ?? origin}`);
  screen.line("");
  screen.line("Try in another terminal:");
  const frozen = nodes[1].child?.pid;
  for (const [command, what] of [
    [`${curl} ${origin}/hello`, "the same path always runs on the same node"],
    [`kill -9 ${nodes[0].child?.pid}`, "no call is lost, and its functions return when it is back"],
    [`kill -STOP ${frozen}; kill -CONT ${frozen}`, "a frozen node loses its functions until it wakes"],
  ])
    screen.line(`  ${command.padEnd(40)} ${what}`);
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
      const node = nodes.find((candidate) => candidate.name === name);
      if (node === undefined) tally.lost++;
      else {
        node.answered++;
        tally.nodeOf[number] = node;
      }
    });
    calls.add(call);
  }
  await Promise.all(calls);
  await agent.close();
}

/** Resolves to the name of the node that answered, undefined when none did. */
async function callOnce(dispatcher: Agent, url: string): Promise<string | undefined> {
  try {
    const { statusCode, headers, body } = await request(url, {
      dispatcher,
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    await body.dump();
    return statusCode === 200 ? String(headers["x-node"]) : undefined;
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
    const parts = nodes.map((node, index) => {
      const state = !seen[index].alive ? " dead" : seen[index].suspect ? " silent" : "";
      const functions = tally.nodeOf.flatMap((home, number) => (home === node ? [number + 1] : []));
      return `${node.name}${state} ${node.answered} [${functions.join(" ")}]`;
    });
    screen.picture(`${parts.join(" | ")} | ${tally.lost} lost`);
  }
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
