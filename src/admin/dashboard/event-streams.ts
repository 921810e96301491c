import type { ServerResponse } from "node:http";
import { type Clock, sleep } from "../../core/clock.js";
import type { Counters } from "../../core/counters.js";
import { FnlbError } from "../../errors.js";
import type { HistorySample } from "./history.js";

export interface EventStreamsOptions {
  /** Between two frames where nothing calls for one earlier. Default: 1 s. */
  readonly intervalMs: number;
  /** How often is looked for something that calls for one; changes in between share a frame. Default: 100 ms. */
  readonly lookMs: number;
  /** Both times are as many times longer as there are so many nodes, begun ones included. Default: 250. */
  readonly nodesPerPace: number;
  /** But no more than so many times longer. Default: 5. */
  readonly paceMax: number;
  /** Streams at once. Default: 16. */
  readonly streamsMax: number;
  /** A stream with more than that unread is cut. Default: 1 MiB. */
  readonly bufferedBytesMax: number;
  /** So is one whose reader has left out so many frames in a row. Default: 30. */
  readonly skippedMax: number;
}

export const EVENT_STREAMS_DEFAULTS: EventStreamsOptions = {
  intervalMs: 1000,
  lookMs: 100,
  nodesPerPace: 250,
  paceMax: 5,
  streamsMax: 16,
  bufferedBytesMax: 1024 * 1024,
  skippedMax: 30,
};

export interface EventStreamsDependencies {
  readonly counters: Pick<Counters, "eventStreamsRefused" | "eventStreamsCut" | "eventFramesSkipped">;
  /** What a frame of the name `status` says, as JSON: the status with all clusters and nodes. */
  readonly status: () => object;
}

interface Stream {
  readonly response: ServerResponse;
  /** Frames that it has left out since the last one that it took. */
  skipped: number;
}

/**
 * The readers of `GET /v1/events`: server-sent events that all get the same text. Each frame says everything, so that one
 * who reads slowly misses some and is right again with the next.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export class EventStreams {
  readonly #dependencies: EventStreamsDependencies;
  readonly #options: EventStreamsOptions;
  readonly #streams = new Set<Stream>();
  #sample: HistorySample | undefined;
  #isClosed = false;

  constructor(dependencies: EventStreamsDependencies, options: EventStreamsOptions = EVENT_STREAMS_DEFAULTS) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  /** Streams that are open now. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Makes a response a stream until its reader goes, the signal aborts, or `close`. Throws `ERR_AT_CAPACITY` where there are too many,
   * and `ERR_DRAINING` after `close`; the response is untouched then.
   */
  open(response: ServerResponse, signal?: AbortSignal): void {
    const { counters } = this.#dependencies;
    if (this.#isClosed || signal?.aborted === true) throw new FnlbError("ERR_DRAINING", "the balancer is closing");
    if (this.#streams.size >= this.#options.streamsMax) {
      counters.eventStreamsRefused++;
      throw new FnlbError("ERR_AT_CAPACITY", `there are ${this.#options.streamsMax} streams of events already`);
    }
    response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      // Proxies that buffer responses would hold back what is to be seen at once.
      "x-accel-buffering": "no",
    });
    const stream = { response, skipped: 0 };
    this.#streams.add(stream);
    response.on("close", () => this.#streams.delete(stream));
    signal?.addEventListener("abort", () => {
      this.#streams.delete(stream);
      response.end();
    });
    // A reader that goes while something is written to it: "close" follows.
    response.on("error", () => {});
    response.write(`: one event each ${this.#options.intervalMs} ms\n\n${this.#statusFrame()}`);
  }

  /** Goes out with the next frame. */
  addSample(sample: HistorySample): void {
    this.#sample = sample;
  }

  /** Tells every reader how things stand. */
  send(): void {
    const sample = this.#sample;
    this.#sample = undefined;
    if (this.#isClosed || this.#streams.size === 0) return;
    // Plots first: what the status says of a node is to be drawn at the end of its line.
    const frame = (sample === undefined ? "" : eventFrame("sample", sample)) + this.#statusFrame();
    for (const stream of this.#streams) this.#write(stream, frame);
  }

  /** Ends every stream. */
  close(): void {
    this.#isClosed = true;
    for (const { response } of this.#streams) response.end();
    this.#streams.clear();
  }

  #statusFrame(): string {
    return eventFrame("status", this.#dependencies.status());
  }

  #write(stream: Stream, frame: string): void {
    const { counters } = this.#dependencies;
    const { bufferedBytesMax, skippedMax } = this.#options;
    const unread = stream.response.writableLength;
    if (unread > bufferedBytesMax || stream.skipped >= skippedMax) {
      counters.eventStreamsCut++;
      this.#streams.delete(stream);
      stream.response.destroy();
    } else if (unread > 0) {
      counters.eventFramesSkipped++;
      stream.skipped++;
    } else {
      stream.skipped = 0;
      stream.response.write(frame);
    }
  }
}

/** JSON has no line breaks of its own, so that one line of data is enough. */
function eventFrame(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export interface EventLoopDependencies {
  readonly clock: Clock;
  readonly streams: EventStreams;
  /** Another number whenever something has happened that readers want to see at once. */
  readonly transitions: () => number;
  readonly nodes: () => number;
}

/**
 * How many times longer readers wait for a frame than those of a small balancer. A frame has every node: without this, a
 * thousand of them would take the event loop for 30 ms of each second, and ten times that while they flap.
 */
export function paceOf(
  nodes: number,
  { nodesPerPace, paceMax }: Pick<EventStreamsOptions, "nodesPerPace" | "paceMax">,
): number {
  return Math.min(paceMax, Math.max(1, Math.ceil(nodes / nodesPerPace)));
}

/**
 * Tells the readers how things stand every `intervalMs`, and sooner where something has happened, until the signal ends it,
 * and then ends their streams.
 */
export async function runEventStreams(
  { clock, streams, transitions, nodes }: EventLoopDependencies,
  options: Pick<EventStreamsOptions, "intervalMs" | "lookMs" | "nodesPerPace" | "paceMax">,
  signal: AbortSignal,
): Promise<void> {
  const { intervalMs, lookMs } = options;
  let seen = transitions();
  let sentMs = clock.now();
  // Nobody is woken ten times a second for readers that are not there.
  while (await sleep(clock, streams.size === 0 ? intervalMs : lookMs, signal)) {
    const now = transitions();
    const pace = paceOf(nodes(), options);
    if (clock.now() - sentMs < pace * (now === seen ? intervalMs : lookMs)) continue;
    seen = now;
    sentMs = clock.now();
    streams.send();
  }
  streams.close();
}
