import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  EVENT_STREAMS_DEFAULTS,
  EventStreams,
  type EventStreamsOptions,
  runEventStreams,
} from "../../src/admin/dashboard/event-streams.js";
import type { HistorySample } from "../../src/admin/dashboard/history.js";
import { Counters } from "../../src/core/counters.js";
import { FnlbError } from "../../src/errors.js";
import { eventually, FakeClock, turns } from "../support/fake-clock.js";

const NOTHING = { rate: null, errors: null, p50Ms: null, p99Ms: null, inFlight: null };
const SAMPLE: HistorySample = { sequence: 7, atMs: 1, total: NOTHING, clusters: [] };

/** A reader of a stream. */
interface Reader {
  readonly response: IncomingMessage;
  /** What has come so far. */
  readonly text: () => string;
  readonly isGone: () => boolean;
}

interface Served {
  readonly streams: EventStreams;
  readonly counters: Counters;
  /** How often the status was asked for. */
  readonly asked: () => number;
  /** The response of the newest stream, at the balancer's side. */
  readonly newest: () => ServerResponse;
  readonly read: () => Promise<Reader>;
}

/** Streams on a real server; a stream that cannot be opened is answered 503. */
async function serve(
  t: TestContext,
  options: Partial<EventStreamsOptions> = {},
  status?: () => object,
): Promise<Served> {
  const counters = new Counters();
  let asked = 0;
  const streams = new EventStreams(
    { counters, status: () => ({ number: ++asked, ...status?.() }) },
    { ...EVENT_STREAMS_DEFAULTS, ...options },
  );
  let newest: ServerResponse | undefined;
  const server = createServer((_request, response) => {
    try {
      streams.open(response);
      newest = response;
    } catch (error) {
      response.writeHead(503).end(error instanceof FnlbError ? error.code : "");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    streams.close();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  });
  const { port } = server.address() as AddressInfo;
  return {
    streams,
    counters,
    asked: () => asked,
    newest: () => newest ?? assert.fail("no stream yet"),
    read: () =>
      new Promise((resolve, reject) => {
        const asking = request({ host: "127.0.0.1", port, agent: false }, (response) => {
          let text = "";
          let isGone = false;
          response.setEncoding("utf8");
          response.on("data", (part: string) => {
            text += part;
          });
          response.on("error", () => {});
          response.on("close", () => {
            isGone = true;
          });
          resolve({ response, text: () => text, isGone: () => isGone });
        });
        asking.on("error", reject);
        asking.end();
        t.after(() => asking.destroy());
      }),
  };
}

describe("the stream of events", () => {
  it("begins with a comment and how things stand, in the type that browsers know", async (t) => {
    const { read } = await serve(t);
    const { response, text } = await read();
    assert.equal(response.headers["content-type"], "text/event-stream");
    assert.equal(response.headers["cache-control"], "no-store");
    await eventually(() => text().endsWith("\n\n"));
    assert.equal(text(), ': one event each 1000 ms\n\nevent: status\ndata: {"number":1}\n\n');
  });

  it("writes one text for all readers, with the newest sample in front, once", async (t) => {
    const { streams, asked, read } = await serve(t);
    const readers = [await read(), await read(), await read()];
    const before = asked();
    streams.addSample(SAMPLE);
    streams.send();
    assert.equal(asked(), before + 1, "the status was written down once");
    const frame = `event: sample\ndata: ${JSON.stringify(SAMPLE)}\n\nevent: status\ndata: {"number":${before + 1}}\n\n`;
    await eventually(() => readers.every(({ text }) => text().endsWith(frame)));
    streams.send();
    await eventually(() => readers.every(({ text }) => text().includes(`{"number":${before + 2}}`)));
    assert.equal(readers[0].text().split("event: sample").length, 2);
  });

  it("refuses one stream too many, counts it, and has room again when a reader goes", async (t) => {
    const { streams, counters, read } = await serve(t, { streamsMax: 2 });
    const { response } = await read();
    await read();
    const refused = await read();
    assert.equal(refused.response.statusCode, 503);
    await eventually(refused.isGone);
    assert.equal(refused.text(), "ERR_AT_CAPACITY");
    assert.equal(counters.eventStreamsRefused, 1);
    response.destroy();
    await eventually(() => streams.size === 1);
    assert.equal((await read()).response.statusCode, 200);
  });

  it("leaves out frames for a slow reader and cuts one with too much unread; others miss nothing", async (t) => {
    const filling = { text: "x".repeat(256 * 1024) };
    const { streams, counters, newest, read } = await serve(t, { bufferedBytesMax: 128 * 1024 }, () => filling);
    const quick = await read();
    const slow = await read();
    slow.response.pause();
    const stream = newest();
    let sent = 0;
    while (counters.eventStreamsCut === 0) {
      streams.send();
      sent++;
      assert.ok(stream.writableLength < 1024 * 1024, "one frame above the limit at most");
      await eventually(() => quick.text().split("event: status").length === sent + 2);
    }
    assert.equal(streams.size, 1);
    slow.response.resume();
    await eventually(slow.isGone);
    assert.equal(quick.isGone(), false);
  });

  it("cuts a reader that has read nothing for so many frames, however little waits for it", async (t) => {
    const filling = { text: "x".repeat(256 * 1024) };
    const settings = { bufferedBytesMax: Number.MAX_SAFE_INTEGER, skippedMax: 5 };
    const { streams, counters, newest, read } = await serve(t, settings, () => filling);
    const slow = await read();
    slow.response.pause();
    const stream = newest();
    while (stream.writableLength === 0) {
      streams.send();
      await turns(1);
    }
    for (let frame = 0; frame < 5; frame++) streams.send();
    assert.equal(counters.eventFramesSkipped, 5);
    assert.equal(counters.eventStreamsCut, 0);
    streams.send();
    assert.equal(counters.eventStreamsCut, 1);
    assert.equal(streams.size, 0);
    slow.response.resume();
    await eventually(slow.isGone);
  });

  it("does not write down how things stand for nobody", async (t) => {
    const { streams, asked } = await serve(t);
    streams.send();
    assert.equal(asked(), 0);
  });
});

describe("the loop of the streams", () => {
  it("sends each second, at once after a transition, and ends the streams with its signal", async (t) => {
    const { streams, asked, read } = await serve(t);
    const clock = new FakeClock();
    const end = new AbortController();
    let transitions = 0;
    const { text, isGone } = await read();
    const loop = runEventStreams(
      { clock, streams, transitions: () => transitions, nodes: () => 250 },
      EVENT_STREAMS_DEFAULTS,
      end.signal,
    );
    const first = asked();
    await clock.advance(2000);
    assert.equal(asked(), first + 2);
    transitions += 3;
    await clock.advance(100);
    assert.equal(asked(), first + 3, "three changes share a frame");
    await clock.advance(900);
    assert.equal(asked(), first + 3);
    await clock.advance(100);
    assert.equal(asked(), first + 4);
    end.abort();
    await loop;
    await eventually(isGone);
    assert.match(text(), /"number":5/);
    assert.equal(clock.pending, 0);
    assert.equal((await read()).response.statusCode, 503, "nobody is let in any more");
  });

  it("sends so much less often as there are more nodes, up to five times, and sooner after a transition", async (t) => {
    const { streams, asked, read } = await serve(t);
    const clock = new FakeClock();
    const end = new AbortController();
    let transitions = 0;
    let nodes = 251;
    await read();
    const loop = runEventStreams(
      { clock, streams, transitions: () => transitions, nodes: () => nodes },
      EVENT_STREAMS_DEFAULTS,
      end.signal,
    );
    const first = asked();
    await clock.advance(1900);
    assert.equal(asked(), first);
    await clock.advance(100);
    assert.equal(asked(), first + 1);
    nodes = 100_000;
    await clock.advance(4900);
    assert.equal(asked(), first + 1);
    await clock.advance(100);
    assert.equal(asked(), first + 2);
    for (let step = 0; step < 20; step++) {
      transitions++;
      await clock.advance(100);
    }
    assert.equal(asked(), first + 6, "nodes that flap call for a frame each half a second");
    end.abort();
    await loop;
  });
});
