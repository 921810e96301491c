import { type Clock, sleep } from "../core/clock.js";
import { isDialFault } from "../core/dead-hosts.js";
import type { Node } from "../core/node.js";
import type { ByteStream, Dial, DialTarget } from "../core/stream.js";
import { dialOnce } from "./ping.js";

/**
 * What a node said when it was asked whether it still answers, or why it cannot be reached at all. It is unasked when
 * nobody wants to know any longer, or when the fault was our own.
 */
type Answer = "answers" | "silent" | "unasked" | Unreachable;

interface Unreachable {
  /** The error code of the dial. */
  readonly code: string;
}

/** Asks a node for any sign of life above TCP, on a fresh connection. */
export type Ask = (node: Node, signal: AbortSignal) => Promise<Answer>;

export interface SilenceWatchDependencies {
  readonly clock: Clock;
  readonly ask: Ask;
  /** Has an exchange of this node waited too long without any byte from the node? */
  readonly isSilent: (node: Node) => boolean;
  readonly onAnswer: (node: Node) => void;
  readonly onSilence: (node: Node) => void;
  /** Right behind `onSilence`: the question was a dial as good as any, and it failed. */
  readonly onUnreachable: (node: Node, code: string) => void;
}

/** Read anew at each look. */
export interface SilenceWatchOptions {
  /** How often the nodes are looked at. */
  readonly checkMs: number;
  /** Pause between two questions to a suspect node. */
  readonly suspectIntervalMs: number;
}

const CHECK_MS_MIN = 25;
const CHECK_MS_MAX = 250;

/** How often nodes are looked at whose exchanges may wait so long in silence, in milliseconds. */
export function checkMsOf(silenceMs: number): number {
  return Math.min(CHECK_MS_MAX, Math.max(CHECK_MS_MIN, silenceMs / 4));
}

/**
 * Tells a frozen node from a slow one: a node that keeps its exchanges waiting in silence is asked; one that
 * answers is merely slow, one that does not is suspect, and asked again until it does. One that cannot be dialled any more
 * is dead: nobody else may dial it, as no key goes to a suspect node.
 */
export async function runSilenceWatch(
  { clock, ask, isSilent, onAnswer, onSilence, onUnreachable }: SilenceWatchDependencies,
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
    if (answer === "unasked") return;
    if (answer === "answers") {
      onAnswer(node);
      return;
    }
    onSilence(node);
    if (answer !== "silent") onUnreachable(node, answer.code);
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
  /** Time for a dial, and for the answer; read anew each time. */
  readonly timeoutMs: () => number;
}

const QUESTION = Buffer.from("OPTIONS * HTTP/1.1\r\nHost: fnlb\r\nConnection: close\r\n\r\n", "latin1");
const STATUS_LINE = /^HTTP\/1\.\d [1-5]\d\d/;
const STATUS_LINE_BYTES = 12;

/** `OPTIONS *`: every status line, whatever its status, is an answer. The addresses of the node are dialled until one accepts. */
export function askOptions({ clock, dial, targetsOf, onAsk, timeoutMs: readTimeout }: AskDependencies): Ask {
  return async (node, signal) => {
    const timeoutMs = readTimeout();
    onAsk();
    let outcome: ByteStream | string = "ENOTFOUND";
    for (const target of targetsOf(node)) {
      outcome = await dialOnce(clock, dial, target, timeoutMs, signal);
      if (signal.aborted || typeof outcome !== "string") break;
    }
    if (typeof outcome !== "string") return askOn(outcome, clock, timeoutMs, signal);
    return signal.aborted ? "unasked" : answerOf(outcome);
  };
}

/** What this error of a dial says of the node. A dial that takes long is no better than an answer that does. */
export function answerOf(code: string): Answer {
  if (!isDialFault(code)) return "unasked";
  return code === "ETIMEDOUT" ? "silent" : { code };
}

function askOn(stream: ByteStream, clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve) => {
    let line = "";
    const finish = (answer: Answer) => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
      stream.destroy();
      resolve(answer);
    };
    const onAbort = () => finish("unasked");
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
    if (signal.aborted) onAbort();
  });
}
