import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { type Balancer, createBalancer } from "../balancer.js";
import type { Config, NodeConfig } from "../config/config.js";
import { sleep } from "../core/clock.js";
import type { Log } from "../core/log.js";
import { systemClock } from "../system/clock.js";
import { EXIT } from "./exit.js";

const NAMES = ["a", "b", "c"] as const;
const PATHS = Array.from({ length: 12 }, (_, number) => `/function-${number + 1}`);
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
  failures: number;
}

/** Three function nodes as processes, a balancer in front, and gentle traffic; until a signal ends all of it. */
export async function demo(config: Config): Promise<number> {
  const screen = new Screen();
  const nodes: DemoNode[] = NAMES.map((name) => ({ name, port: 0, child: undefined, restart: undefined, answered: 0 }));
  await Promise.all(nodes.map((node) => start(node, screen)));
  const stopNodes = () => {
    for (const node of nodes) {
      clearTimeout(node.restart);
      node.child?.removeAllListeners("exit");
      node.child?.kill();
    }
  };
  const balancer = createBalancer(
    { ...config, nodes: nodes.map(toConfig), accessLog: "" },
    { log: narrate(screen, nodes) },
  );
  let addresses: readonly string[];
  try {
    addresses = await balancer.listen();
  } catch (error) {
    stopNodes();
    process.stderr.write(
      `could not start server. error: ${error instanceof Error ? error.message : String(error)}\nAnother port? fnlb demo --listen :0\n`,
    );
    return EXIT.CANNOT_START;
  }

  const url = urlOf(addresses[0]);
  introduce(screen, url, nodes);
  const signal = untilSignal();
  const tally: Tally = { failures: 0 };
  const traffic = url === undefined ? Promise.resolve() : runTraffic(url, nodes, tally, signal);
  const picture = runPicture(screen, balancer, nodes, tally, signal);
  await Promise.all([traffic, picture]);
  screen.line("ending: the balancer finishes what runs, then the nodes end");
  const { cut } = await balancer.drain();
  stopNodes();
  return cut > 0 ? EXIT.CUT : EXIT.CLEAN;
}

function toConfig({ port }: DemoNode): NodeConfig {
  return { id: `127.0.0.1:${port}`, address: { kind: "tcp", host: "127.0.0.1", port, basePath: "" }, weight: 1 };
}

/** Resolves when the node listens, on the port that it had before, if any. */
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
    child.once("exit", () => {
      node.child = undefined;
      screen.line(`node ${node.name} has ended; it starts again in ${RESTART_MS / 1000} s`);
      node.restart = setTimeout(() => {
        void start(node, screen).then(() =>
          screen.line(`node ${node.name} has started again as pid ${node.child?.pid}`),
        );
      }, RESTART_MS);
    });
  });
}

/** Tells what the balancer notices, in words. */
function narrate(screen: Screen, nodes: readonly DemoNode[]): Log {
  const tell = (fields: Readonly<Record<string, unknown>>, message?: string) => {
    const name = nodes.find(({ port }) => fields.node === `127.0.0.1:${port}`)?.name;
    switch (fields.event) {
      case "node_dead":
        screen.line(`fnlb: node ${name} is dead (${fields.code}); its paths go to the next nodes on the ring`);
        break;
      case "node_alive":
        screen.line(`fnlb: node ${name} is alive again; its paths return`);
        break;
      case "node_suspect":
        screen.line(`fnlb: node ${name} accepts but does not answer; it takes no new paths`);
        break;
      case "node_trusted":
        screen.line(`fnlb: node ${name} answers again; its paths return`);
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

/** Where to call the balancer; undefined when it listens on no TCP port. */
function urlOf(address: string): string | undefined {
  if (address.startsWith("unix:")) return undefined;
  return `http://${address.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:")}`;
}

function introduce(screen: Screen, url: string | undefined, nodes: readonly DemoNode[]): void {
  screen.line("fnlb demo: three function nodes and a balancer in front of them.");
  for (const { name, port, child } of nodes) screen.line(`  node ${name}  127.0.0.1:${port}  pid ${child?.pid}`);
  screen.line(`  fnlb    ${url ?? "on a unix socket"}`);
  screen.line("");
  screen.line("Try in another terminal:");
  screen.line(`  curl ${url ?? "http://localhost"}/hello        the same path always runs on the same node`);
  screen.line(
    `  kill -9 ${nodes[0].child?.pid}                          no call is lost, and its paths return when it is back`,
  );
  screen.line(
    `  kill -STOP ${nodes[1].child?.pid}; kill -CONT ${nodes[1].child?.pid}     a frozen node loses its paths until it wakes`,
  );
  screen.line("Ctrl-C ends all of it. Below: who has answered how many of the calls that the demo makes itself.");
  screen.line("");
}

function untilSignal(): AbortSignal {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  return stop.signal;
}

/** Calls one path after the other; ends with the signal when the last call is over. */
async function runTraffic(url: string, nodes: readonly DemoNode[], tally: Tally, signal: AbortSignal): Promise<void> {
  const agent = new Agent();
  const calls = new Set<Promise<void>>();
  for (let turn = 0; await sleep(systemClock, CALL_INTERVAL_MS, signal); turn++) {
    const call = callOnce(agent, `${url}${PATHS[turn % PATHS.length]}`, nodes, tally).finally(() => calls.delete(call));
    calls.add(call);
  }
  await Promise.all(calls);
  await agent.close();
}

async function callOnce(agent: Agent, url: string, nodes: readonly DemoNode[], tally: Tally): Promise<void> {
  try {
    const { statusCode, headers, body } = await request(url, {
      dispatcher: agent,
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    await body.dump();
    const node = nodes.find(({ name }) => name === headers["x-node"]);
    if (statusCode === 200 && node !== undefined) node.answered++;
    else tally.failures++;
  } catch {
    // Refused, reset or too late: a call without an answer is what the picture counts.
    tally.failures++;
  }
}

async function runPicture(
  screen: Screen,
  balancer: Balancer,
  nodes: readonly DemoNode[],
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const intervalMs = screen.isTerminal ? PICTURE_MS : PLAIN_PICTURE_MS;
  while (await sleep(systemClock, intervalMs, signal)) {
    const seen = balancer.snapshot().nodes;
    const parts = nodes.map(({ name, answered }, index) => {
      const state = !seen[index].alive ? "dead" : seen[index].suspect ? "silent" : "alive";
      return `${name} ${String(answered).padStart(5)} ${state.padEnd(6)}`;
    });
    screen.picture(`${parts.join(" | ")} | ${tally.failures} lost`);
  }
}

/** Lines that stay, and on a terminal one line below them that is painted over. */
class Screen {
  readonly isTerminal = process.stdout.isTTY === true;
  #picture = "";

  line(text: string): void {
    if (!this.isTerminal) {
      process.stdout.write(`${text}\n`);
      return;
    }
    process.stdout.write(`\r\x1b[K${text}\n${this.#picture}`);
  }

  picture(text: string): void {
    if (!this.isTerminal) {
      process.stdout.write(`${text}\n`);
      return;
    }
    this.#picture = text;
    process.stdout.write(`\r\x1b[K${text}`);
  }
}
