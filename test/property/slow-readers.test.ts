import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Agent, createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import type { Readable, Writable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { seeded } from "../support/seeded-random.js";

const SEED = 20_240_229;
const CONNECTIONS = 8;
const EXCHANGES = 6;
const MEBIBYTE = 1024 * 1024;
/** Two read buffers for each direction of each connection are 3 MiB; the rest is the runtime's and the test's own. */
const GROWTH_BYTES_MAX = 150 * MEBIBYTE;

/** Bytes of which no two stretches are alike: a stretch of another connection or another time shows. */
const SOURCE = Buffer.alloc(8 * MEBIBYTE);
{
  const random = seeded(SEED);
  for (let at = 0; at < SOURCE.length; at += 4) SOURCE.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
}

interface Body {
  readonly start: number;
  readonly length: number;
  readonly isChunked: boolean;
}

function randomBody(random: () => number): Body {
  const length = Math.floor((1 + 3 * random()) * MEBIBYTE);
  return { start: Math.floor(random() * (SOURCE.length - length)), length, isChunked: random() < 0.5 };
}

const hashOf = ({ start, length }: Body) =>
  createHash("sha256")
    .update(SOURCE.subarray(start, start + length))
    .digest("hex");

/**
 * Writes the body in pieces of any size, waiting whenever the stream asks for it and now and then although it does
 * not. The last piece waits for `before`.
 */
async function send(stream: Writable, { start, length }: Body, random: () => number, before: Promise<unknown>) {
  let at = start;
  while (at < start + length) {
    const size = Math.min(start + length - at, 1 + Math.floor(random() ** 3 * 200_000));
    if (at + size === start + length) await before;
    const flows = stream.write(SOURCE.subarray(at, at + size));
    at += size;
    if (!flows) await new Promise((resolve) => stream.once("drain", resolve));
    if (random() < 0.1) await new Promise((resolve) => setImmediate(resolve));
  }
  stream.end();
}

/** Reads to the end with pauses of any length, at first a long one, so that every buffer on the way fills. */
function hashSlowly(stream: Readable, random: () => number): Promise<string> {
  const hash = createHash("sha256");
  const pause = (ms: number) => {
    stream.pause();
    setTimeout(() => stream.resume(), ms);
  };
  stream.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    if (random() < 0.1) pause(Math.floor(random() * 4));
  });
  pause(50);
  return new Promise((resolve, reject) => {
    stream.on("end", () => resolve(hash.digest("hex")));
    stream.on("error", reject);
  });
}

const fieldsOf = ({ start, length, isChunked }: Body) => ({
  "x-start": String(start),
  "x-length": String(length),
  ...(isChunked ? { "transfer-encoding": "chunked" } : { "content-length": String(length) }),
});

const promised = ({ headers }: IncomingMessage): Body => ({
  start: Number(headers["x-start"]),
  length: Number(headers["x-length"]),
  isChunked: headers["transfer-encoding"] !== undefined,
});

/** A node that reads slowly while it answers; `seen` gets, for each request, whether its body was what its client said. */
async function startSlowNode(t: TestContext, random: () => number, seen: boolean[]): Promise<number> {
  const server = createServer((incoming, response) => {
    const reading = hashSlowly(incoming, random).then((hash) => seen.push(hash === hashOf(promised(incoming))));
    const body = randomBody(random);
    response.writeHead(200, fieldsOf(body));
    void send(response, body, random, reading);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** One exchange with large bodies both ways at once; true when the response's body is what its node said. */
function exchange(port: number, agent: Agent, random: () => number): Promise<boolean> {
  const body = randomBody(random);
  return new Promise((resolve, reject) => {
    const path = `/f${Math.floor(random() * 1000)}`;
    const asked = request({ port, host: "127.0.0.1", agent, method: "POST", path, headers: fieldsOf(body) });
    asked.on("error", reject);
    asked.on("response", (response) => {
      hashSlowly(response, random).then((hash) => resolve(hash === hashOf(promised(response))), reject);
    });
    void send(asked, body, random, Promise.resolve());
  });
}

for (const sockets of ["fast", "plain"]) {
  describe(`slow readers and large bodies on ${sockets} sockets`, () => {
    it("get every byte of their own and none of another's, in bounded memory", async (t) => {
      const seen: boolean[] = [];
      const nodes = await Promise.all([1, 2].map((seed) => startSlowNode(t, seeded(seed), seen)));
      const { port, balancer } = await startBalancer(t, { nodes }, { sockets });
      let peakBytes = 0;
      const before = process.memoryUsage.rss();
      const watch = setInterval(() => {
        peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
      }, 10);
      t.after(() => clearInterval(watch));
      await Promise.all(
        Array.from({ length: CONNECTIONS }, async (_, connection) => {
          const random = seeded(SEED + connection);
          const agent = new Agent({ keepAlive: true, maxSockets: 1 });
          t.after(() => agent.destroy());
          for (let number = 0; number < EXCHANGES; number++) {
            assert.ok(await exchange(port, agent, random), `response ${number} of connection ${connection}`);
          }
        }),
      );
      assert.deepEqual(seen, Array(CONNECTIONS * EXCHANGES).fill(true));
      const { counters } = balancer.snapshot();
      assert.deepEqual(
        [counters.responses2xx, counters.clientAborts, counters.nodeAborts],
        [CONNECTIONS * EXCHANGES, 0, 0],
      );
      const grownBytes = peakBytes - before;
      t.diagnostic(`memory grew by ${Math.round(grownBytes / MEBIBYTE)} MiB`);
      assert.ok(grownBytes < GROWTH_BYTES_MAX, `memory grew by ${grownBytes} bytes`);
    });
  });
}
