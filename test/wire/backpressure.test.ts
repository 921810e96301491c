import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startExchange } from "../support/exchange.js";
import type { RawPeer } from "../support/raw-peer.js";
import { standstill } from "../support/standstill.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const MEBIBYTE = 1024 * 1024;
/** Far more than two hops of kernel buffers and the balancer's own can hold. */
const FLOOD_BYTES = 64 * MEBIBYTE;
const HELD_BYTES_MAX = 40 * MEBIBYTE;

const BLOCK = Buffer.alloc(256 * 1024, "0123456789abcdef!");

/** Sends blocks as long as the connection takes them, up to `bytes`; returns how much it has taken so far. */
function flood(peer: RawPeer, bytes: number): () => number {
  let sent = 0;
  const send = () => {
    while (sent < bytes) {
      const block = BLOCK.subarray(0, Math.min(BLOCK.length, bytes - sent));
      sent += block.length;
      if (!peer.socket.write(block)) return;
    }
  };
  peer.socket.on("drain", send);
  send();
  return () => sent;
}

/** Reads and counts without keeping. */
function countBytes(peer: RawPeer): { bytes: number; readonly hash: ReturnType<typeof createHash> } {
  const seen = { bytes: 0, hash: createHash("sha256") };
  peer.socket.removeAllListeners("data");
  peer.socket.on("data", (chunk: Buffer) => {
    seen.bytes += chunk.length;
    seen.hash.update(chunk);
    peer.log.wake();
  });
  return seen;
}

for (const sockets of ["fast", "plain"]) {
  const options = { dependencies: { sockets } };

  describe(`backpressure on ${sockets} sockets`, () => {
    it("holds a node back whose client does not read, with little in between, and loses nothing", async (t) => {
      const wire = await startExchange(t, "GET / HTTP/1.1\r\nHost: fn\r\n\r\n", {}, options);
      const { client, node } = wire;
      client.socket.pause();
      node.send(`HTTP/1.1 200 OK\r\nContent-Length: ${FLOOD_BYTES}\r\n\r\n`);
      const sent = flood(node, FLOOD_BYTES);
      await standstill(wire, sent);
      assert.ok(sent() < HELD_BYTES_MAX, `${sent()} bytes were taken from the node`);
      const seen = countBytes(client);
      client.socket.resume();
      await client.log.until("the rest", () => (seen.bytes >= FLOOD_BYTES ? true : undefined));
      assert.equal(sent(), FLOOD_BYTES);
    });

    it("holds a client back whose node does not read, with little in between, and loses nothing", async (t) => {
      const wire = await startExchange(
        t,
        `POST / HTTP/1.1\r\nHost: fn\r\nContent-Length: ${FLOOD_BYTES}\r\n\r\n`,
        {},
        options,
      );
      const { client, node } = wire;
      node.socket.pause();
      const sent = flood(client, FLOOD_BYTES);
      await standstill(wire, sent);
      assert.ok(sent() < HELD_BYTES_MAX, `${sent()} bytes were taken from the client`);
      const seen = countBytes(node);
      node.socket.resume();
      await node.log.until("the rest", () => (seen.bytes >= FLOOD_BYTES ? true : undefined));
      assert.equal(sent(), FLOOD_BYTES);
    });

    for (const [name, pick] of [
      ["client", ({ client, node }: { client: RawPeer; node: RawPeer }) => [client, node]],
      ["node", ({ client, node }: { client: RawPeer; node: RawPeer }) => [node, client]],
    ] as const) {
      it(`holds the other side of a tunnel back whose ${name} does not read`, async (t) => {
        const upgrade = "GET / HTTP/1.1\r\nHost: fn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        const wire = await startExchange(t, upgrade, {}, options);
        wire.node.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        await wire.client.log.untilText("\r\n\r\n");
        const [slow, quick] = pick(wire);
        slow.socket.pause();
        const sent = flood(quick, FLOOD_BYTES);
        await standstill(wire, sent);
        assert.ok(sent() < HELD_BYTES_MAX, `${sent()} bytes were taken`);
        slow.send("the other direction is free");
        await quick.log.untilText("free");
        const seen = countBytes(slow);
        slow.socket.resume();
        await slow.log.until("the rest", () => (seen.bytes >= FLOOD_BYTES ? true : undefined));
      });
    }

    it("keeps what is still to be written although memory is collected and used again meanwhile", async (t) => {
      const bytes = 32 * MEBIBYTE;
      const wire = await startExchange(t, "GET / HTTP/1.1\r\nHost: fn\r\n\r\n", {}, options);
      const { client, node } = wire;
      client.socket.pause();
      node.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
      const sent = flood(node, bytes);
      await standstill(wire, sent);
      for (let round = 0; round < 5; round++) {
        collectGarbage();
        for (let size = 1; size <= 128; size++) Buffer.allocUnsafeSlow(size * 1024).fill(0x58);
      }
      const seen = countBytes(client);
      client.socket.resume();
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`;
      await client.log.until("the rest", () => (seen.bytes >= bytes + head.length ? true : undefined));
      const expected = createHash("sha256").update(head);
      for (let left = bytes; left > 0; left -= BLOCK.length)
        expected.update(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
      assert.equal(seen.hash.digest("hex"), expected.digest("hex"));
    });
  });
}
