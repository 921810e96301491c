import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { forwardRequests, linesFor, relayResponse } from "../support/codec.js";
import { REQUESTS, RESPONSES } from "../support/corpus.js";
import { eventually, FakeClock, turns } from "../support/fake-clock.js";
import { ok } from "../support/raw-origin.js";
import { connectClient, type RawPeer } from "../support/raw-peer.js";
import type { MessageRead } from "../support/read-message.js";
import { startWire, type Wire } from "../support/wire.js";

/** Every way to cut the bytes into two pieces, and into pieces of one byte. */
function splitsOf(bytes: string): readonly (readonly string[])[] {
  const inTwo = Array.from({ length: bytes.length - 1 }, (_, at) => [bytes.slice(0, at + 1), bytes.slice(at + 1)]);
  return [...inTwo, [...bytes]];
}

const comparable = ({ startLine, fields, body }: MessageRead) => ({ startLine, fields, body: body.toString("latin1") });

/** A wire whose node answers each request of a run as soon as it has all of it. */
async function startAnswering(t: TestContext) {
  let received = "";
  let answered = 0;
  let continued = false;
  let ends: readonly number[] = [];
  const open = new Set<RawPeer>();
  const onConnection = (peer: RawPeer) => {
    open.add(peer);
    peer.socket.on("close", () => open.delete(peer));
    peer.socket.on("end", () => peer.end());
    peer.socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (received.includes("Expect: 100-continue\r\n") && received.includes("\r\n\r\n") && !continued) {
        continued = true;
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
      }
      for (; answered < ends.length && received.length >= ends[answered]; answered++) {
        const upgrades = received.includes("\r\nUpgrade: websocket\r\n");
        if (upgrades) peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
        else peer.send(ok(`answer ${answered}`));
      }
    });
  };
  const wire = await startWire(t, {}, { onConnection, dependencies: { clock: new FakeClock() } });
  return {
    ...wire,
    begin(newEnds: readonly number[]) {
      received = "";
      answered = 0;
      continued = false;
      ends = newEnds;
    },
    received: () => received,
    /** Nothing of the last run is still on its way to the node. */
    settled: () =>
      eventually(() => {
        const { connections, nodes } = wire.balancer.snapshot();
        return connections === 1 && nodes[0].inFlight === 0 && nodes[0].connections === open.size;
      }),
  };
}

/** Sends the pieces one by one, each after the one before has been read. */
async function sendInPieces({ balancer }: Wire, client: RawPeer, pieces: readonly string[]): Promise<void> {
  let sent = balancer.snapshot().counters.bytesIn;
  for (const piece of pieces) {
    client.send(piece);
    sent += piece.length;
    await eventually(() => balancer.snapshot().counters.bytesIn >= sent || client.log.hasEnded);
  }
}

describe("requests that arrive in pieces", () => {
  for (const [name, bytes] of REQUESTS) {
    it(`have the same effect wherever they are split: ${name}`, async (t) => {
      const wire = await startAnswering(t);
      const { requests, refusal } = forwardRequests([Buffer.from(bytes, "latin1")], {
        lines: linesFor(wire.port),
        nodeHost: `127.0.0.1:${wire.origin.port}`,
      });
      const forwarded = requests.map((request) => request.bytes.toString("latin1"));
      const ends = forwarded.map((_, index) => forwarded.slice(0, index + 1).join("").length);

      const run = async (pieces: readonly string[]) => {
        wire.begin(ends.filter((end, index) => end > (ends[index - 1] ?? 0)));
        const client = await connectClient(t, wire.port);
        await sendInPieces(wire, client, pieces);
        const responses: unknown[] = [];
        for (const { method } of requests) {
          const response = await client.response(method);
          responses.push(comparable(response), ...response.interims.map(comparable));
        }
        if (refusal !== undefined) {
          const refused = await client.response();
          assert.equal(refused.json().code, refusal);
          responses.push(comparable(refused));
          await client.log.untilEnd();
        }
        client.reset();
        await wire.settled();
        const seen = wire.received();
        // Of a request that is refused in the middle a part may have been sent.
        assert.equal(refusal === undefined ? seen : seen.slice(0, ends.at(-1) ?? 0), forwarded.join(""));
        return responses;
      };

      const whole = await run([bytes]);
      for (const pieces of splitsOf(bytes)) assert.deepEqual(await run(pieces), whole, JSON.stringify(pieces));
    });
  }
});

describe("responses that arrive in pieces", () => {
  for (const [name, bytes, method = "GET"] of RESPONSES) {
    it(`reach the client the same wherever they are split: ${name}`, async (t) => {
      const wire = await startWire(t, { attemptsMax: 1 }, { dependencies: { clock: new FakeClock() } });
      const expected = relayResponse([Buffer.from(bytes, "latin1")], method === "HEAD");

      const run = async (pieces: readonly string[]) => {
        const client = await connectClient(t, wire.port);
        client.send(`${method} / HTTP/1.1\r\nHost: fn\r\n\r\n`);
        const node = await wire.origin.accept();
        await node.log.untilText("\r\n\r\n");
        for (const piece of pieces) {
          node.send(piece);
          await turns(2);
        }
        node.end();
        if (expected.kind === "truncated") {
          await client.log.untilClosed();
          assert.equal(client.log.errorCode, "ECONNRESET");
          const relayed = expected.bytes.toString("latin1");
          assert.ok(relayed.startsWith(client.text) || client.text === relayed);
          assert.ok(client.text.includes("\r\n\r\n"));
        } else {
          if (expected.kind === "complete") {
            await client.log.untilLength(expected.bytes.length);
            assert.equal(client.text.slice(0, expected.bytes.length), expected.bytes.toString("latin1"));
          }
          const response = await client.response(method);
          if (expected.kind === "refused") assert.equal(response.json().code, "ERR_BAD_RESPONSE");
          else if (expected.untilClose.length > 0) assert.deepEqual(response.body, expected.untilClose);
          assert.equal((await client.ask("OPTIONS * HTTP/1.1\r\nHost: fn\r\n\r\n")).status, 200);
          assert.equal(client.text, "", "nothing was left over");
        }
        client.destroy();
        node.destroy();
        await eventually(() => wire.balancer.snapshot().nodes[0].connections === 0);
      };

      await run([bytes]);
      for (const pieces of splitsOf(bytes)) await run(pieces);
    });
  }
});
