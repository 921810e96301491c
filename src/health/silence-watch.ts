import { type Clock, sleep } from "../core/clock.js";
import type { Node } from "../core/node.js";
import type { Dial, DialTarget } from "../core/stream.js";
import { dialOnce } from "./ping.js";

/** What a node said when it was asked whether it still answers. */
type Answer = "answers" | "silent" | "stopped";

/** Asks a node for any sign of life above TCP, on a fresh connection. */
export type Ask = (node: Node, signal: AbortSignal) => Promise<Answer>;

export interface SilenceWatchDependencies {
  readonly clock: Clock;
  readonly ask: Ask;
  /** Has an exchange of this node waited too long without any byte from the node? */
  readonly isSilent: (node: Node) => boolean;
  readonly onAnswer: (node: Node) => void;
  readonly onSilence: (node: Node) => void;
}

/** Read anew at each look. */
export interface SilenceWatchOptions {
  /** How often the nodes are looked at. */
  readonly checkMs: number;
  /** Pause between two questions to a suspect node. */
  readonly suspectIntervalMs: number;
}

/**
 * Tells a frozen node from a slow one: a node that keeps its exchanges waiting in silence is asked; one that
 * answers is merely slow, one that does not is suspect, and asked again until it does.
 */
export async function runSilenceWatch(
  { clock, ask, isSilent, onAnswer, onSilence }: SilenceWatchDependencies,
  options: SilenceWatchOptions,
  nodes: () => readonly Node[],
  signal: AbortSignal,
): Promise<void> {
  const asking = new Map<Node, Promise<void>>();
  const askedMs = new Map<Node, number>();

  const question = async (node: Node) => {
    askedMs.set(node, clock.now());
    const answer = await ask(node, signal);
    asking.delete(node);
    if (answer === "answers") onAnswer(node);
    else if (answer === "silent") onSilence(node);
  };

  while (await sleep(clock, options.checkMs, signal)) {
    for (const node of nodes()) {
      if (!node.alive || asking.has(node)) continue;
      const isDue = node.suspect ? clock.now() - (askedMs.get(node) ?? 0) >= options.suspectIntervalMs : isSilent(node);
      if (isDue) asking.set(node, question(node));
    }
  }
  await Promise.all(asking.values());
}

export interface AskDependencies {
  readonly clock: Clock;
  readonly dial: Dial;
  readonly targetsOf: (node: Node) => readonly DialTarget[];
  /** Called for each question, so that it can be counted. */
  readonly onAsk: () => void;
  /** Time for the whole question, read anew each time. */
  readonly timeoutMs: () => number;
}

const QUESTION = Buffer.from("OPTIONS * HTTP/1.1\r\nHost: fnlb\r\nConnection: close\r\n\r\n", "latin1");
const STATUS_LINE = /^HTTP\/1\.\d [1-5]\d\d/;
const STATUS_LINE_BYTES = 12;

/** `OPTIONS *`: every status line, whatever its status, is an answer. A node that cannot be dialled gives none. */
export function askOptions({ clock, dial, targetsOf, onAsk, timeoutMs: readTimeout }: AskDependencies): Ask {
  return async (node, signal) => {
    const timeoutMs = readTimeout();
    const [target] = targetsOf(node);
    if (target === undefined) return "silent";
    onAsk();
    const stream = await dialOnce(clock, dial, target, timeoutMs, signal);
    if (stream === undefined) return signal.aborted ? "stopped" : "silent";
    return new Promise((resolve) => {
      let line = "";
      const finish = (answer: Answer) => {
        cancelTimer();
        signal.removeEventListener("abort", onAbort);
        stream.destroy();
        resolve(answer);
      };
      const onAbort = () => finish("stopped");
      const cancelTimer = clock.after(timeoutMs, () => finish("silent"));
      signal.addEventListener("abort", onAbort, { once: true });
      stream.handler = {
        onData(buffer, start, end) {
          line += buffer.toString("latin1", start, Math.min(end, start + STATUS_LINE_BYTES));
          if (line.length >= STATUS_LINE_BYTES) finish(STATUS_LINE.test(line) ? "answers" : "silent");
        },
        onDrain() {},
        onEnd: () => finish("silent"),
        onClose: () => finish("silent"),
      };
      stream.resume();
      stream.write(QUESTION, 0, QUESTION.length);
    });
  };
}
